"""The cache on disk: nobody else's files are ever used, and nobody else can put theirs in."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernprof.compile import DiskCache, private
from kernprof.compile.private import distrust
from kernprof.health import State, checks

KEY, CONTENT = "ab12", b"machine code"
STRANGER = 12345


@pytest.fixture
def open_umask() -> Iterator[None]:
    old = os.umask(0)
    yield
    os.umask(old)


@pytest.fixture
def own(tmp_path: Path) -> DiskCache:
    cache = DiskCache(tmp_path / "above" / "cache")
    cache.put(KEY, CONTENT)
    assert cache.get(KEY) == CONTENT
    return cache


def entry(cache: DiskCache) -> Path:
    return cache.directory / KEY[:2] / KEY


def give_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_files_and_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "above" / "cache")
    cache.put(KEY, CONTENT)
    assert mode(entry(cache)) == 0o600
    for folder in (entry(cache).parent, cache.directory, cache.directory.parent):
        assert mode(folder) == 0o700


@pytest.mark.parametrize("bits", [0o777, 0o1777, 0o770, 0o707])
def test_a_cache_that_others_can_write_is_none(own: DiskCache, bits: int) -> None:
    os.chown(own.directory, -1, STRANGER) if os.geteuid() == 0 else None
    own.directory.chmod(bits)
    if os.geteuid() != 0 and not bits & 0o002:
        pytest.skip("only root can give a folder to a group that others are in")
    assert own.get(KEY) is None
    own.put("cd34", CONTENT)
    assert not (own.directory / "cd").exists()
    weak = distrust(own.directory)
    assert weak is not None
    assert f"writable by others (mode {bits:o})" in weak.reason
    assert weak.remedy == f"chmod go-w {own.directory}"


def test_a_folder_above_counts_too(own: DiskCache) -> None:
    above = own.directory.parent
    above.chmod(0o777)
    assert own.get(KEY) is None
    above.chmod(0o1777)  # as /tmp: others may write, not exchange what is ours
    assert own.get(KEY) == CONTENT


def test_folders_of_others_are_none(own: DiskCache) -> None:
    give_away(own.directory)
    assert own.get(KEY) is None
    weak = distrust(own.directory)
    assert weak is not None
    assert f"belongs to user {STRANGER}" in weak.reason
    assert "KERNPROF_CACHE_DIR" in weak.remedy


def test_a_folder_of_others_above_is_none(own: DiskCache) -> None:
    give_away(own.directory.parent)
    assert own.get(KEY) is None


def test_a_folder_of_others_inside_is_none(own: DiskCache) -> None:
    give_away(entry(own).parent)
    assert own.get(KEY) is None
    own.put(KEY, CONTENT)
    assert entry(own).parent.stat().st_uid == STRANGER
    assert own.get(KEY) is None


def test_entries_of_others_are_ignored_and_made_again(own: DiskCache) -> None:
    give_away(entry(own))
    assert own.get(KEY) is None
    own.put(KEY, b"new")
    assert own.get(KEY) == b"new"


def test_entries_that_others_can_write_are_ignored(own: DiskCache) -> None:
    entry(own).chmod(0o666)
    assert own.get(KEY) is None


def test_links_in_the_cache_are_not_followed(own: DiskCache, tmp_path: Path) -> None:
    kept = entry(own).rename(tmp_path / "kept")
    entry(own).symlink_to(kept)
    assert own.get(KEY) is None
    own.put(KEY, b"new")
    assert own.get(KEY) == b"new"
    assert not entry(own).is_symlink()
    assert kept.read_bytes().endswith(CONTENT)
    folder = entry(own).parent.rename(tmp_path / "folder")
    entry(own).parent.symlink_to(folder)
    assert own.get(KEY) is None


def test_a_link_of_the_users_own_may_lead_to_the_cache(own: DiskCache, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(Path("above") / "." / ".." / "above")
    assert DiskCache(link / "cache").get(KEY) == CONTENT
    give_away(link)
    assert DiskCache(link / "cache").get(KEY) is None


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    cache = DiskCache(tmp_path / "a")
    cache.put(KEY, CONTENT)
    assert cache.get(KEY) is None


def test_what_is_no_file_is_no_entry(own: DiskCache) -> None:
    entry(own).unlink()
    os.mkfifo(entry(own), 0o600)
    assert own.get(KEY) is None


@pytest.mark.parametrize("at", [0, 9, -1])
def test_damaged_entries_go_away(own: DiskCache, at: int) -> None:
    raw = bytearray(entry(own).read_bytes())
    raw[at] ^= 1
    entry(own).write_bytes(raw)
    assert own.get(KEY) is None
    assert not entry(own).exists()


def test_an_entry_larger_than_the_cache_is_not_read(own: DiskCache) -> None:
    assert DiskCache(own.directory, limit_bytes=20).get(KEY) is None


def test_nothing_half_written_stays(own: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    own.put(KEY, b"new")
    assert own.get(KEY) == CONTENT
    assert [p.name for p in entry(own).parent.iterdir()] == [KEY]


def test_a_group_of_the_users_own_is_nobody_else(
    own: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.directory.chmod(0o770)
    monkeypatch.setattr(private, "_is_own_group", lambda number: True)
    assert own.get(KEY) == CONTENT
    monkeypatch.setattr(private, "_is_own_group", lambda number: False)
    assert own.get(KEY) is None


def test_the_doctor_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> checks.Finding:
        return next(f for f in checks.examine() if f.check.startswith("cache"))

    monkeypatch.setenv("KERNPROF_CACHE_DIR", str(tmp_path / "cache"))
    assert found().state is State.OK
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    assert found().state is State.CLASH
    assert found().found.startswith("not used: ")
    assert found().remedy == f"chmod go-w {tmp_path / 'cache'}"
    monkeypatch.setenv("KERNPROF_CACHE_DIR", "relative")
    assert found().state is State.CLASH
