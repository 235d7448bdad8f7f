"""Table V: printed, predicted, and of given launches, row by row with their differences."""

from __future__ import annotations

from collections.abc import Sequence

from kernprof.paper.conditions import Condition, Distance, distances
from kernprof.paper.exhibit import PUBLISHED, Exhibit, Value
from kernprof.paper.kernels import PublishedKernel, published_kernels
from kernprof.paper.quantities import one_block_occupancy_pct
from kernprof.paper.rows import table_rows, values
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import analyse

_SM_UTILIZATION = "sm_utilization_pct"
_FAR_POINTS = 10.0


def table5(
    profiles: Sequence[KernelProfile] = (),
    predicted: Condition | None = None,
    unpredicted: str = "",
) -> Exhibit:
    """Table V as printed, beside a prediction and given launches.

    Parameters
    ----------
    profiles
        Launches to show beside it.
    predicted
        What was predicted, and under which condition.
    unpredicted
        Why nothing was.
    """
    kernels = published_kernels()
    analyses = [analyse(profile) for profile in profiles]
    columns: list[tuple[str, str]] = [("attribute", "Attribute")]
    for name in kernels:
        columns += [(name, f"{name} predicted (published)"), (name + PUBLISHED, name)]
        columns.append((f"{name}_difference", "difference"))
    for n, a in enumerate(analyses):
        columns.append(
            (f"profile_{n}", f"{a.profile.kernel} ({a.profile.source}, {a.profile.origin})")
        )
        if _kernel_of(a.profile) is not None:
            columns.append((f"profile_{n}_difference", "difference"))
    given = [(values(a), _kernel_of(a.profile)) for a in analyses]
    rows: list[tuple[Value, ...]] = []
    for key, label in table_rows().items():
        cells: list[Value] = [label]
        for name, kernel in kernels.items():
            printed = _printed(kernel, key)
            here = None if predicted is None else predicted.columns.get(name, {}).get(key)
            cells += [here, printed, _difference(here, printed)]
        for shown, of in given:
            cells.append(shown[key])
            if of is not None:
                cells.append(_difference(shown[key], _printed(of, key)))
        rows.append(tuple(cells))
    return Exhibit(
        "table5",
        "Table V: kernels",
        tuple(columns),
        tuple(rows),
        (*_notes(predicted, unpredicted), *_profile_notes(profiles)),
    )


def conditions_table(found: Sequence[Condition]) -> Exhibit:
    """How far predictions under each condition are from the printed columns."""
    kernels = published_kernels()
    columns: list[tuple[str, str]] = [("condition", "Condition"), ("caches", "Caches")]
    for name in kernels:
        columns += [
            (f"{name}_distance", f"{name}: mean distance"),
            (f"{name}_largest", "largest"),
            (f"{name}_largest_row", "in"),
            (f"{name}_order", "order of stalls"),
        ]
    rows: list[tuple[Value, ...]] = []
    for condition in found:
        cells: list[Value] = [condition.text, str(condition.caches)]
        for name in kernels:
            far = distances(condition).get(name)
            if far is None:
                cells += [None] * 4
                continue
            same = "as printed" if far.same_order else "differs"
            cells += [far.mean, far.largest, far.largest_row, same]
        rows.append(tuple(cells))
    notes = [
        "Distance: mean of the absolute differences in percentage points over the nine printed "
        "numbers of a column; largest: the row that is furthest off.",
        "The paper says neither which launch a column is of nor how launches were averaged. n/a: "
        "no launch of the kernel under the condition.",
    ]
    for name in kernels:
        near = nearest(found, name)
        if near is not None:
            notes.append(f"{name}: nearest is {_told(*near)}")
    if found:
        notes.append(f"Predicted for {found[0].device}.")
    return Exhibit(
        "table5",
        "Table V: conditions of the prediction",
        tuple(columns),
        tuple(rows),
        tuple(notes),
    )


def nearest(found: Sequence[Condition], kernel: str) -> tuple[Condition, Distance] | None:
    """Return the condition whose prediction is nearest to a printed column; None without any."""
    known = [(c, far) for c in found if (far := distances(c).get(kernel)) is not None]
    return min(known, key=lambda pair: pair[1].mean, default=None)


def _told(condition: Condition, far: Distance) -> str:
    beyond = [f"{row} {off:+.1f}" for row, off in far.rows.items() if abs(off) > _FAR_POINTS]
    told = ", ".join(beyond) if beyond else "none"
    return (
        f"{condition.text}, caches {condition.caches} ({far.mean:.1f} points); rows more than "
        f"{_FAR_POINTS:.0f} points off: {told}."
    )


def _printed(kernel: PublishedKernel, key: str) -> Value:
    if key == _SM_UTILIZATION:
        return kernel.sm_utilization
    printed = kernel.cells.get(key)
    return None if printed is None else float(printed)


def _difference(value: Value, printed: Value) -> float | None:
    numbers = isinstance(value, int | float) and isinstance(printed, int | float)
    return float(value) - float(printed) if numbers else None  # type: ignore[arg-type]


def _kernel_of(profile: KernelProfile) -> PublishedKernel | None:
    """Return the printed kernel that a launch is of: by the start of its name, as in cuBLAS."""
    for name, kernel in published_kernels().items():
        if profile.family == name or profile.kernel.startswith(name):
            return kernel
    return None


def _notes(predicted: Condition | None, unpredicted: str) -> list[str]:
    least = ", ".join(
        f"{name} {one_block_occupancy_pct(name):.2f} %" for name in published_kernels()
    )
    notes = [
        "Published: Tesla P100 under nvprof, arXiv:2006.15098; SM utilization in words only. "
        "Differences are in percentage points.",
        f"One block on a busy multiprocessor gives an occupancy of {least} (block size from the "
        "kernels' names in public logs, 64 warps): the printed ones are within 6 % of these.",
    ]
    if predicted is None:
        return [*notes, f"Predicted: n/a: {unpredicted or 'not asked for'}."]
    notes.append(
        f"Predicted for {predicted.device}: {predicted.text}; caches {predicted.caches}. The "
        "kernels are this project's own, built in the style of cuBLAS's (docs/kernels.md)."
    )
    far = distances(predicted)
    notes.append(
        "Mean distance of the nine numbers: "
        + ", ".join(f"{name} {far[name].mean:.1f}" for name in far)
        + " points; --conditions shows other conditions, --gpu NAME another GPU, --with FILE your "
        "own launches."
    )
    return notes


def _profile_notes(profiles: Sequence[KernelProfile]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{p.kernel}: {note}" for p in profiles for note in p.notes))
