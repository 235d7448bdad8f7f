"""What a programmer changed between two kernels, as far as counters and instructions show it.

Stalls tell where the cycles went; these tell why: the work of a thread, how accesses coalesce, what
is staged in shared memory, how wide loads are. Each is a plain comparison of two counts; nothing is
said where a count is missing on a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from kernprof.comparison.numbers import short
from kernprof.comparison.sides import Lever, Sides, times, weight, within

_LEAST = math.log(1.25)
"""A count that changed by less than a quarter is no change of design."""
_LEAST_RESOURCE = math.log(1.1)
"""Registers and shared memory are exact, so less is worth a word."""
_POINTS = 10.0
_WORTH = 0.03
"""Loop overhead is told where it is this share of all instructions."""
_MOST = 4


def levers(sides: Sides, *, faster: bool) -> tuple[Lever, ...]:
    """Name what changed, first what should have had the effect that was seen, at most four.

    Parameters
    ----------
    faster
        Whether the new side is the faster one.
    """
    found = [lever for rule in _RULES if (lever := rule(sides)) is not None]
    if _same_code(sides) and all(lever.key in _PLAIN for lever in found):
        text = "Both execute the same instructions, opcode by opcode"
        return (Lever("same_code", text, 0),)
    if any(lever.key == "double_buffering" for lever in found):
        found = [lever for lever in found if lever.key not in ("shared", "barriers")]
    seen = 1 if faster else -1
    # Rules stand in the order of what decides most, so that order is kept.
    fitting = [lever for lever in found if lever.helps * seen >= 0]
    against = [lever for lever in found if lever.helps * seen < 0]
    kept = fitting[: _MOST - bool(against)]
    return (*kept, *against[: _MOST - len(kept)])


def told(found: Sequence[Lever], *, faster: bool) -> str | None:
    """Put levers into a sentence: what fits the effect, then what should have had another one."""
    if not found:
        return None
    if found[0].key == "same_code":
        return found[0].text
    if all(lever.key in _PLAIN for lever in found):
        return "In the launch only this changed: " + "; ".join(lever.text for lever in found)
    seen = 1 if faster else -1
    fitting = "; ".join(lever.text for lever in found if lever.helps * seen >= 0)
    against = "; ".join(lever.text for lever in found if lever.helps * seen < 0)
    return "What changed: " + "; but ".join(part for part in (fitting, against) if part)


def _same_code(sides: Sides) -> bool:
    base, new = sides.base, sides.new
    if base.mix is None or new.mix is None or base.mix.modifiers != new.mix.modifiers:
        return False
    return base.mix.counts == new.mix.counts and base.threads == new.threads


def _unoptimised(sides: Sides) -> Lever | None:
    if sides.base.mix is None or sides.new.mix is None:
        return None
    before, after = sides.base.mix, sides.new.mix
    if before.looks_unoptimised == after.looks_unoptimised:
        return None
    which, mix = ("base", before) if before.looks_unoptimised else ("new", after)
    text = (
        f"only the {which} looks compiled without optimisation (nvcc -G): {mix.move_pct:.0f} % of "
        "its instructions are MOV"
    )
    return Lever("unoptimised", text, 1 if before.looks_unoptimised else -1)


def _coalescing(sides: Sides) -> Lever | None:
    pair, what = sides.pair("global_sectors_over_ideal"), "times the fewest possible sectors"
    if pair is None:
        found = [(p, kind) for kind in ("load", "store") if (p := _same_width(sides, kind))]
        pair, kind = max(found, key=lambda one: weight(one[0]), default=(None, ""))
        what = f"sectors per global {kind}"
    if pair is None or within(pair, _LEAST):
        return None
    better = pair[1] < pair[0]
    text = (
        f"global accesses coalesce {'better' if better else 'worse'} "
        f"({short(pair[0])} -> {short(pair[1])} {what})"
    )
    return Lever("coalescing", text, 1 if better else -1)


def _same_width(sides: Sides, kind: str) -> tuple[float, float] | None:
    """Sectors per request, where requests are as wide on both sides as far as anything tells."""
    pair = sides.pair(f"global_{kind}_sectors_per_request")
    requests = sides.pair(f"global_{kind}_requests")
    widths = [side.mix and side.mix.bytes_per_thread(f"global_{kind}") for side in sides.both]
    if widths[0] is not None and widths[1] is not None:
        return pair if widths[0] == widths[1] else None
    return pair if requests is not None and within(requests, _LEAST) else None


def _staging(sides: Sides) -> Lever | None:
    shared = sides.base.shared_bytes, sides.new.shared_bytes
    if shared[0] is None or shared[1] is None or bool(shared[0]) == bool(shared[1]):
        return None
    begins = not shared[0]
    text = f"blocks {'use' if begins else 'no longer use'} shared memory "
    text += f"({shared[0]:,} -> {shared[1]:,} B)"
    loads = sides.pair("global_load_requests")
    reused = loads is not None and (loads[1] < loads[0]) == begins and not within(loads, _LEAST)
    if reused and loads is not None:
        text += f", with {times(loads)} global loads"
    return Lever("staging", text, (1 if begins else -1) if reused else 0)


def _thread_work(sides: Sides) -> Lever | None:
    threads = sides.base.threads, sides.new.threads
    if threads[0] is None or threads[1] is None or within((threads[0], threads[1]), _LEAST):
        return None
    counts = f"{threads[0]:,} -> {threads[1]:,}"
    ratio = threads[0] / threads[1]
    if not sides.same_work:
        text = f"{times((threads[0], threads[1]))} threads ({counts})"
    elif ratio > 1:
        text = f"each thread does {ratio:.3g}x the work ({counts} threads)"
    else:
        text = f"the same work for {1 / ratio:.3g}x as many threads ({counts})"
    return Lever("thread_work", text, 0)


def _coverage(sides: Sides) -> Lever | None:
    grids, sms = [side.profile.grid for side in sides.both], sides.new.profile.gpu.sm_count
    if grids[0] is None or grids[1] is None or not sms or sides.base.profile.gpu.sm_count != sms:
        return None
    covered = min(grids[0].total, sms), min(grids[1].total, sms)
    if covered[0] == covered[1]:
        return None
    share = f"all {sms}" if covered[1] == sms else f"{covered[1]} of the {sms}"
    text = f"blocks for {share} SMs (was {covered[0]})"
    return Lever("coverage", text, 1 if covered[1] > covered[0] else -1)


def _register_reuse(sides: Sides) -> Lever | None:
    return _per_work(sides, "shared_load", "shared_reuse", "shared-memory loads")


def _global_reuse(sides: Sides) -> Lever | None:
    if bool(sides.base.shared_bytes) != bool(sides.new.shared_bytes):
        return None
    return _per_work(sides, "global_load", "global_reuse", "global loads")


def _unrolled(sides: Sides) -> Lever | None:
    saved, total = sides.counts("branch"), sides.changes.get("instructions")
    if saved is None or total is None or total.base is None or total.new is None:
        return None
    if abs(saved[0] - saved[1]) < _WORTH * max(total.base, total.new):
        return None
    return _per_work(sides, "branch", "branches", "branches")


def _per_work(sides: Sides, group: str, key: str, name: str) -> Lever | None:
    pair = sides.per_arithmetic(group)
    if pair is None or not pair[0] or not pair[1] or within(pair, _LEAST):
        return None
    better = pair[1] < pair[0]
    text = (
        f"{'fewer' if better else 'more'} {name} per arithmetic instruction "
        f"({short(pair[0])} -> {short(pair[1])})"
    )
    return Lever(key, text, 1 if better else -1)


def _width(sides: Sides) -> Lever | None:
    best: Lever | None = None
    largest = 0.0
    for group, name in (
        ("global_load", "global loads"),
        ("shared_load", "shared-memory loads"),
        ("global_store", "global stores"),
        ("shared_store", "shared-memory stores"),
    ):
        before, after = (s.mix and s.mix.bytes_per_thread(group) for s in sides.both)
        if not before or not after or within((before, after), _LEAST):
            continue
        wider = after > before
        text = (
            f"{'wider' if wider else 'narrower'} {name} "
            f"({short(before)} -> {short(after)} B a thread on average)"
        )
        if weight((before, after)) > largest:
            best, largest = Lever("width", text, 1 if wider else -1), weight((before, after))
    return best


def _bank_conflicts(sides: Sides) -> Lever | None:
    conflicts, wavefronts = sides.pair("shared_bank_conflicts"), sides.pair("shared_wavefronts")
    if conflicts is None or wavefronts is None or not all(wavefronts):
        return None
    shares = tuple(100 * c / w for c, w in zip(conflicts, wavefronts, strict=True))
    if abs(shares[1] - shares[0]) < _POINTS:
        return None
    better = shares[1] < shares[0]
    text = (
        f"{'fewer' if better else 'more'} bank conflicts "
        f"({shares[0]:.0f} -> {shares[1]:.0f} % of shared-memory wavefronts)"
    )
    return Lever("bank_conflicts", text, 1 if better else -1)


def _double_buffering(sides: Sides) -> Lever | None:
    barriers, shared = sides.counts("barrier"), (sides.base.shared_bytes, sides.new.shared_bytes)
    if barriers is None or not all(barriers) or not shared[0] or not shared[1]:
        return None
    same_threads = sides.base.threads == sides.new.threads
    if not same_threads or not sides.same_work or not within((shared[0] * 2, shared[1]), _LEAST):
        return None
    if barriers[0] < barriers[1] * 1.5:
        return None
    text = (
        f"twice the shared memory for {times(barriers)} barriers, as double buffering has it "
        f"({shared[0]:,} -> {shared[1]:,} B, {short(barriers[0])} -> {short(barriers[1])} barriers)"
    )
    return Lever("double_buffering", text, 1)


def _barriers(sides: Sides) -> Lever | None:
    counts = sides.counts("barrier")
    if counts is None or not all(counts) or within(counts, _LEAST):
        return None
    # Per warp: a grid of half the warps has half the barriers without any change of the code.
    threads = sides.base.threads, sides.new.threads
    if not threads[0] or not threads[1]:
        return None
    pair = 32 * counts[0] / threads[0], 32 * counts[1] / threads[1]
    if within(pair, _LEAST):
        return None
    text = f"{times(pair)} barriers a warp ({short(pair[0])} -> {short(pair[1])})"
    return Lever("barriers", text, 1 if pair[1] < pair[0] else -1)


def _appeared(sides: Sides, group: str, key: str, name: str, helps: int) -> Lever | None:
    counts = sides.counts(group)
    if counts is None or bool(counts[0]) == bool(counts[1]):
        return None
    begins = not counts[0]
    text = f"{'now' if begins else 'no more'} {name}"
    return Lever(key, text, helps if begins else -helps)


def _tensor(sides: Sides) -> Lever | None:
    return _appeared(sides, "tensor", "tensor", "matrix instructions (tensor cores)", 1)


def _async_copy(sides: Sides) -> Lever | None:
    return _appeared(sides, "async_copy", "async_copy", "asynchronous copies into shared memory", 1)


def _double(sides: Sides) -> Lever | None:
    return _appeared(sides, "double", "double", "double-precision arithmetic", -1)


def _spills(sides: Sides) -> Lever | None:
    found = _appeared(sides, "local", "spills", "accesses to local memory (spilled registers)", -1)
    if found is not None:
        return found
    pairs = [sides.pair(f"local_{kind}_sectors") for kind in ("load", "store")]
    if None in pairs or sides.counts("local") is not None:
        return None
    totals = tuple(sum(pair[at] for pair in pairs if pair) for at in (0, 1))
    if bool(totals[0]) == bool(totals[1]):
        return None
    text = (
        f"local memory traffic (spilled registers) {short(totals[0])} -> {short(totals[1])} sectors"
    )
    return Lever("spills", text, 1 if totals[0] else -1)


def _lanes(sides: Sides) -> Lever | None:
    pair = sides.pair("warp_execution_efficiency_pct")
    if pair is None or abs(pair[1] - pair[0]) < _POINTS:
        return None
    better = pair[1] > pair[0]
    text = f"{'more' if better else 'fewer'} lanes of a warp at work "
    text += f"({pair[0]:.0f} -> {pair[1]:.0f} %)"
    return Lever("lanes", text, 1 if better else -1)


def _registers(sides: Sides) -> Lever | None:
    before, after = sides.base.profile.registers, sides.new.profile.registers
    if not before or not after or within((before, after), _LEAST_RESOURCE):
        return None
    return Lever("registers", f"{before} -> {after} registers a thread", 0)


def _shared(sides: Sides) -> Lever | None:
    before, after = sides.base.shared_bytes, sides.new.shared_bytes
    if not before or not after or within((before, after), _LEAST_RESOURCE):
        return None
    text = f"{before:,} -> {after:,} B of shared memory a block"
    return Lever("shared", text, 0)


_RULES: Final[tuple[Callable[[Sides], Lever | None], ...]] = (
    _unoptimised,
    _tensor,
    _double,
    _double_buffering,
    _staging,
    _coalescing,
    _async_copy,
    _spills,
    _bank_conflicts,
    _coverage,
    _thread_work,
    _width,
    _register_reuse,
    _global_reuse,
    _lanes,
    _barriers,
    _unrolled,
    _shared,
    _registers,
)
"""In the order of what decides most: it is the order in which changes are told."""

_PLAIN: Final = frozenset(("shared", "registers"))
"""Numbers of the launch that name no change of design by themselves."""
