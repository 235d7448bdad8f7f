"""Gates as JUnit XML, which every CI system shows: one test case a kernel and gate."""

from __future__ import annotations

from xml.etree import ElementTree

from kernprof.comparison.compare import Comparison, Pair
from kernprof.text import clean


def junit(comparison: Comparison) -> str:
    """Return the document; without gates, one passing case a kernel that tells what changed."""
    cases = []
    for index, pair in enumerate(comparison.pairs):
        names = [
            name
            for side in (pair.base.profile, pair.new.profile)
            for name in (side.kernel, side.demangled)
        ]
        gates = [gate.text for gate in comparison.gates if gate.concerns(*names)]
        cases += [(index, pair, gate) for gate in gates or ["compared"]]
    missing = [profile.kernel for profile in comparison.only_base]
    suite = ElementTree.Element(
        "testsuite",
        name="kernprof compare",
        tests=str(len(cases) + len(missing)),
        failures=str(len(comparison.failed)),
        skipped=str(len(missing)),
    )
    failures = {(f.pair, f.gate): f.reason for f in comparison.failed}
    for index, pair, gate in cases:
        case = ElementTree.SubElement(
            suite, "testcase", classname=clean(_place(pair, comparison)), name=clean(gate)
        )
        reason = failures.get((index, gate))
        if reason is not None:
            failure = ElementTree.SubElement(case, "failure", message=clean(reason))
            failure.text = clean(pair.sentence)
        else:
            ElementTree.SubElement(case, "system-out").text = clean(pair.sentence)
    for kernel in missing:
        case = ElementTree.SubElement(
            suite, "testcase", classname=clean(kernel), name="is in the new report"
        )
        ElementTree.SubElement(case, "skipped", message="only in the base: not compared")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _place(pair: Pair, comparison: Comparison) -> str:
    """Name a kernel; with its place in the base where several have the name."""
    alike = sum(other.kernel == pair.kernel for other in comparison.pairs)
    position = pair.base.profile.origin.rpartition("#")[2]
    return f"{pair.kernel} #{position}" if alike > 1 else pair.kernel
