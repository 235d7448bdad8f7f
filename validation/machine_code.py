"""``python -m validation.machine_code``: damaged machine code through the simulator.

Variants of real kernels, with fields of instructions changed (register numbers, constant banks,
offsets, branch targets, modifiers, barrier numbers, control bits) or structures of the file, are
loaded, executed and timed in child processes. Each must be refused, or run, inside the limits of
memory and time. What must not happen is counted: a child that crashes (a guard page was touched),
memory that was written outside of where it belongs (canaries), an error that is none of the
project's own, more than the limits.

A file holds many small kernels, each of them a variant: the disassembler runs once for all.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kernprof import sim
from kernprof.compile import compile_source, targets
from kernprof.devices import Device, find
from kernprof.errors import KernprofError, UnavailableError, UnknownNameError
from kernprof.isolation import Limits
from kernprof.isolation.child import ChildError, Ending, call
from kernprof.isolation.shared import Region, open_region, region_of, shared_zeros
from kernprof.prediction.foreign import load_all
from kernprof.sim.engine import compile_kernel
from kernprof.sim.faults import StateDamagedError
from kernprof.sim.program import Program
from kernprof.sim.recording import TraceBudget
from kernprof.timing import simulate

ARCHES = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90")
"""Architectures whose kernels the simulator runs."""
SOURCE = Path(__file__).with_name("fuzzed_kernels.cu")
_BODY_MARK = "// Global memory."
COPIES = 1
MEMORY_BYTES = 2 << 30
CPU_LIMIT_S = 20.0
RUN_LIMIT_S = 0.5
_FILE_SHARE = 0.15
_GOOD = ("ran", "fault", "refused", "refused when read")

# Fields of a 128-bit instruction (Volta and newer) as (first bit, bits): guard, registers,
# immediate, constant offset and bank, modifiers, predicates, branch targets, control bits.
_FIELDS_128 = (
    (12, 4), (16, 8), (24, 8), (32, 8), (32, 32), (38, 16), (40, 14), (54, 5), (64, 8), (72, 3),
    (72, 10), (75, 4), (77, 3), (81, 3), (84, 3), (87, 4), (91, 11), (34, 30), (50, 24), (105, 21),
    (112, 3), (115, 3), (9, 3),
)  # fmt: skip
# Of a 64-bit one (Maxwell and Pascal).
_FIELDS_64 = (
    (0, 8), (8, 8), (16, 4), (20, 8), (20, 19), (20, 14), (20, 24), (34, 5), (39, 8), (47, 4),
    (39, 3), (48, 8), (28, 8), (41, 8),
)  # fmt: skip

# Places in the header of a file, and in that of a section, as (byte, bytes).
_HEADER = ((0x10, 2), (0x12, 2), (0x28, 8), (0x30, 4), (0x3A, 2), (0x3C, 2))
_SECTION = ((0, 4), (4, 4), (8, 8), (24, 8), (32, 8), (40, 4), (44, 4))


@dataclass(frozen=True, slots=True)
class Variant:
    """A damaged kernel: the file, the kernel's name, and what was changed."""

    program: Program
    kernel: str
    change: str


def source(copies: int) -> str:
    """Return the text of so many copies of each kernel."""
    text = SOURCE.read_text("utf-8")
    at = text.index(_BODY_MARK)
    parts = [text[:at]]
    for number in range(copies):
        parts.append(f"#define NUMBER {number}\n{text[at:]}\n#undef NUMBER\n")
    return "".join(parts)


def _change(rng: random.Random, value: int, bits: int) -> int:
    """Return another value for a field: an edge, a neighbour, or any."""
    top = (1 << bits) - 1
    picks = (0, 1, top, top - 1, top >> 1, value + 1, value - 1, value ^ 1 << rng.randrange(bits))
    return rng.choice((*picks, rng.randrange(top + 1), rng.randrange(top + 1))) & top


def damage_code(rng: random.Random, code: bytes, sm: int) -> tuple[bytes, str]:
    """Change one to three fields of instructions; returns the code and what was changed."""
    made = bytearray(code)
    told = []
    wide = sm >= 70
    step, fields = (16, _FIELDS_128) if wide else (8, _FIELDS_64)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(made) // step) * step
        first, bits = rng.choice(fields)
        if not wide and at % 32 == 0:
            first, bits = rng.choice((0, 21, 42)), 21  # a word of control codes
        word = int.from_bytes(made[at : at + step], "little")
        old = word >> first & ((1 << bits) - 1)
        new = _change(rng, old, bits)
        word ^= (old ^ new) << first
        made[at : at + step] = word.to_bytes(step, "little")
        told.append(f"+{at:#x} bits {first}..{first + bits - 1}: {old:#x} -> {new:#x}")
    return bytes(made), "; ".join(told)


