"""Advice on execution: occupancy, parallelism, divergence, barriers, dependency chains, pipes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from kernprof.advice.model import Advice, Case, Evidence, advice, stall_advice, threshold
from kernprof.comparison.cycles import ISSUING, NO_WARP, tells_busiest
from kernprof.devices import architecture, tail_efficiency_pct
from kernprof.devices.occupancy import Occupancy, occupancy
from kernprof.errors import CubinError, UsageError
from kernprof.stalls.code import source_positions
from kernprof.stalls.mix import mix

_LANES = 32
_PIPE_PREFIX = "sm__inst_executed_pipe_"
_PIPE_SUFFIX = ".avg.pct_of_peak_sustained_active"
_NO_DIVERGENCE_PCT = 0.5
"""Below this lanes are idle for another reason than branches."""
_FEW_WAVES = 10.0
"""A partial wave after this many full ones costs less than a twentieth."""


def divergence(case: Case) -> Advice | None:
    """Lanes that are switched off, and the source line or instruction that loses most of them."""
    efficiency = case.figure("warp_execution_efficiency_pct")
    if efficiency is None or efficiency >= threshold("warp_efficiency_pct"):
        return None
    evidence = [Evidence("warp execution efficiency", efficiency, "%")]
    block = case.profile.block
    idle = case.share_pct(NO_WARP)
    gain = None if idle is None else (100 - idle) * (1 - efficiency / 100)
    bound = "as many fewer warp instructions as lanes are off, each as fast as now"
    if block is not None and block.total % _LANES:
        filled = 100 * block.total / (_LANES * math.ceil(block.total / _LANES))
        if filled < threshold("warp_efficiency_pct"):
            evidence.append(Evidence("threads per block", block.total))
            evidence.append(Evidence("lanes that the block's size fills", filled, "%"))
            return advice("partial_warps", tuple(evidence), gain, bound)
    diverging = case.figure("branch_divergence_pct")
    if diverging is not None:
        evidence.append(Evidence("divergent branch targets", diverging, "%"))
    evidence += _diverging_place(case) or []
    evidence += _worst_place(case) or []
    branches = diverging is None or diverging >= _NO_DIVERGENCE_PCT
    return advice("divergence" if branches else "idle_lanes", tuple(evidence), gain, bound)


def _diverging_place(case: Case) -> list[Evidence] | None:
    """Name the branch at which most warps part."""
    table = case.profile.instances.get("smsp__branch_targets_threads_divergent")
    if table is None:
        return None
    counts = {
        key: float(value)
        for key, value in zip(table.keys, table.values, strict=True)
        if isinstance(key, int) and isinstance(value, (int, float)) and value > 0
    }
    named = _worst(case, counts, _first_key(case, table.keys))
    if named is None:
        return None
    place, share = named
    return [
        Evidence("most warps part at", place),
        Evidence("of all divergent branches there", share, "%"),
    ]


def _worst_place(case: Case) -> list[Evidence] | None:
    executed = case.profile.instances.get("inst_executed")
    threads = case.profile.instances.get("thread_inst_executed")
    if executed is None or threads is None:
        return None
    lanes = dict(zip(threads.keys, threads.values, strict=True))
    lost: dict[int, float] = {
        key: _LANES * value - on
        for key, value in zip(executed.keys, executed.values, strict=True)
        if isinstance(key, int)
        and isinstance(value, (int, float))
        and isinstance(on := lanes.get(key), (int, float))
    }
    named = _worst(case, lost, _first_key(case, executed.keys))
    if named is None or named[1] < threshold("place_pct"):
        return None
    place, share = named
    return [
        Evidence("most lanes are lost at", place),
        Evidence("lanes lost there", share, "% of all lost"),
    ]


def _first_key(case: Case, keys: Sequence[int | str | None]) -> int:
    """Return the address of the function's first instruction, as far as the profile tells."""
    code = case.profile.code
    if code is not None and code.base_address is not None:
        return code.base_address
    whole = case.profile.instances.get("inst_executed")
    known = [key for key in (whole.keys if whole is not None else keys) if isinstance(key, int)]
    return min(known, default=0)


