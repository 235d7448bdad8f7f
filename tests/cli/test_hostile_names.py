"""Names are data: no input brings a control character into any output of any command."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reports"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import csv_builder
import damage
import every_command as every
import ncurep_builder as build

from kernprof import main
from kernprof.compile import compile_source, elf
from kernprof.text import clean, printable

# Colors, a window's title, an 8-bit CSI, backspaces, a reversal, line separators, a zero-width
# mark; and what Markdown, rich, HTML, spreadsheets and matplotlib's formulas take for their own.
MARKS = "\x1b[31m\x1b]0;t\x07\x9b2J\x08\x7f\u202e\u2066\u2028\x85\u200b\ufeff\ufffe"
EVIL = f"EVIL{MARKS}[red]|`<b>&$x$]]>"
LINES = f"{EVIL}\r\n\tnext"
FILE_NAME = "EVIL\x1b[31m\u202e\n[red]|`"
BASE = 0x7F00_0000_0000
STALLS = [
    f"smsp__average_warps_issue_stalled_{reason}_per_issue_active.ratio" for reason in damage.CORE
]

SOURCE = f"""extern "C" __global__ void fill(float *A, int n) {{
#line 7 "{EVIL.replace("`", "")}.cu"
    if (threadIdx.x < n) A[threadIdx.x] = 1.0f; // {EVIL}
    if (n == 77) A[1 << 20] = 0.0f; // {EVIL}
}}
"""


def prototxt(folder: Path) -> str:
    text = every.PROTOTXT.replace("little", f"{EVIL}\\n").replace('"pw"', f'"{EVIL}\\n\\t"')
    text = text.replace('"data"', f'"{EVIL}data"') + (
        f'layer {{ name: "{EVIL}" type: "{EVIL}" bottom: "{EVIL}data" top: "y" }}\n'
    )
    return _file(folder, ".prototxt", text.encode())


def onnx(folder: Path) -> str:
    helper = pytest.importorskip("onnx.helper")
    from onnx import TensorProto

    node = helper.make_node("Relu", ["x"], ["y"], name=LINES)
    strange = helper.make_node("Identity", ["y"], ["z"], name=LINES)
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    result = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 8, 8])
    model = helper.make_model(helper.make_graph([node, strange], LINES, [image], [result]))
    return _file(folder, ".onnx", model.SerializeToString())


def ncu_csv(folder: Path) -> str:
    header = ("ID", "Kernel Name", "Device", "Metric Name", "Metric Unit", "Metric Value")
    name = f"{LINES}(int)"
    rows = [
        (0, name, EVIL, "gpu__time_duration.sum", "nsecond", 1000),
        (0, name, EVIL, "launch__registers_per_thread", "register/thread", 32),
        (0, name, EVIL, f"{EVIL}.sum", "", EVIL),
        *((0, name, EVIL, metric, "inst", 2) for metric in STALLS),
    ]  # fmt: skip
    text = csv_builder.quoted(header) + "".join(csv_builder.quoted(row) for row in rows)
    return _file(folder, ".csv", text.encode())


def nvprof(folder: Path) -> str:
    text = every.NVPROF.read_text("utf-8").replace("gemmk1", f"EVIL{MARKS}[red]`")
    return _file(folder, "-nvprof.csv", text.encode())


def cubin() -> bytes:
    return compile_source(SOURCE, arch="sm_80").image


def ncu_rep(folder: Path) -> str:
    image = cubin()
    index = next(s.index for s in elf.parse(image).symbols if s.name == "fill" and s.type == 2)
    wait = "smsp__pcsamp_warps_issue_stalled_wait"
    launch = build.Launch(
        kernel=LINES,
        mangled="fill",
        demangled=f"{LINES}(int)",
        metrics={
            "launch__function_pcs": BASE,
            "gpu__time_duration.sum": 1000.0,
            "device__attribute_display_name": EVIL,
            f"{LINES}.sum": EVIL,
            **dict.fromkeys(STALLS, 3.0),
        },
        instances={wait: {BASE + 16 * n: 10 + n for n in range(4)}},
        nvtx=(LINES,),
        rules=((EVIL, (4, LINES)),),
        comment=LINES,
        source=1,
    )
    ids = build.names_of([launch])
    entry = build.source(image, 1, [(BASE, index)], [EVIL], **{f"{EVIL}.cu": SOURCE})
    content = build.head() + build.block(session=build.session(comment=LINES, command=EVIL))
    content += build.block(strings=ids, sources=[entry], results=[build.result(launch, ids)])
    return _file(folder, ".ncu-rep", content)


def cuda(folder: Path) -> str:
    return _file(folder, ".cu", SOURCE.encode())


def broken_cuda(folder: Path) -> str:
    return _file(folder, "-broken.cu", f"#error {EVIL}\nint a = {EVIL};\n".encode())


def renamed_cubin(folder: Path) -> str:
    """A kernel whose symbol starts with a reversal of the direction of writing."""
    return _file(folder, ".cubin", cubin().replace(b"fill", "\u202ef".encode()))


def script(folder: Path) -> str:
    return _file(folder, ".py", b"raise ValueError('\x1b[31mEVIL\x07')\n")


def _file(folder: Path, ending: str, content: bytes) -> str:
    # Bytes that are no UTF-8 come as lone surrogates.
    path = folder / (FILE_NAME + os.fsdecode(b"\xff") + ending)
    path.write_bytes(content)
    return str(path)


REPORTS = (ncu_csv, nvprof, ncu_rep)
Calls = Iterator[list[str]]


def stalls(folder: Path) -> Calls:
    for make in REPORTS:
        yield [make(folder)]
        yield [make(folder), "--lines", "--no-group"]
    yield [prototxt(folder)]
    yield [ncu_csv(folder), "--kernel", EVIL]
    yield [ncu_csv(folder), "--family", EVIL]


def layer(folder: Path) -> Calls:
    name = clean(f"{EVIL}\n\t")
    yield ["--network", prototxt(folder), "--name", name, "--source", "static"]
    yield ["--network", onnx(folder), "--name", clean(LINES), "--gpu", "p100,a100", *STATIC]
    yield ["--network", onnx(folder), "--name", EVIL]
    yield ["--network", EVIL, "--name", EVIL]
    yield ["--type", "conv", "--size", EVIL]


STATIC = ["--source", "static"]


def network(folder: Path) -> Calls:
    yield [prototxt(folder), "--launches"]
    yield [onnx(folder), "--launches", "--source", "predicted", "--gpu", "a100"]
    yield [cuda(folder)]
    yield [EVIL]
    yield [onnx(folder), "--input", EVIL]


def predict(folder: Path) -> Calls:
    yield [cuda(folder), *every.PREDICT, "--gpu", "a100", "--lines"]
    wrong = [*every.PREDICT[:-1], "n=int32:77"]
    yield [cuda(folder), *wrong, "--gpu", "a100", "--check"]
    yield [cuda(folder), *wrong, "--gpu", "a100"]
    yield [broken_cuda(folder), *every.PREDICT, "--gpu", "a100"]
    yield [renamed_cubin(folder), *every.PREDICT, "--gpu", "a100"]
    yield [renamed_cubin(folder), *every.PREDICT, "--kernel", EVIL]
    yield [ncu_rep(folder), *every.PREDICT[4:]]
    yield [script(folder), *every.PREDICT, "--gpu", "a100"]
    yield [cuda(folder), "--gpu", EVIL]
    yield [cuda(folder), "--arg", EVIL]
    yield [cuda(folder), "--out", EVIL]
    yield [cuda(folder), "--grid", EVIL, "--gpu", "a100"]


def compare(folder: Path) -> Calls:
    for make in REPORTS:
        path = make(folder)
        yield [path, path, "--fail-if", "cycles > -1 for EVIL", "--match", "order"]
        yield [path, path, "--fail-if", f"cycles > -1 for {EVIL}"]
        yield [path, path, "--fail-if", EVIL]
    yield [ncu_csv(folder), ncu_rep(folder)]


def paper(folder: Path) -> Calls:
    for make in REPORTS:
        yield ["table5", "--with", make(folder)]
    yield [EVIL]


def report(folder: Path) -> Calls:
    for make in REPORTS:
        yield [make(folder), "--base", make(folder), "-o", "-"]


def roofline(folder: Path) -> Calls:
    for make in REPORTS:
        yield [make(folder)]
        yield [make(folder), "--chart", EVIL]


def convert(folder: Path) -> Calls:
    yield [ncu_rep(folder), "-o", str(folder / f"{EVIL}.ncu-rep"), "--comment", LINES]
    yield [nvprof(folder), "-o", str(folder / f"{EVIL}.ncu-rep")]
    yield [ncu_rep(folder), "-o", EVIL]


def profile(folder: Path) -> Calls:
    talk = f"print({EVIL!r})"
    yield ["--program", str(every.STANDIN), "--kernel", "im2col", "--", sys.executable, "-c", talk]
    yield ["--dry-run", "--kernel", EVIL, "--", EVIL]
    yield ["--program", EVIL, "--", EVIL]
    yield ["--set", EVIL, "--", EVIL]


def doctor(folder: Path) -> Calls:
    yield []
    yield [EVIL]
    yield [f"--{EVIL}"]


CALLS: Mapping[str, Callable[[Path], Calls]] = {
    "stalls": stalls,
    "layer": layer,
    "network": network,
    "predict": predict,
    "profile": profile,
    "compare": compare,
    "convert": convert,
    "paper": paper,
    "report": report,
    "roofline": roofline,
    "doctor": doctor,
}
FORMATS = ("table", "md", "csv", "json")


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stand-in of ncu is run by ``python3`` and imports this package."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(every.ROOT), *filter(None, sys.path)]))


def assert_harmless(text: str, what: object) -> None:
    assert printable(text) == text, what
    assert "\r" not in text, what


def test_every_command_is_covered() -> None:
    assert set(CALLS) == set(every.commands())


@pytest.mark.parametrize(
    ("name", "fmt"),
    [
        (name, fmt)
        for name, parameters in every.commands().items()
        for fmt in (FORMATS if "fmt" in parameters else ("",))
    ],
)
def test_no_control_character_comes_out(
    name: str, fmt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    seen, codes = "", set()
    for number, words in enumerate(CALLS[name](folder)):
        if name == "profile" and number == 0 and fmt in ("md", "csv"):
            continue  # a run of the stand-in is slow
        form = ["--format", fmt] if fmt else []
        capsys.readouterr()
        code = main([name, *form, *words])
        out, err = capsys.readouterr()
        assert code in (0, 1, 2, 3, 4), (words, err)
        assert_harmless(out, words)
        assert_harmless(err, words)
        if fmt == "json" and code == 0 and "--dry-run" not in words:
            # Names lose the characters where they are read; other text is escaped, not lost.
            json.loads(out)
        seen, codes = seen + out + err, codes | {code}
        if "output" not in every.commands()[name] or "-o" in words:
            continue
        written = tmp_path / "written"
        if main([name, *form, "-o", str(written), *words]) == code and written.exists():
            assert_harmless(written.read_text("utf-8"), words)
        capsys.readouterr()
    assert 0 in codes
    if name != "doctor":
        assert "EVIL" in seen


def test_tables_of_a_terminal_have_colors_and_no_other_sequence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for words in (["stalls", ncu_rep(tmp_path), "--lines"], ["network", prototxt(tmp_path)]):
        screen = Terminal()
        monkeypatch.setattr(sys, "stdout", screen)
        assert main(words) == 0
        monkeypatch.setattr(sys, "stdout", sys.__stdout__)
        shown = screen.getvalue()
        assert "EVIL" in shown
        assert_harmless(re.sub("\x1b\\[[0-9;]*m", "", shown), words)
        # A name's own "color" is not one: without its ESC it is text.
        assert "[red]" in re.sub("\x1b\\[[0-9;]*m|\\s", "", shown)


def test_junit_is_xml_and_harmless(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    for make in REPORTS:
        report_path = make(tmp_path)
        gate = ["--fail-if", "cycles > -1"]
        main(["compare", report_path, report_path, *gate, "--junit", str(path)])
        text = path.read_text("utf-8")
        assert_harmless(text, make)
        root = ElementTree.fromstring(text)
        values = [value for item in root.iter() for value in (*item.attrib.values(), item.text)]
        assert any(value and "EVIL" in value for value in values)
        assert all(printable(value or "") == (value or "") for value in values)


@pytest.mark.parametrize("chart", ["time", "stalls"])
def test_drawings_are_xml_and_harmless(chart: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "drawing.svg"
    for make in (ncu_csv, ncu_rep):
        assert main(["roofline", make(tmp_path), "--chart", chart, "-o", str(path)]) == 0
        text = path.read_text("utf-8")
        assert_harmless(text, make)
        assert "EVIL" in "".join(ElementTree.fromstring(text).itertext())


def test_the_texts_of_a_page_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    for make in REPORTS:
        assert main(["report", make(tmp_path), "-o", str(path)]) == 0
        text = path.read_text("utf-8")
        assert_harmless(text, make)
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
        assert found is not None
        data = json.loads(found.group(1))
        decoded = json.dumps(data, ensure_ascii=False)
        assert "EVIL" in decoded
        assert printable(decoded) == decoded
        assert "\\u00" not in decoded


def test_a_notebook_shows_names_as_text(tmp_path: Path) -> None:
    from kernprof._frames import html_table

    shown = html_table([{EVIL: LINES}])
    assert_harmless(shown, "notebook")
    assert "<b>" not in shown
    assert "\n" not in shown


def test_profiles_in_python_have_clean_names(tmp_path: Path) -> None:
    import kernprof

    for make in REPORTS:
        for found in kernprof.load(make(tmp_path)).profiles:
            for text in (found.kernel, found.demangled or "", found.origin, found.gpu.name or ""):
                assert clean(text) == text
    kernel = cubin().replace(b"fill", "\u202ef".encode())
    path = tmp_path / "renamed.cubin"
    path.write_bytes(kernel)
    import numpy as np

    arguments = [np.zeros(32, np.float32), np.int32(32)]
    made = kernprof.predict(path, arguments, grid=(1,), block=(32,), gpu="a100")
    assert made.profile.kernel == "f"


def test_folders_may_have_any_bytes_in_their_names(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"EVIL\xff\x1b[31m")
    folder.mkdir()
    assert main(["predict", cuda(folder), *every.PREDICT, "--gpu", "a100"]) == 0


def test_names_are_found_as_they_are_shown(tmp_path: Path) -> None:
    from kernprof.networks.files import resolve_network

    for make in (prototxt, onnx):
        net = resolve_network(make(tmp_path))
        assert clean(net.name) == net.name
        for item in net.layers:
            assert clean(item.name) == item.name
            assert net.layer(item.name) is item
        assert len({item.name for item in net.layers}) == len(net.layers)