def damage_file(rng: random.Random, image: bytes) -> tuple[bytes, str]:
    """Change a field of the file: its header, a section's, a symbol, an attribute, a relocation."""
    made = bytearray(image)
    table = struct.unpack_from("<Q", made, 0x28)[0]
    size, count = struct.unpack_from("<HH", made, 0x3A)
    told = []
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.choice(("header", "section", "section", "content", "content", "cut"))
        if kind == "cut":
            made = made[: rng.randrange(64, len(made))]
            told.append(f"cut to {len(made)} bytes")
            break
        number = rng.randrange(count)
        entry = table + number * size
        if kind == "header":
            at, width = rng.choice(
                ((0x10, 2), (0x12, 2), (0x28, 8), (0x30, 4), (0x3A, 2), (0x3C, 2))
            )
        elif kind == "section":
            inside, width = rng.choice(_SECTION)
            at = entry + inside
        else:
            start, length = struct.unpack_from("<QQ", made, entry + 24)
            if length < 8 or start + length > len(made):
                continue
            width = rng.choice((1, 2, 4))
            at = start + rng.randrange(length - width)
        if at + width > len(made):
            continue
        old = int.from_bytes(made[at : at + width], "little")
        new = _change(rng, old, 8 * width)
        made[at : at + width] = new.to_bytes(width, "little")
        told.append(f"{kind} {number} at {at:#x}: {old:#x} -> {new:#x}")
    return bytes(made), "; ".join(told)


def _load(
    image: bytes, changes: Sequence[tuple[str, bytes, int, str]]
) -> Iterator[Variant | tuple[str, str]]:
    """Put changed code into a file; yields variants, or (outcome, change) of what can't be read.

    One instruction that the disassembler does not know makes it refuse a whole file. It says at
    which offset, and so which of the kernels it is; where that is not clear, the file is tried
    again in halves.
    """
    if not changes:
        return
    made = bytearray(image)
    for _, code, at, _ in changes:
        made[at : at + len(code)] = code
    try:
        program = sim.load(bytes(made), cache=_Nothing())
    except KernprofError as error:
        said = str(error)
        if len(changes) == 1:
            yield ("refused when read", f"{changes[0][3]}: {said}")
            return
        guilty = [c for c in changes if _names_place(said, c[3])]
        if len(guilty) == 1:
            yield ("refused when read", f"{guilty[0][3]}: {said}")
            yield from _load(image, [c for c in changes if c is not guilty[0]])
            return
        half = len(changes) // 2
        yield from _load(image, changes[:half])
        yield from _load(image, changes[half:])
        return
    for name, _, _, change in changes:
        yield Variant(program, name, change)


def _names_place(said: str, change: str) -> bool:
    """Whether a message of the disassembler names the offset of a changed instruction."""
    found = re.search(r"at address (0x[0-9a-f]+)", said)
    return found is not None and f"+{int(found[1], 16):#x} " in change


class _Nothing:
    """A cache that keeps nothing."""

    def get(self, key: str) -> bytes | None:
        """Return None."""
        del key

    def put(self, key: str, content: bytes) -> None:
        """Keep nothing."""
        del key, content


def _section_offset(image: bytes, number: int) -> int:
    table = struct.unpack_from("<Q", image, 0x28)[0]
    size = struct.unpack_from("<H", image, 0x3A)[0]
    offset: int = struct.unpack_from("<Q", image, table + number * size + 24)[0]
    return offset


def variants(rng: random.Random, arch: str, count: int) -> Iterator[Variant | tuple[str, str]]:
    """Yield so many damaged kernels of an architecture, or what became of those not read."""
    image = compile_source(source(COPIES), arch=arch, use_cache=True).image
    whole = sim.load(image)
    sm = int(arch.removeprefix("sm_"))
    names = list(whole.kernels)
    left = count
    while left > 0:
        if rng.random() < _FILE_SHARE:
            made, change = damage_file(rng, image)
            left -= 1
            try:
                program = sim.load(made, cache=_Nothing())
                name = rng.choice(list(program.kernels))
            except (KernprofError, IndexError) as error:
                yield ("refused when read", f"{change}: {error}")
                continue
            yield Variant(program, name, change)
            continue
        changes = []
        for name in rng.sample(names, min(len(names), left, 16)):
            code = whole.image.kernels[name].code
            damaged, change = damage_code(rng, code, sm)
            place = _section_offset(image, whole.image.kernels[name].section)
            changes.append((name, damaged, place, f"{arch} {name} {change}"))
        left -= len(changes)
        yield from _load(image, changes)