def _worst(case: Case, counts: Mapping[int, float], first: int) -> tuple[str, float] | None:
    """Return the source line (or instruction) with the largest count, and its share in percent."""
    total = math.fsum(counts.values())
    if not math.isfinite(total) or total <= 0:
        return None
    by_offset = {key - first: count for key, count in counts.items()}
    by_place = _by_line(case, by_offset) or {f"offset {o:#06x}": n for o, n in by_offset.items()}
    # Of equal losses the first: lanes are lost at a branch and stay lost behind it.
    place = max(by_place, key=lambda name: by_place[name])
    return place, 100 * by_place[place] / total


def _by_line(case: Case, by_offset: Mapping[int, float]) -> dict[str, float] | None:
    """Sum a count per instruction up per source line; None where lines are not known."""
    code = case.profile.code
    if code is None or not case.with_lines or not code.cubin:
        return None
    offsets = sorted(by_offset)
    try:
        places = source_positions(code, offsets)
    except CubinError:
        return None
    found: dict[str, float] = {}
    for offset, place in zip(offsets, places, strict=True):
        if place is None:
            return None
        name = f"{place[0].rpartition('/')[2]}:{place[1]}"
        found[name] = found.get(name, 0.0) + by_offset[offset]
    return found


def unoptimised(case: Case) -> Advice | None:
    """Code that looks compiled for a debugger."""
    found = mix(case.profile, disassembled=False)
    if found is None or not found.looks_unoptimised:
        return None
    evidence = [Evidence("register moves of all instructions", found.move_pct, "%")]
    if found.of("multiply_add") == 0 and found.of("float") > 0:
        evidence.append(Evidence("multiplications and additions not fused", found.of("float")))
    if found.of("generic") > 0:
        evidence.append(Evidence("accesses of memory left open (LD, ST)", found.of("generic")))
    idle = case.share_pct(NO_WARP)
    gain = None if idle is None else 100 - idle
    share = None if gain is None else gain * found.move_pct / 100
    bound = "optimised code may be of any speed; held are the moves, in proportion to instructions"
    return advice("unoptimised", tuple(evidence), gain, bound, share_pct=share)


def unused_occupancy(case: Case) -> Advice | None:
    """Room for more warps by the theoretical occupancy, while schedulers find none to issue."""
    theoretical = case.figure("theoretical_occupancy_pct")
    issue = case.issue_pct
    if theoretical is None or theoretical > 100 - threshold("occupancy_gap_points"):
        return None
    if issue is None or issue >= threshold("issue_pct"):
        return None
    limiters = ", ".join(case.analysis.limiters) or "not told"
    evidence = (
        Evidence("theoretical occupancy", theoretical, "%"),
        Evidence("limited by", limiters),
        Evidence("schedulers issue in", issue, "% of cycles"),
    )
    return advice(
        "occupancy",
        evidence,
        _hidden_pct(case, 100 / theoretical),
        f"{100 / theoretical:.2g} times as many warps, each as fast as now",
        remedy=_occupancy_remedy(case),
    )


def low_residency(case: Case) -> Advice | None:
    """Fewer warps are resident on average than fit: uneven work, tails, slow starts."""
    theoretical = case.figure("theoretical_occupancy_pct")
    achieved = case.figure("occupancy_pct")
    issue = case.issue_pct
    if not theoretical or not achieved or issue is None or issue >= threshold("issue_pct"):
        return None
    if theoretical - achieved <= threshold("occupancy_gap_points"):
        return None
    factor = theoretical / achieved
    evidence = (
        Evidence("achieved occupancy", achieved, "%"),
        Evidence("theoretical occupancy", theoretical, "%"),
    )
    gain = _hidden_pct(case, factor)
    return advice(
        "low_residency", evidence, gain, f"{factor:.2g} times as many warps, each as fast as now"
    )


def _hidden_pct(case: Case, factor: float) -> float | None:
    """Return what ``factor`` times as many warps can hide, in percent of the elapsed cycles.

    The work gets done ``factor`` times as fast at best, and never faster than the schedulers issue.
    """
    idle, issuing = case.share_pct(NO_WARP), case.share_pct(ISSUING)
    if idle is None or issuing is None:
        return None
    active = 100 - idle
    return active - max(issuing, active / factor)


