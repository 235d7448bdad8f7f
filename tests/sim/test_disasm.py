"""The disassembler's JSON, with its quirks, against what its text form says."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from pathlib import Path

import pytest

from kernprof.errors import CubinError, UnavailableError
from kernprof.sim import disasm

P2R = 0x803
R2P = 0x804
GUARDS = {7: "", 0: "@P0", 9: "@!P1"}


@pytest.mark.parametrize(("opcode", "name"), [(P2R, "P2R"), (R2P, "R2P")])
def test_all_predicates_as_an_operand(opcode: int, name: str, tmp_path: Path) -> None:
    """Move between predicates and a register: its operand PR is not its guard."""
    try:
        tool = disasm.find_disassembler(80)
    except UnavailableError as error:
        pytest.skip(str(error))
    # R3 in the place of the destination and of the first source, 0x20 as the immediate.
    low = [opcode | guard << 12 | 3 << 16 | 3 << 24 | 0x20 << 32 for guard in GUARDS]
    path = tmp_path / "raw.bin"
    path.write_bytes(b"".join(struct.pack("<QQ", word, 0) for word in low))

    def run(*options: str) -> str:
        command = [tool.path, *options, "-b", "SM80", path]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    printed = [
        match.groups("")
        for match in re.finditer(rf"\*/\s+(@!?P\d )?\s*({name}) ([^;]*?)\s*;", run())
    ]
    assert len(printed) == len(GUARDS)
    (function,) = disasm._functions(json.loads(run("-json")))
    found = [(i.predicate, i.opcode, i.operands) for i in function.instructions]
    assert found == [(g.strip(), o, re.sub(r",\s+", ",", args)) for g, o, args in printed]
    assert [guard for guard, _, _ in found] == list(GUARDS.values())


def test_json_of_another_shape_is_refused() -> None:
    for document in ({}, [], [{}, {}, {}], [{}, [{"function-name": "f"}]]):
        with pytest.raises(CubinError):
            disasm._functions(document)
