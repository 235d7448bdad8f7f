"""The pictures of README.md, made from the program (`make pictures`).

``docs/pictures/demo.svg`` is the text of ``make demo``; ``docs/pictures/page.png`` is the HTML page
of the predicted profiles in ``traces/``, as headless Chromium shows it.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kernprof.errors import KernprofError, UnavailableError
from kernprof.writing import write_file

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"

TRACES = (
    "fc-caffe-p100.ncu-rep",
    "depthwise-caffe-p100.ncu-rep",
    "depthwise-direct-p100.ncu-rep",
    "pointwise-direct-a100.ncu-rep",
)
"""What the page shows; the first launch of the first is the chosen one."""

WIDTH, HEIGHT = 1440, 1368
"""Pixels of the page's picture: all columns of Table V, and the chosen launch under them."""

COLORS = 256
"""Of the page's picture, which is a third of the size then."""

COLUMNS = 100
"""Of the demo's picture; the demo is no wider."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

_FONT_FACE = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def demo_command(programs: Path) -> list[str]:
    """Return the command line of ``make demo`` by the environment whose programs are in a folder.

    Raises
    ------
    UnavailableError
        There is no make.
    """
    make = shutil.which("make")
    if make is None:
        raise UnavailableError("make is not installed", "apt-get install make")
    # A target that is older than everything stands in for the installation.
    return [make, "-s", "-o", "here", "demo", "RUN=here", f"BIN={programs}"]


def demo_text() -> str:
    """Return what ``make demo`` prints, with the folder of programs that users have.

    Raises
    ------
    UnavailableError
        There is no make, or the demo says what else is missing.
    """
    programs = Path(sys.executable).parent
    # A make that runs this must not have its say in the demo's.
    variables = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        demo_command(programs), cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UnavailableError(f"make demo failed ({done.stderr.strip()})", "kernprof doctor")
    return done.stdout.replace(str(programs), ".venv/bin")


def demo_svg(text: str) -> str:
    """Draw a terminal that shows a text; a line that begins with a number and a dot is bold.

    The same text gives the same drawing. It fetches no font, unlike rich's own: widths are set in
    the drawing, so any font with letters of one width will do.
    """
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    console = Console(
        record=True,
        file=io.StringIO(),
        width=COLUMNS,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    for line in ("$ make demo", *text.splitlines()):
        heading = re.match(r"\d\. |\$ ", line)
        console.print(Text(line, style="bold" if heading else ""), soft_wrap=True)
    frame = _FONT_FACE.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", _FONTS)
    return console.export_svg(title="kernprof", code_format=frame, unique_id="demo")


def page_png(folder: Path) -> bytes:
    """Write the page of the traces, and return a picture of its top.

    Parameters
    ----------
    folder
        An empty folder for the page and the browser's profile.

    Raises
    ------
    UnavailableError
        Chromium or Pillow is missing, or Chromium makes no picture.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UnavailableError("no Chromium here, which draws page.png", "apt-get install chromium")
    try:
        from PIL import Image
    except ImportError:
        raise UnavailableError(
            "no Pillow here, which shrinks page.png", "pip install pillow"
        ) from None
    page, picture = folder / "page.html", folder / "page.png"
    # Names relative to the source tree: the page shows them.
    traces = [f"traces/{name}" for name in TRACES]
    kernprof = [sys.executable, "-m", "kernprof", "report", *traces, "-o", str(page)]
    subprocess.run(kernprof, cwd=ROOT, check=True)
    options = [
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={WIDTH},{HEIGHT}",
        f"--screenshot={picture}",
    ]
    command = [browser, *FLAGS, *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not picture.is_file():
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise UnavailableError(f"{browser} made no picture ({last})", "apt-get install chromium")
    small = io.BytesIO()
    with Image.open(picture) as image:
        # By coverage: the palette of the default method goes by area, and takes two kernels of
        # little time, so of thin bars, to one color.
        by = Image.Quantize.MAXCOVERAGE
        image.convert("RGB").quantize(COLORS, method=by, dither=Image.Dither.NONE).save(
            small, "PNG", optimize=True
        )
    return small.getvalue()


def main(folder: Path = PICTURES) -> int:
    """Make both pictures; return what to exit with (4: something is missing, and it is told)."""
    try:
        write_file(folder / "demo.svg", demo_svg(demo_text()).encode())
        with tempfile.TemporaryDirectory() as scratch:
            write_file(folder / "page.png", page_png(Path(scratch)))
    except KernprofError as error:
        sys.stderr.write(f"pictures: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