def _occupancy_remedy(case: Case) -> str | None:
    """Say how far the limiting resource must shrink for one step more of occupancy."""
    profile = case.profile
    now = _occupancy(case)
    if now is None or profile.block is None or profile.registers is None:
        return None
    ways = []
    if "registers" in case.analysis.limiters:
        for registers in range(profile.registers - 1, 15, -1):
            then = _occupancy(case, registers=registers)
            if then is not None and then.warps_per_sm > now.warps_per_sm:
                ways.append(f"at most {registers} registers per thread: {then.occupancy_pct:.0f} %")
                break
    shared = profile.shared_mem
    if "shared memory" in case.analysis.limiters and shared.static_bytes is not None:
        total = shared.static_bytes + (shared.dynamic_bytes or 0)
        for kept in range(total - total % 256, -1, -256):
            then = _occupancy(case, shared_bytes=kept)
            if then is not None and then.warps_per_sm > now.warps_per_sm:
                ways.append(
                    f"at most {kept} B of shared memory per block: {then.occupancy_pct:.0f} %"
                )
                break
    if not ways:
        ways = _block_sizes(case, now)
    return "for more occupancy: " + "; ".join(ways) if ways else None


def _block_sizes(case: Case, now: Occupancy) -> list[str]:
    """Name the block size of most occupancy; of equal ones that nearest to the block there is."""
    block = case.profile.block
    found = [
        (then.occupancy_pct, -abs(threads - (block.total if block else 0)), threads)
        for threads in range(64, 1025, 32)
        if (then := _occupancy(case, threads=threads)) is not None
        and then.occupancy_pct > now.occupancy_pct
    ]
    if not found:
        return []
    occupancy_pct, _, threads = max(found)
    return [f"blocks of {threads} threads: {occupancy_pct:.0f} %"]


def _occupancy(
    case: Case,
    *,
    registers: int | None = None,
    shared_bytes: int | None = None,
    threads: int | None = None,
) -> Occupancy | None:
    profile = case.profile
    shared = profile.shared_mem
    if profile.block is None or profile.registers is None or profile.gpu.cc is None:
        return None
    if shared.static_bytes is None or shared.dynamic_bytes is None:
        return None
    try:
        return occupancy(
            architecture(profile.gpu.cc),
            threads_per_block=threads or profile.block.total,
            registers=registers if registers is not None else profile.registers,
            static_shared_bytes=shared.static_bytes if shared_bytes is None else 0,
            dynamic_shared_bytes=shared.dynamic_bytes if shared_bytes is None else shared_bytes,
        )
    except UsageError:
        return None


def parallelism(case: Case) -> Advice | None:
    """SMs without work: a grid that is too small, a partial last wave, or uneven blocks."""
    balance, waves = case.figure("sm_balance_pct"), case.figure("waves")
    grid, sms = case.profile.grid, case.profile.gpu.sm_count
    if grid is not None and sms and (grid.total < sms or (waves is not None and waves < 1)):
        evidence = [Evidence("blocks", grid.total), Evidence("SMs", sms)]
        if waves is not None:
            evidence.append(Evidence("waves", waves))
        # Of the average over all SMs, those without a block count as idle: they are to be filled.
        idle = case.share_pct(NO_WARP) if tells_busiest(case.profile) else 0.0
        filled = min(grid.total / sms, 1.0) if waves is None else min(waves, grid.total / sms, 1.0)
        gain = None if idle is None else (100 - idle) * (1 - filled)
        return advice("small_grid", tuple(evidence), gain, "the same work on a full GPU")
    if waves is not None and 1 < waves < _FEW_WAVES and waves != math.ceil(waves):
        lost = 100 - tail_efficiency_pct(waves)
        evidence = [Evidence("waves", waves)]
        bound = "the empty part of the last wave"
        return advice("tail", tuple(evidence), lost, bound)
    if balance is None:
        return None
    idle = case.share_pct(NO_WARP) or 0.0
    evidence = [Evidence("average SM / busiest SM", balance, "% of active cycles")]
    gain = (100 - idle) * (1 - balance / 100)
    return advice("imbalance", tuple(evidence), gain, "the same work spread evenly over all SMs")


