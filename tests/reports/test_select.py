from __future__ import annotations

import gzip
import io
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import ncurep_builder as build
import pytest

from kernprof.errors import LimitExceededError, ReportError, UnknownFormatError
from kernprof.reports import Limits, load

REPORT = build.report([build.Launch(kernel="gemv2T", metrics={"x": 1.0})])


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):
    def feed(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return feed


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    for name in ("report.ncu-rep", "report.csv", "report", "report.ncu-repz"):
        path = tmp_path / name
        path.write_bytes(REPORT)
        report = load(path)
        assert report.path == str(path)
        assert report.profiles[0].origin == f"{name}#0"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(REPORT)
    (tmp_path / "link").symlink_to("report")
    assert load(tmp_path / "link").profiles[0].kernel == "gemv2T"


def test_standard_input(stdin) -> None:
    stdin(REPORT)
    report = load("-")
    assert report.path == "-"
    assert report.profiles[0].kernel == "gemv2T"


def test_standard_input_has_a_limit(stdin) -> None:
    stdin(REPORT)
    with pytest.raises(LimitExceededError, match=f"-: more than {len(REPORT) - 1} bytes"):
        load("-", limits=Limits(stream_bytes=len(REPORT) - 1))


def test_nothing_on_standard_input(stdin) -> None:
    stdin(b"")
    with pytest.raises(UnknownFormatError, match="empty"):
        load("-")


def test_a_file_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(REPORT)
    with pytest.raises(LimitExceededError, match=f"{len(REPORT)} bytes; the limit is 10"):
        load(path, limits=Limits(file_bytes=10))


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "missing", "no such file"),
        (tmp_path, "a directory"),
        (tmp_path / "pipe", "a device, pipe or socket"),
        (Path(os.devnull), "a device, pipe or socket"),
        ("a\x00b", "can't be opened"),
        ("x" * 5000, "can't be opened"),
    ):
        with pytest.raises(ReportError, match=message) as caught:
            load(path)
        assert caught.value.path == str(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(REPORT)
    path.chmod(0)
    with pytest.raises(ReportError, match="no permission"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (gzip.compress(REPORT), "starts like gzip"),
        (b"PK\x03\x04rest", "ZIP archive"),
        (b"\x7fELF\x02", "ELF"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (b"\x00\x01\x02\x03", "binary content that starts with 00 01 02 03"),
        (b"\xffbinary as latin-1, long enough", "binary content that starts with ff 62"),
        (b"[project]\nname = 1\n", r"text that starts with '\[project\] name = 1'"),
        ("größe\x1b[2J".encode(), r"text that starts with 'größe\[2J'"),
    ],
)
def test_an_unknown_format_is_described(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match=message):
        load(path)


def test_a_foreign_database_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    with pytest.raises(ReportError, match="nvprof"):
        load(path)
