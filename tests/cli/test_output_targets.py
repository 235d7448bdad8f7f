"""Every command's -o: devices stay, links are followed, what goes wrong leaves the old file."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import every_command as every

from kernprof import main
from kernprof.cli.stopping import stopped_by_signals

WRITERS = every.writers()
OLD = b"old content\n"
NULL, FULL = (1, 3), (1, 7)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stand-in of ncu is run by ``python3`` and imports this package."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(every.ROOT), *filter(None, sys.path)]))


def target(name: str, folder: Path, stem: str = "out") -> Path:
    return folder / f"{stem}{every.SUFFIX.get(name, '.txt')}"


def run(name: str, inputs: Path, path: Path, *more: str) -> int:
    return main(every.call(name, inputs, "-o", str(path), *more))


def device(path: Path, numbers: tuple[int, int]) -> None:
    """Make a device node of the test's own; never one of the machine's is used."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(*numbers))
        os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        pytest.skip(f"no device node can be made and opened here: {error.strerror}")


def one_error_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("kernprof: error: ")]
    assert len(lines) == 1
    assert "internal error" not in err
    assert "Traceback" not in err
    return lines[0]


def test_every_command_that_writes_is_covered() -> None:
    assert set(WRITERS) == set(every.MAKERS)


def test_commands_with_inputs_can_be_forced() -> None:
    for name, parameters in every.commands().items():
        if name in WRITERS and name != "doctor":
            assert "force" in parameters, name


@pytest.mark.parametrize("name", WRITERS)
def test_files_and_links(
    name: str, inputs: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, link = target(name, outputs, "old"), target(name, outputs, "link")
    old.write_bytes(OLD)
    old.chmod(0o640)
    link.symlink_to("hop")
    (outputs / "hop").symlink_to(old.name)
    assert run(name, inputs, link) == 0
    written = old.read_bytes()
    assert len(written) > len(OLD)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert os.readlink(link) == "hop"

    dangling, new = target(name, outputs, "dangling"), outputs / "new"
    dangling.symlink_to(new)
    umask = os.umask(0o027)
    try:
        assert run(name, inputs, dangling) == 0
    finally:
        os.umask(umask)
    assert dangling.is_symlink()
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert new.stat().st_size > len(OLD)

    loop = target(name, outputs, "loop")
    loop.symlink_to(loop)
    folder = target(name, outputs, "folder")
    folder.mkdir()
    for path, number in (
        (loop, errno.ELOOP),
        (folder, errno.EISDIR),
        (target(name, outputs / "nowhere"), errno.ENOENT),
    ):
        capsys.readouterr()
        assert run(name, inputs, path) == 2
        assert os.strerror(number) in one_error_line(capsys.readouterr().err)
    assert loop.is_symlink()
    assert len(list(outputs.iterdir())) == 7


@pytest.mark.parametrize("name", WRITERS)
def test_a_pipe_gets_it_all(name: str, inputs: Path, outputs: Path) -> None:
    fifo = target(name, outputs)
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()), daemon=True)
    reader.start()
    assert run(name, inputs, fifo) == 0
    reader.join(60)
    assert len(got[0]) > len(OLD)
    assert fifo.is_fifo()


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in every.SUFFIX])
def test_a_descriptor_is_continued(name: str, inputs: Path, outputs: Path) -> None:
    """As ``{ echo before; kernprof ... -o /dev/fd/N; echo after; } N> file`` has it."""
    path = outputs / "file"
    with path.open("wb", buffering=0) as stream:
        stream.write(b"before\n")
        assert run(name, inputs, Path(f"/dev/fd/{stream.fileno()}")) == 0
        stream.write(b"after\n")
    content = path.read_bytes()
    assert content.startswith(b"before\n")
    assert content.endswith(b"after\n")
    assert len(content) > 40
    assert list(outputs.iterdir()) == [path]