def start(case: Case) -> Advice | None:
    """Cycles of the launch in which even the busiest SM holds no warp."""
    share = case.share_pct(NO_WARP)
    if share is None or share < threshold("least_share_pct"):
        return None
    # Of an average over all SMs, empty SMs would be counted as start and end.
    if case.figure("sm_balance_pct") is None:
        return None
    evidence = [Evidence("no warp resident", share, "% of cycles")]
    if case.profile.duration_ns is not None:
        evidence.append(Evidence("duration", case.profile.duration_ns, "ns"))
    return advice("start", tuple(evidence), share, "all cycles without a warp on the busiest SM")


def barrier(case: Case) -> Advice | None:
    """Warps that wait for their block."""
    names = ("barrier", "sync")
    if not case.matters(*names):
        return None
    evidence = case.waits(*names)
    if case.profile.block is not None:
        evidence.append(Evidence("threads per block", case.profile.block.total))
    return stall_advice(case, "barrier", tuple(evidence), names)


def dependency(case: Case) -> Advice | None:
    """Schedulers idle while warps wait out the latency of their own last instruction."""
    names = ("wait", "exec_dependency")
    issue = case.issue_pct
    if issue is None or issue >= threshold("issue_pct") or not case.matters(*names):
        return None
    evidence = [*case.waits(*names), Evidence("schedulers issue in", issue, "% of cycles")]
    eligible = case.figure("eligible_warps")
    if eligible is not None:
        evidence.append(Evidence("eligible warps per scheduler", eligible))
    return stall_advice(case, "dependency", tuple(evidence), names)


def pipe(case: Case) -> Advice | None:
    """Warps that wait for a busy arithmetic pipe, and which one it is."""
    names = ("math_pipe_throttle", "pipe_busy")
    if not case.matters(*names):
        return None
    evidence = case.waits(*names)
    busiest = _busiest_pipe(case)
    if busiest is not None:
        evidence.append(busiest)
    return stall_advice(case, "pipe", tuple(evidence), names)


def _busiest_pipe(case: Case) -> Evidence | None:
    used = {
        name.removeprefix(_PIPE_PREFIX).removesuffix(_PIPE_SUFFIX): value
        for name in case.profile.metrics
        if name.startswith(_PIPE_PREFIX)
        and name.endswith(_PIPE_SUFFIX)
        and (value := case.profile.value(name)) is not None
    }
    if not used:
        return None
    busiest = max(used, key=lambda name: used[name])
    return Evidence(f"pipe {busiest}", used[busiest], "% of peak")


def compute(case: Case) -> Advice | None:
    """Arithmetic near its peak: nothing but less of it helps."""
    used, memory = case.figure("compute_utilization_pct"), case.figure("memory_throughput_pct")
    if used is None or memory is None or used < threshold("near_peak_pct"):
        return None
    evidence = [Evidence("compute", used, "% of peak"), Evidence("memory", memory, "% of peak")]
    busiest = _busiest_pipe(case)
    if busiest is not None:
        evidence.append(busiest)
    gain = 100 * (1 - memory / used)
    return advice("compute", tuple(evidence), gain, "until memory is as busy as compute is now")


def balanced(case: Case) -> Advice | None:
    """Compute and memory both near their peaks: the launch is as good as done."""
    near = threshold("near_peak_pct")
    used = {
        name: case.figure(key)
        for name, key in (
            ("compute", "compute_utilization_pct"),
            ("memory", "memory_throughput_pct"),
        )
    }
    known = {name: value for name, value in used.items() if value is not None}
    if len(known) < len(used) or min(known.values()) < near:
        return None
    evidence = tuple(Evidence(name, value, "% of peak") for name, value in known.items())
    gain = 100 - max(known.values())
    return advice("balanced", evidence, gain, "until the busier of the two is full")


def fetch(case: Case) -> Advice | None:
    """Instructions that are not fetched in time."""
    names = ("no_instruction", "inst_fetch")
    if not case.matters(*names):
        return None
    return stall_advice(case, "fetch", tuple(case.waits(*names)), names)