def outcome(variant: Variant, arrays: Sequence[np.ndarray], device: Device | None) -> str:
    """Load, run and time one variant in this process; returns what happened."""
    for array in arrays:
        array[...] = 1
    try:
        count = len(variant.program.image.kernels[variant.kernel].parameters)
        args = [*arrays, np.int32(60)][:count]
        # Most of the time is the compiler's, so it is asked for little.
        compile_kernel(variant.program, variant.kernel, store=_Nothing(), optimisation=0)
        done = sim.run(
            variant.program, variant.kernel, 2, 64, args, workers=1, store=_Nothing(),
            trace=TraceBudget(100_000, 100), time_limit_s=RUN_LIMIT_S,
        )  # fmt: skip
        if device is not None and done.trace is not None:
            simulate(done, device)
    except StateDamagedError:
        return "FOREIGN WRITE"
    except sim.LaunchFaultError:
        return "fault"
    except KernprofError:
        return "refused"
    except MemoryError:
        return "MEMORY"
    return "ran"


def _attempt(
    batch: Sequence[Variant], regions: Sequence[Region], device: Device | None
) -> list[str]:
    """Run a batch in a child; where that dies, each variant in one of its own."""

    def work() -> object:
        arrays = [open_region(region) for region in regions]
        found = []
        for variant in batch:
            begun = time.process_time()
            try:
                what = outcome(variant, arrays, device)
            except Exception as error:
                what = f"ERROR {type(error).__name__}: {error}"
            found.append("TIME" if time.process_time() - begun > CPU_LIMIT_S else what)
        return found

    limits = Limits(MEMORY_BYTES, 60.0 * len(batch), CPU_LIMIT_S * len(batch))
    try:
        answer = call(work, limits=limits, keep=[r.handle for r in regions])
        assert isinstance(answer, list)
        return [str(a) for a in answer]
    except ChildError as error:
        if len(batch) == 1:
            names = {Ending.TIME: "TIME", Ending.MEMORY: "MEMORY"}
            return [names.get(error.ending, f"CRASH {error}")]
    return [what for one in batch for what in _attempt([one], regions, device)]


def fuzz(arch: str, count: int, seed: int, *, batch: int = 8) -> tuple[Counter[str], list[str]]:
    """Try variants of one architecture.

    Returns
    -------
    tuple
        How often each thing happened, and a line for each that must not.

    Raises
    ------
    UnavailableError
        The compiler or the disassembler of this architecture is not here.
    """
    rng = random.Random(f"{seed} {arch}")
    try:
        device: Device | None = find(arch)
    except UnknownNameError:
        device = None
    load_all()
    owners = [shared_zeros((64,), np.dtype(kind)) for kind in ("f4", "i4")]
    regions = [r for r in map(region_of, owners) if r is not None]
    tally: Counter[str] = Counter()
    bad: list[str] = []
    waiting: list[Variant] = []

    def flush() -> None:
        for one, what in zip(waiting, _attempt(waiting, regions, device), strict=True):
            tally[what if what in _GOOD else what.split()[0]] += 1
            if what not in _GOOD:
                bad.append(f"{what}: {one.change}")
        waiting.clear()

    for variant in variants(rng, arch, count):
        if isinstance(variant, tuple):
            tally[variant[0]] += 1
            continue
        waiting.append(variant)
        if len(waiting) == batch:
            flush()
    if waiting:
        flush()
    return tally, bad


def main(argv: list[str] | None = None) -> int:
    """Run; returns 1 when something happened that must not."""
    parser = argparse.ArgumentParser(prog="python -m validation.machine_code", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="variants in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--arch", action="append", help="only this one; may be given again")
    parser.add_argument("--jobs", type=int, default=1, help="architectures at a time")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    options = parser.parse_args(argv)
    known = set(targets())
    arches = options.arch or [a for a in ARCHES if a in known]
    share = -(-options.count // len(arches))
    rows: dict[str, Counter[str]] = {}
    failed: list[str] = []

    def one(arch: str) -> None:
        begun = time.monotonic()
        try:
            rows[arch], bad = fuzz(arch, share, options.seed)
        except UnavailableError as missing:
            print(f"{arch}: left out ({missing})", file=sys.stderr)
            return
        failed.extend(bad)
        took = time.monotonic() - begun
        print(f"{arch}: {dict(rows[arch])} in {took:.0f} s", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, arches))
    _print(rows, failed)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 1 if failed else 0


def _print(rows: dict[str, Counter[str]], failed: Sequence[str]) -> None:
    columns = [*_GOOD, *sorted({k for row in rows.values() for k in row} - set(_GOOD))]
    print("| architecture | variants | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * (len(columns) + 1))
    for arch, row in [*rows.items(), ("all", sum(rows.values(), Counter()))]:
        cells = [str(row.get(column, 0)) for column in columns]
        print(f"| {arch} | {sum(row.values())} | " + " | ".join(cells) + " |")
    for line in failed[:50]:
        print(line[:200])


if __name__ == "__main__":
    raise SystemExit(main())