@pytest.mark.parametrize("name", WRITERS)
def test_devices_stay(
    name: str, inputs: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    null, full = target(name, outputs, "null"), target(name, outputs, "full")
    device(null, NULL)
    device(full, FULL)
    assert run(name, inputs, null) == 0
    capsys.readouterr()
    assert run(name, inputs, full) == 2
    assert os.strerror(errno.ENOSPC) in one_error_line(capsys.readouterr().err)
    for path, numbers in ((null, NULL), (full, FULL)):
        assert stat.S_ISCHR(path.lstat().st_mode)
        assert path.lstat().st_rdev == os.makedev(*numbers)
    assert sorted(outputs.iterdir()) == [full, null]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_signals_leave_the_old_file(
    name: str,
    number: signal.Signals,
    code: int,
    inputs: Path,
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = target(name, outputs)
    path.write_bytes(OLD)
    # Who runs the tests may ignore signals (nohup, a shell's background).
    start = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, start)
    # All is written, the old file not yet replaced: the last moment at which it can be spoilt.
    replace = os.replace

    def interrupted(*paths: object, **folders: object) -> None:
        if folders:  # an entry of the cache, relative to its folder
            replace(*paths, **folders)
        else:
            signal.raise_signal(number)

    monkeypatch.setattr(os, "replace", interrupted)
    try:
        assert run(name, inputs, path) == code
        assert signal.getsignal(number) is start
    finally:
        signal.signal(number, before)
    assert path.read_bytes() == OLD
    assert list(outputs.iterdir()) == [path]
    assert "Traceback" not in capsys.readouterr().err


def test_an_ignored_signal_stays_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert stop.number is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", WRITERS)
def test_a_defect_leaves_the_old_file(
    name: str, inputs: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = target(name, outputs)
    path.write_bytes(OLD)

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(os, "replace", fail)
    assert run(name, inputs, path) == 70
    assert path.read_bytes() == OLD
    assert list(outputs.iterdir()) == [path]


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "doctor"])
def test_an_input_is_no_output(
    name: str, inputs: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every.arguments(name, inputs)
    source = every.input_of(name, inputs)
    assert source is not None
    content = source.read_bytes()
    hard, soft = target(name, outputs, "hard"), target(name, outputs, "soft")
    os.link(source, hard)
    soft.symlink_to(source)
    same_ending = source.suffix == hard.suffix
    for path in (hard, soft, source) if same_ending else (hard, soft):
        capsys.readouterr()
        assert run(name, inputs, path) == 2
        said = one_error_line(capsys.readouterr().err)
        assert "--force" in said
        assert source.name in said
        assert source.read_bytes() == content
    assert run(name, inputs, soft, "--force") == 0
    assert source.read_bytes() != content
    assert soft.is_symlink()


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "convert"])
def test_a_full_standard_output_is_one_line(
    name: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = every.call(name, inputs, *(["-o", "-"] if name in every.NEEDS_A_FILE else []))
    for buffering in (-1, 1):
        with open("/dev/full", "w", buffering=buffering) as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            assert main(words) == 2
            monkeypatch.undo()
        said = one_error_line(capsys.readouterr().err)
        assert said.endswith("standard output can't be written: No space left on device")
        if name == "profile":
            break  # one run of the stand-in is enough


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("convert", "profile")])
def test_a_closed_standard_output(
    name: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = every.call(name, inputs, *(["-o", "-"] if name in every.NEEDS_A_FILE else []))
    monkeypatch.setattr(sys, "stdout", None)
    code = main(words)
    monkeypatch.undo()
    assert code == 2
    assert one_error_line(capsys.readouterr().err).endswith("it is closed")


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("convert", "profile")])
def test_a_reader_that_went_away_is_no_news(
    name: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = every.call(name, inputs, *(["-o", "-"] if name in every.NEEDS_A_FILE else []))
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        code = main(words)
        monkeypatch.undo()
    assert code == 0
    assert not [line for line in capsys.readouterr().err.splitlines() if "error" in line.lower()]


def test_a_gate_still_fails_when_nobody_reads(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = every.call("compare", inputs, "--fail-if", "registers > 0")
    expected = main(words)
    assert expected == 1
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        code = main(words)
        monkeypatch.undo()
    assert code == expected


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["paper", "table1"]])
def test_the_interpreter_ends_in_peace(words: list[str], unbuffered: str) -> None:
    """At its end the interpreter flushes once more, with an exit code of its own."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kernprof", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
    assert done.returncode == 2
    line = "kernprof: error: standard output can't be written: No space left on device\n"
    assert done.stderr == line


def test_closed_streams_of_a_process() -> None:
    for closing, code in ((">&-", 2), ("2>&-", 3), (">&- 2>&-", 3), ("2>/dev/full", 3)):
        words = "paper table1" if code == 2 else "stalls no-such-file"
        done = subprocess.run(
            ["sh", "-c", f'exec "{sys.executable}" -m kernprof {words} {closing}'],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (closing, done.stderr)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


def test_two_results_need_two_files(
    inputs: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, link = outputs / "out", outputs / "link"
    link.symlink_to(out)
    assert run("compare", inputs, out, "--junit", str(link)) == 2
    assert "two results need two files" in one_error_line(capsys.readouterr().err)
    arrays = ["--out", f"A={out}"]
    assert run("predict", inputs, link, *arrays) == 2
    assert run("predict", inputs, link, *arrays, *arrays) == 2
    assert not out.exists()
    capsys.readouterr()
    null = outputs / "null"
    device(null, NULL)
    # A device holds nothing that could be lost.
    assert run("compare", inputs, null, "--junit", str(null)) == 0


def test_other_writers_go_the_same_way(
    inputs: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit, array = outputs / "junit", outputs / "array"
    for path in (junit, array):
        path.symlink_to(f"{path.name}.real")
    assert main(every.call("compare", inputs, "--junit", str(junit))) == 0
    assert main(every.call("predict", inputs, "--out", f"A={array}")) == 0
    for path in (junit, array):
        assert path.is_symlink()
        assert path.stat().st_size > 100
    source = inputs / "k.cu"
    assert main(every.call("predict", inputs, "--out", f"A={source}")) == 2
    assert main(every.call("compare", inputs, "--junit", str(inputs / "in.csv"))) == 2
    assert source.read_text() == every.SOURCE


def test_an_array_goes_through_a_pipe(inputs: Path, outputs: Path) -> None:
    import numpy as np

    fifo = outputs / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()), daemon=True)
    reader.start()
    assert main(every.call("predict", inputs, "--out", f"A={fifo}")) == 0
    reader.join(60)
    assert np.load(io.BytesIO(got[0])).tolist() == [1.0] * 32


def test_standard_output_is_no_input(inputs: Path) -> None:
    """``kernprof stalls in.csv >> in.csv``."""
    words = every.arguments("stalls", inputs)
    source = inputs / "in.csv"
    content = source.read_bytes()
    with source.open("ab") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "kernprof", *words],
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "standard output is the input" in done.stderr
    assert source.read_bytes() == content


FULL_DISK = """
import contextlib, io, json, os, sys
from pathlib import Path
sys.path[:0] = json.loads(os.environ["TEST_PATHS"])
import every_command as every
from kernprof import main

