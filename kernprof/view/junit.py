"""Gates as JUnit XML, which every CI system shows: one test case a kernel and gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from kernprof.comparison.result import Comparison, Pair
from kernprof.text import clean


@dataclass(frozen=True, slots=True)
class _Case:
    """One test case; ``kind`` is the element that tells how it went, ``message`` why."""

    place: str
    name: str
    kind: str
    message: str | None = None
    text: str | None = None


def junit(comparison: Comparison, *, allow_unjudged: bool = False) -> str:
    """Return the document; without gates, one passing case a kernel that tells what changed.

    Parameters
    ----------
    allow_unjudged
        A gate that was not judged is a case left out (``skipped``), not an ``error``.
    """
    unjudged = "skipped" if allow_unjudged else "error"
    cases = [*_of_pairs(comparison, unjudged), *_one_sided(comparison, unjudged)]
    counts = Counter(case.kind for case in cases)
    suite = ElementTree.Element(
        "testsuite",
        name="kernprof compare",
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
    )
    for case in cases:
        element = ElementTree.SubElement(
            suite, "testcase", classname=clean(case.place), name=clean(case.name)
        )
        told = ElementTree.SubElement(element, case.kind)
        if case.message is not None:
            told.set("message", clean(case.message))
        if case.text is not None:
            told.text = clean(case.text)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _of_pairs(comparison: Comparison, unjudged: str) -> Iterator[_Case]:
    found = {(f.pair, f.gate): ("failure", f.reason) for f in comparison.failed}
    for each in comparison.unjudged:
        if each.pair is not None:
            found[each.pair, each.gate] = unjudged, f"not judged: {each.reason}"
    for index, pair in enumerate(comparison.pairs):
        gates = [gate.text for gate in comparison.gates if gate.concerns(*pair.names)]
        for gate in gates or ["compared"]:
            kind, message = found.get((index, gate), ("system-out", None))
            yield _Case(_place(pair, comparison), gate, kind, message, pair.sentence)


def _one_sided(comparison: Comparison, unjudged: str) -> Iterator[_Case]:
    """Yield the gates of kernels that only one side has; without gates one case left out each."""
    for side, other, profiles in (
        ("base", "new", comparison.only_base),
        ("new", "base", comparison.only_new),
    ):
        for profile in profiles:
            gates = [
                each
                for each in comparison.unjudged
                if (each.side, each.kernel, each.origin) == (side, profile.kernel, profile.origin)
            ]
            for gate in gates:
                yield _Case(profile.kernel, gate.gate, unjudged, f"not judged: {gate.reason}")
            if not gates:
                left_out = f"only in the {side}: not compared"
                yield _Case(profile.kernel, f"is in the {other} report", "skipped", left_out)


def _place(pair: Pair, comparison: Comparison) -> str:
    """Name a kernel; with its place in the base where several have the name."""
    alike = sum(other.kernel == pair.kernel for other in comparison.pairs)
    position = pair.base.profile.origin.rpartition("#")[2]
    return f"{pair.kernel} #{position}" if alike > 1 else pair.kernel
