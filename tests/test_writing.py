from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kernprof.errors import UsageError
from kernprof.writing import check_target, copy_file, identity, open_result, write_file


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0, 0o666)):
        path = tmp_path / f"{umask}"
        before = os.umask(umask)
        try:
            write_file(path, b"x")
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_that_is_replaced_is_private_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o4600)
    with open_result(path) as stream:
        stream.write(b"new")
        (scratch,) = (item for item in tmp_path.iterdir() if item != path)
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o600
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    # The bit that makes a program run as its owner is not handed on.
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_owner_stays(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only the superuser gives files away")
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    write_file(path, b"new")
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


def test_a_file_that_may_not_be_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    # The superuser may write everything: it is told otherwise.
    monkeypatch.setattr(os, "access", lambda *_: False)
    for write in (check_target, lambda place: write_file(place, b"new")):
        with pytest.raises(UsageError, match=r"can't write .*/file: Permission denied"):
            write(path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"


def test_the_name_may_be_as_long_as_names_get(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_file(path, b"x")
    with pytest.raises(UsageError, match="File name too long"):
        write_file(tmp_path / ("x" * 256), b"x")
    assert list(tmp_path.iterdir()) == [path]


def half(path: Path, error: type[BaseException]) -> None:
    with open_result(path) as stream:
        stream.write(b"half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_block_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        half(tmp_path / "file", error)
    assert not list(tmp_path.iterdir())


def test_links_lead_through_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "to-b").symlink_to("b")
    (tmp_path / "b" / "up").symlink_to("../a/new")
    write_file(tmp_path / "to-b" / "up", b"x")
    assert (tmp_path / "a" / "new").read_bytes() == b"x"
    assert (tmp_path / "b" / "up").is_symlink()


def test_a_socket_is_refused_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for write in (check_target, lambda place: write_file(place, b"x")):
            with pytest.raises(UsageError, match="No such device or address"):
                write(Path("socket"))
        assert Path("socket").is_socket()


def test_copies_are_whole(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "from").write_bytes(content)
    copy_file(tmp_path / "from", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == content


def test_a_slow_reader_is_waited_for(tmp_path: Path) -> None:
    """A pipe that does not block takes 64 KiB at once; the rest must not be lost."""
    import threading

    read, write = os.pipe()
    os.set_blocking(write, False)
    content = os.urandom(1_000_000)
    got: list[bytes] = []

    def reader() -> None:
        with open(read, "rb") as stream:
            got.append(stream.read())

    thread = threading.Thread(target=reader, daemon=True)
    thread.start()
    write_file(Path(f"/dev/fd/{write}"), content)
    os.close(write)
    thread.join(60)
    assert got == [content]


def test_identity_sees_through_links_and_descriptors(tmp_path: Path) -> None:
    path, link, hard = tmp_path / "file", tmp_path / "link", tmp_path / "hard"
    path.write_bytes(b"")
    link.symlink_to(path)
    os.link(path, hard)
    with path.open("rb") as stream:
        places = (link, hard, stream.fileno(), Path(f"/dev/fd/{stream.fileno()}"))
        assert {identity(place) for place in places} == {identity(path)}
    assert identity(tmp_path / "new") == identity(tmp_path / "." / "new")
    assert identity(tmp_path / "new") != identity(tmp_path / "other")
    # Nothing is lost by writing twice to a device; what can't be there has no identity.
    assert identity(Path("/dev/null")) is None
    assert identity(tmp_path / "no" / "file") is None
