"""What a binary report tells of its own losses, gathered while its launches are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernprof.profile import KernelProfile, MetricValue, Source
from kernprof.reports.losses import Held, listed, unlike
from kernprof.reports.ncurep.frame import parse

_UNLISTED = {
    "BlockHeader": frozenset[int](),
    # 18, 20, 24, 26 to 30 by NVIDIA's Customization Guide; 31, 35 and 36 are met in reports of
    # Nsight Compute 2025.
    "ProfileResult": frozenset({18, 20, 24, 26, 27, 28, 29, 30, 31, 35, 36}),
    "Metric": frozenset[int](),
    "SourceReference": frozenset[int](),
    "SourceData": frozenset[int](),
}
"""Fields that public reports hold and no reader here needs; see ``data/fields.toml``."""

_SUMMED = re.compile(
    r"(inst_executed|thread_inst_executed(_true)?|sass__\w+|smsp__pcsamp_warps_\w+"
    r"|smsp__pcsamp_sample_count|smsp__branch_targets_threads_divergent|memory_l[12]_\w+)"
)
"""Metrics whose value is the sum of their instances in all public reports of the collection."""

_ALIKE = re.compile(r"(smsp__pcsamp_warps_issue_stalled)_\w+|(smsp__warps_issue_stalled)_\w+\.sum")
"""Families whose members have the same instructions, also where a count is 0."""

_NAME = re.compile(r"[A-Za-z][\w.:/ -]*|regex:.+")
"""Every name of the public reports has this form; what a user asked for stands among them."""

_SUM_INSTANCES = 200_000
"""Most instances of one report that are added up: well below a second."""


def is_summed(name: str) -> bool:
    """Tell metrics whose value is the sum of their instances."""
    return _SUMMED.fullmatch(name) is not None


@dataclass(slots=True)
class Ledger:
    """Counts what launches refer to and what they lack.

    Parameters
    ----------
    names
        The report's metric names, by index.
    cleaned
        How many of them held control characters.
    failed
        How to call the launches that failed under the profiler.
    """

    names: Sequence[str]
    cleaned: int = 0
    failed: list[str] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)
    _held: list[Held] = field(default_factory=list)
    _unknown: Counter[str] = field(default_factory=Counter)
    _unequal: list[str] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)
    _shorter: list[str] = field(default_factory=list)
    _instances_left: int = _SUM_INSTANCES

    def fields(self, kind: str, message: Any) -> None:
        """Count the fields of a message that no known release writes."""
        from google.protobuf.unknown_fields import UnknownFieldSet

        allowed = _UNLISTED[kind]
        # The stubs do not tell that it can be iterated.
        unknown: Any = UnknownFieldSet(message)
        odd = sum(found.field_number not in allowed for found in unknown)
        if odd:
            self._unknown[kind] += odd

    def total(self, name: str, value: MetricValue | None, metric: Any, where: str) -> None:
        """Compare a metric's value with the sum of its instances, where they should be equal."""
        self._counts[name] = len(metric.MetricValueList)
        if not isinstance(value, (int, float)) or not is_summed(name):
            return
        self._instances_left -= self._counts[name]
        if self._instances_left < 0:
            return
        found = 0.0
        for item in parse("MetricInstances", metric.SerializeToString(), where).MetricValueList:
            element = item.ElementValue
            found += element.Uint64 or element.Double
        if abs(found - value) > 1e-6 * abs(value):
            self._unequal.append(name)

    def launch(self, profile: KernelProfile) -> None:
        """Note what a launch holds; predicted ones hold what the simulator could tell of each."""
        held = profile.metrics.keys() | profile.instances.keys() | set(profile.unset)
        self._used |= held
        self._compare_counts()
        if profile.source is Source.PREDICTED:
            return
        group = profile.gpu.name, profile.gpu.cc
        self._held.append(Held(f"launch {profile.origin.rpartition('#')[2]}", group, held))

    def _compare_counts(self) -> None:
        """Note the metrics of a launch that have fewer instances than their family."""
        families: dict[str, dict[str, int]] = {}
        for name, count in self._counts.items():
            match = _ALIKE.fullmatch(name)
            if match is not None:
                families.setdefault(match.group(match.lastindex or 1), {})[name] = count
        for members in families.values():
            most = max(members.values())
            self._shorter += [name for name, count in members.items() if count < most]
        self._counts.clear()

    def notices(self) -> Iterator[str]:
        """Say what is missing, with its number; nothing where the report agrees with itself."""
        if self.failed:
            yield (
                f"{len(self.failed)} launch(es) failed under the profiler and are left out: "
                f"{listed(self.failed)}"
            )
        yield from unlike(self._held)
        known = set(self.names)
        idle = [name for name in known if name not in self._used]
        if idle:
            yield (
                f"{len(idle)} of {len(known)} metric names stand in the report without a metric "
                f"({listed(sorted(idle))}): this GPU lacks them, or they are lost"
            )
        odd = sorted(name for name in known if not _NAME.fullmatch(name))
        odd += ["(a name with control characters)"] * self.cleaned
        if odd:
            yield f"{len(odd)} metric name(s) are none as a profiler has them ({listed(odd)})"
        if len(known) < len(self.names):
            yield f"{len(self.names) - len(known)} metric name(s) stand in the report twice"
        for kind, count in self._unknown.items():
            yield (
                f"{count} field(s) of {kind} messages are none that a known release writes: the "
                "report is newer, or something is lost"
            )
        if self._shorter:
            yield (
                f"{len(self._shorter)} metric(s) have fewer instances than the others of their "
                f"family ({listed(self._shorter)}): some of them may be lost"
            )
        if self._unequal:
            yield (
                f"the instances of {len(self._unequal)} metric(s) do not add up to the total "
                f"({listed(self._unequal)}): some of them may be lost"
            )
