"""The site builds without a warning, and its page of commands is the program's own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from kernprof.cli.app import app

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_command_has_its_reference(site: Path) -> None:
    text = (site / "commands" / "index.html").read_text("utf-8")
    names = [command.name for command in app.registered_commands]
    assert len(names) >= 9
    for name in names:
        assert f"kernprof {name}</h2>" in text
    assert "--ignore-not-selected" in text


def test_every_page_is_built(site: Path) -> None:
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / page.stem / "index.html").is_file() or page.stem == "index"


def test_light_and_dark_find_what_they_switch(site: Path) -> None:
    text = (site / "index.html").read_text("utf-8")
    switch = (site / "js" / "darkmode.js").read_text("utf-8")
    for name in ("hljs-light", "hljs-dark"):
        assert f"getElementById('{name}')" in switch
        assert f'<link id="{name}">' in text


def test_the_site_fetches_no_program(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert 'src="http' not in text
        assert 'src="//' not in text