inputs, disk = Path(sys.argv[1]), Path(sys.argv[2])
results = {}
calls = {}
for name in every.writers():
    folder = inputs / name
    folder.mkdir()
    calls[name] = every.arguments(name, folder)
old = {name: disk / ("old" + name + every.SUFFIX.get(name, "")) for name in calls}
for path in old.values():
    path.write_bytes(b"old")
with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
    while filler.write(bytes(4096)):
        pass
before = sorted(os.listdir(disk))
for name, (first, *rest) in calls.items():
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main([first, "-o", str(old[name]), *rest])
    left = sorted(set(os.listdir(disk)) ^ set(before))
    results[name] = [code, old[name].read_bytes().decode(), left, said.getvalue()]
print(json.dumps(results))
"""


def test_a_full_disk_leaves_the_old_files(inputs: Path, outputs: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a file system can be mounted by the superuser only, with unshare")
    mount = f'mount -t tmpfs -o size=64k none "{outputs}"'
    probe = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"no file system can be mounted here: {probe.stderr.strip()}")
    script = inputs.parent / "full_disk.py"
    script.write_text(FULL_DISK, encoding="utf-8")
    command = [sys.executable, str(script), str(inputs), str(outputs)]
    paths = [str(every.ROOT), str(Path(__file__).parent)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TEST_PATHS": json.dumps(paths)},
    )
    results = json.loads(done.stdout)
    assert set(results) == set(WRITERS)
    for name, (code, content, left, said) in results.items():
        assert (code, content, left) == (2, "old", []), name
        assert os.strerror(errno.ENOSPC) in one_error_line(said)
    assert not list(outputs.iterdir())
