from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from profiles import instances, profile

from kernprof.profile import Instruction, KernelProfile, MachineCode
from kernprof.stalls.lines import hottest, instruction_table, source_table

PREFIX = "smsp__pcsamp_warps_issue_stalled_"
BASE = 0x7F00_0000


def sampled(**overrides: object) -> KernelProfile:
    return profile(
        {},
        instances={
            f"{PREFIX}long_scoreboard": instances({BASE + 16: 60}),
            f"{PREFIX}wait": instances({BASE + 16: 20, BASE + 32: 20}),
            f"{PREFIX}selected": instances({BASE: 500}),
            "inst_executed": instances({BASE: 10, BASE + 16: 10, BASE + 32: 10}),
            "thread_inst_executed": instances({BASE: 320, BASE + 16: 160, BASE + 32: 320}),
        },
        **overrides,
    )


def disassembly(code: MachineCode) -> Sequence[Instruction]:
    return [
        Instruction(0, "MOV R1, c[0x0][0x28]", "k.cu", 3),
        Instruction(16, "LDG.E R2, [R4.64]", "k.cu", 4),
        Instruction(32, "FADD R2, R2, R3", "k.cu", 4),
        Instruction(48, "EXIT", "k.cu", 5),
    ]


def test_stalls_sit_on_their_instructions() -> None:
    table = instruction_table(sampled())
    assert table is not None
    assert table.total_samples == 100
    assert [(line.offset, line.stalled_samples) for line in table.lines] == [
        (0, 0),
        (16, 80),
        (32, 20),
    ]
    worst = hottest(table, 1)[0]
    assert worst.top == (("long_scoreboard", 75.0), ("wait", 25.0))
    assert worst.share_pct == 80
    assert worst.threads_per_inst == 16


def test_machine_code_gives_text_and_lines() -> None:
    code = MachineCode(b"", 1, BASE, {"k.cu": "a\nb\nc\n  y = x[i] + 1;\n"})
    table = instruction_table(sampled(code=code), disassembly)
    assert table is not None
    assert table.lines[1].text == "LDG.E R2, [R4.64]"
    assert table.lines[-1].offset == 48
    by_source = source_table(table, code.sources)
    assert by_source is not None
    worst = hottest(by_source, 1)[0]
    assert (worst.file, worst.line, worst.text) == ("k.cu", 4, "y = x[i] + 1;")
    assert worst.stalled_samples == 100
    assert dict(worst.top)["long_scoreboard"] == pytest.approx(60)
    assert worst.threads_per_inst == 24


def test_without_samples_there_are_no_lines() -> None:
    assert instruction_table(profile({})) is None


def test_without_line_numbers_there_are_no_source_lines() -> None:
    table = instruction_table(sampled())
    assert table is not None
    assert source_table(table, {}) is None


def test_a_count_that_is_no_number_is_missing_alone_and_in_its_line() -> None:
    launch = sampled(code=MachineCode(b"", None, BASE))
    counts = instances({BASE: 10, BASE + 16: float("nan"), BASE + 32: 10})
    broken = replace(launch, instances={**launch.instances, "inst_executed": counts})
    table = instruction_table(broken, disassembly)
    assert table is not None
    assert [line.inst_executed for line in table.lines][:3] == [10, None, 10]
    by_source = source_table(table, {})
    whole = source_table(instruction_table(launch, disassembly) or table, {})
    assert by_source is not None
    assert whole is not None
    # The line with the unknown count has none; it does not get the sum of the others.
    pairs = [
        (b.inst_executed, w.inst_executed)
        for b, w in zip(by_source.lines, whole.lines, strict=True)
    ]
    assert any(b is None and w is not None for b, w in pairs)
    assert all(b is None or b == w for b, w in pairs)
