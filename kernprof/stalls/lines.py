"""Which instructions and source lines the stalls of a launch sit on."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernprof.metrics.stall_reasons import ClassMap, Family, StallClass, families, lookup
from kernprof.profile import Instruction, KernelProfile, MachineCode

Disassemble = Callable[[MachineCode], Sequence[Instruction]]


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction, or all instructions of one source line.

    Parameters
    ----------
    offset
        Byte offset in the function; None for a source line.
    text
        Disassembly or source text where it is known.
    file, line
        Source position where it is known.
    stalled_samples
        Warp samples in any stall reason at this place.
    share_pct
        Its share of all stalled samples of the launch.
    top
        The largest reasons as (name, share of this place's samples in percent).
    inst_executed
        Warp instructions executed here, or None.
    threads_per_inst
        Active threads per executed warp instruction (0-32), or None.
    """

    offset: int | None
    text: str | None
    file: str | None
    line: int | None
    stalled_samples: float
    share_pct: float
    top: tuple[tuple[str, float], ...]
    inst_executed: float | None
    threads_per_inst: float | None


@dataclass(frozen=True, slots=True)
class LineTable:
    """All instructions of a launch with their stalls, in program order.

    ``unknown`` holds the offsets whose executions the source counted and does not know (a counter
    that ran over); an instruction without a count was not executed.
    """

    family: Family
    total_samples: float
    lines: tuple[Line, ...]
    by: str
    unknown: frozenset[int] = frozenset()


def instruction_table(
    profile: KernelProfile, disassemble: Disassemble | None = None
) -> LineTable | None:
    """Attribute the sampled stalls of a launch to its instructions.

    Parameters
    ----------
    profile
        A launch with per-instruction samples.
    disassemble
        Gives the instructions of the machine code that the report carries.

    Returns
    -------
    LineTable or None
        None when the source holds no per-instruction stall samples.
    """
    for family in families():
        samples = _samples_by_address(profile, family)
        if samples:
            break
    else:
        return None
    total = sum(sum(reasons.values()) for reasons in samples.values())
    executed = _by_address(profile, "inst_executed")
    threads = _by_address(profile, "thread_inst_executed")
    base = base_address(profile, samples.keys() | executed.keys())
    known: dict[int, Instruction] = {}
    if profile.code is not None and disassemble is not None:
        known = {instruction.offset: instruction for instruction in disassemble(profile.code)}
    addresses = sorted(samples.keys() | executed.keys() | {base + offset for offset in known})
    lines = []
    for address in addresses:
        instruction = known.get(address - base)
        count = executed.get(address)
        lines.append(
            _line(
                offset=address - base,
                instruction=instruction,
                reasons=samples.get(address, {}),
                total=total,
                inst_executed=count,
                threads=threads.get(address),
            )
        )
    unknown = frozenset(address - base for address in _without_number(profile))
    return LineTable(family, total, tuple(lines), "instruction", unknown)


def source_table(table: LineTable, sources: Mapping[str, str]) -> LineTable | None:
    """Add up a table of instructions over source lines; None when no line is known."""
    groups: dict[tuple[str, int], list[Line]] = {}
    for line in table.lines:
        if line.file is not None and line.line is not None:
            groups.setdefault((line.file, line.line), []).append(line)
    if not groups:
        return None
    merged = []
    for (file, number), members in groups.items():
        counted = not any(member.offset in table.unknown for member in members)
        reasons: dict[str, float] = {}
        for member in members:
            for name, share in member.top:
                reasons[name] = reasons.get(name, 0.0) + share * member.stalled_samples / 100.0
        merged.append(
            _line(
                offset=None,
                instruction=Instruction(0, _source_text(sources, file, number), file, number),
                reasons=reasons,
                total=table.total_samples,
                inst_executed=_sum(member.inst_executed for member in members if counted),
                threads=_sum(
                    member.inst_executed * member.threads_per_inst
                    if member.inst_executed is not None and member.threads_per_inst is not None
                    else None
                    for member in members
                ),
            )
        )
    return LineTable(table.family, table.total_samples, tuple(merged), "source line")


def hottest(table: LineTable, count: int) -> list[Line]:
    """Return the places with most stalled samples, the worst first."""
    ranked = sorted(table.lines, key=lambda line: (-line.stalled_samples, line.offset or 0))
    return [line for line in ranked if line.stalled_samples > 0][:count]


def _samples_by_address(profile: KernelProfile, family: Family) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for metric in profile.instances:
        spelled = family.reason_in(metric)
        reason = None if spelled is None else lookup(family.vocabulary, spelled)
        if reason is None or reason.part_of is not None:
            continue
        if reason.classes[ClassMap.PAPER] is StallClass.ISSUED:
            continue
        for address, value in _by_address(profile, metric).items():
            if value > 0:
                place = found.setdefault(address, {})
                place[reason.name] = place.get(reason.name, 0.0) + value
    return found


def _by_address(profile: KernelProfile, metric: str) -> dict[int, float]:
    instances = profile.instances.get(metric)
    if instances is None:
        return {}
    return {
        key: float(value)
        for key, value in zip(instances.keys, instances.values, strict=True)
        if isinstance(key, int) and isinstance(value, (int, float)) and math.isfinite(value)
    }


def _without_number(profile: KernelProfile) -> list[int]:
    instances = profile.instances.get("inst_executed")
    if instances is None:
        return []
    return [
        key
        for key, value in zip(instances.keys, instances.values, strict=True)
        if isinstance(key, int) and isinstance(value, float) and not math.isfinite(value)
    ]


def base_address(profile: KernelProfile, addresses: Collection[int]) -> int:
    """Return the address of a launch's first instruction, 0 where there are none.

    Parameters
    ----------
    profile
        The launch.
    addresses
        Keys of its per-instruction tables.
    """
    if profile.code is not None and profile.code.base_address is not None:
        return profile.code.base_address
    # Without the function's load address its lowest instruction is taken for the first one.
    return min(addresses, default=0)


def _line(
    *,
    offset: int | None,
    instruction: Instruction | None,
    reasons: Mapping[str, float],
    total: float,
    inst_executed: float | None,
    threads: float | None,
) -> Line:
    here = sum(reasons.values())
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return Line(
        offset=offset,
        text=instruction.text if instruction else None,
        file=instruction.file if instruction else None,
        line=instruction.line if instruction else None,
        stalled_samples=here,
        share_pct=100.0 * here / total if total else 0.0,
        top=tuple((name, 100.0 * value / here) for name, value in ranked if here),
        inst_executed=inst_executed,
        threads_per_inst=threads / inst_executed if threads is not None and inst_executed else None,
    )


def _sum(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(sum(known)) if known else None


def _source_text(sources: Mapping[str, str], file: str, number: int) -> str | None:
    text = sources.get(file)
    if text is None:
        return None
    rows = text.splitlines()
    return rows[number - 1].strip() if 0 < number <= len(rows) else None
