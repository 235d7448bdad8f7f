"""One self-contained HTML page of a report: no network, no framework, no markup out of data.

Everything that comes from a report is JSON in a data block and becomes text through
``textContent``. The page's policy allows the one style and the one script whose hashes it names,
and no connection.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from kernprof._version import __version__
from kernprof.text import printable

_SCRIPTS = ("1_dom.js", "2_table.js", "3_charts.js", "4_occupancy.js", "5_page.js")


def page(document: Mapping[str, Any]) -> str:
    """Render the document of ``kernprof.view.html_data`` as a page."""
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    style = _asset("report.css")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "@POLICY@": policy,
        "@STYLE@": style,
        "@MADE@": f"Made by kernprof {__version__}.",
        "@SCRIPT@": script,
        "@DATA@": _inert(document),
    }
    # Data go in last and in one pass: a placeholder's name in a report stays what it is.
    rendered = []
    rest = _asset("report.html")
    for mark in ("@POLICY@", "@STYLE@", "@MADE@", "@DATA@", "@SCRIPT@"):
        before, _, rest = rest.partition(mark)
        rendered += [before, parts[mark]]
    return "".join([*rendered, rest])


def _inert(document: Mapping[str, Any]) -> str:
    """Serialise for a script block: no ``<``, so that no text can end the block."""
    text = json.dumps(_visible(document), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _visible(value: Any) -> Any:
    """Drop control characters out of all texts; source text keeps its tabs."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_visible(key): _visible(item) for key, item in value.items()}
    return [_visible(item) for item in value] if isinstance(value, list | tuple) else value


def _asset(name: str) -> str:
    return files("kernprof.view").joinpath("data", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
