"""Running nvdisasm: finding it, checking its version, keeping what it printed.

The disassembler gives the meaning of the code as text; nothing else in this package decodes
opcodes. It is NVIDIA's program from the ``nvidia-cuda-nvdisasm`` package (13.x: sm_75 and newer)
or, for Pascal and Volta, the older one that the triton 3.4.0 wheel carries.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from kernprof.compile import DiskCache
from kernprof.errors import CubinError, UnavailableError
from kernprof.isolation import Limits
from kernprof.isolation.child import run_program

_TIMEOUT_S = 120
_MEMORY_BYTES = 4 << 30
_FIRST_OF_13 = 75
_MODERN = 'pip install "gpu-kernprof[disasm]"'
_OLD = 'pip install "gpu-kernprof[pascal]"'


@dataclass(frozen=True, slots=True)
class Disassembler:
    """An nvdisasm binary and its version."""

    path: Path
    version: tuple[int, int]

    def reads(self, sm: int) -> bool:
        """Whether it decodes architecture number ``sm``: CUDA 13 dropped what is older than 7.5."""
        return self.version >= (12, 8) and (sm >= _FIRST_OF_13 or self.version < (13, 1))


@dataclass(frozen=True, slots=True)
class RawInstruction:
    """One line of the disassembly, not yet parsed."""

    predicate: str
    opcode: str
    operands: str


@dataclass(frozen=True, slots=True)
class RawFunction:
    """A function as nvdisasm lists it: ``start`` is its offset in its text section."""

    name: str
    start: int
    length: int
    instructions: tuple[RawInstruction, ...]


def _candidates() -> list[Path]:
    named = os.environ.get("KERNPROF_NVDISASM")
    on_path = shutil.which("nvdisasm")
    found = [Path(named)] if named else []
    found += _packaged()
    if on_path:
        found.append(Path(on_path))
    return [p for p in found if p.is_file()]


@lru_cache(maxsize=1)
def _packaged() -> tuple[Path, ...]:
    """Return the programs of installed packages; their lists of files are long, so once."""
    found: list[Path] = []
    for distribution, tail in (
        ("nvidia-cuda-nvdisasm", "bin/nvdisasm"),
        ("triton", "backends/nvidia/bin/nvdisasm"),
    ):
        try:
            files = metadata.files(distribution) or []
        except metadata.PackageNotFoundError:
            continue
        found += [Path(str(f.locate())) for f in files if str(f).endswith(tail)]
    return tuple(found)


@lru_cache(maxsize=8)
def _version(path: Path) -> tuple[int, int] | None:
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"V(\d+)\.(\d+)", done.stdout)
    return (int(match.group(1)), int(match.group(2))) if match else None


def find_disassembler(sm: int) -> Disassembler:
    """Find an nvdisasm that reads architecture number ``sm``.

    Looked for in this order: ``$KERNPROF_NVDISASM``, the ``nvidia-cuda-nvdisasm`` package, the
    ``triton`` package, ``$PATH``.

    Raises
    ------
    UnavailableError
        There is none; carries the command that installs one.
    """
    seen = []
    for path in _candidates():
        version = _version(path)
        if version is None:
            continue
        found = Disassembler(path, version)
        if found.reads(sm):
            return found
        seen.append(f"{version[0]}.{version[1]}")
    what = f"no disassembler for sm_{sm} here"
    if sm < _FIRST_OF_13:
        what += ": Pascal and Volta need nvdisasm 12.8 to 13.0"
    if seen:
        what += f" (found: {', '.join(seen)})"
    raise UnavailableError(what, _OLD if sm < _FIRST_OF_13 else _MODERN)


def disassemble(cubin: bytes, sm: int, cache: DiskCache | None = None) -> tuple[RawFunction, ...]:
    """Disassemble a cubin.

    Parameters
    ----------
    cubin
        The ELF image.
    sm
        Its architecture number.
    cache
        Where the disassembler's output is kept under the cubin's SHA-256, or None.

    Raises
    ------
    UnavailableError
        No disassembler for this architecture.
    CubinError
        The disassembler refuses the cubin.
    """
    digest = hashlib.sha256(cubin).hexdigest()
    kept = cache.get(digest) if cache else None
    if kept is not None:
        try:
            return _functions(json.loads(kept))
        except (ValueError, CubinError):
            pass  # sound on disk, yet not of this form: made again below
    text = _run(find_disassembler(sm), cubin)
    try:
        functions = _functions(json.loads(text))
    except ValueError as error:
        raise CubinError(f"nvdisasm printed no JSON: {error}") from error
    if cache is not None:
        cache.put(digest, text.encode())
    return functions


def _run(tool: Disassembler, cubin: bytes) -> str:
    with tempfile.TemporaryDirectory(prefix="kernprof-") as folder:
        path = Path(folder) / "code.cubin"
        path.write_bytes(cubin)
        try:
            done = run_program(
                [str(tool.path), "-json", str(path)],
                limits=Limits(_MEMORY_BYTES, _TIMEOUT_S, _TIMEOUT_S),
                readable=[folder],
            )
        except subprocess.TimeoutExpired as error:
            raise CubinError(f"nvdisasm did not end within {_TIMEOUT_S} s") from error
        except OSError as error:
            raise UnavailableError(f"{tool.path} can't be run ({error})", _MODERN) from error
    if done.returncode < 0:
        raise CubinError(
            f"nvdisasm {tool.version[0]}.{tool.version[1]} was stopped by signal "
            f"{-done.returncode} while it read the cubin"
        )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        # What went wrong first; warnings come before and behind it.
        reason = next((line for line in said if "error" in line or "fatal" in line), said[-1])
        reason = reason.replace(str(path), "the cubin")
        raise CubinError(f"nvdisasm {tool.version[0]}.{tool.version[1]} refuses it: {reason}")
    return done.stdout


def _functions(document: Any) -> tuple[RawFunction, ...]:
    if not (isinstance(document, list) and len(document) == 2 and isinstance(document[1], list)):
        raise CubinError(
            "nvdisasm's JSON has an unknown shape; kernprof reads that of 12.8 to 13.x"
        )
    return tuple(_function(entry) for entry in document[1])


def _function(entry: Mapping[str, Any]) -> RawFunction:
    try:
        return RawFunction(
            name=entry["function-name"],
            start=int(entry["start"]),
            length=int(entry["length"]),
            instructions=tuple(_instruction(line) for line in entry["sass-instructions"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CubinError(f"nvdisasm's JSON lacks {error}") from error


def _instruction(line: Mapping[str, Any]) -> RawInstruction:
    """Read one line; nvdisasm 13's JSON names the operand PR (all predicates) as the guard.

    A guard that is there as well stands in that operand's place ("R3,@P0,RZ,0x20"); without one the
    place is left out.
    """
    predicate = line.get("predicate", "")
    opcode = line["opcode"].strip()
    operands = line.get("operands", "")
    if predicate == "PR":
        parts = operands.split(",")
        guards = [at for at, part in enumerate(parts) if part.startswith("@")]
        predicate = ""
        if guards:
            predicate, parts[guards[0]] = parts[guards[0]], "PR"
        else:
            parts.insert(0 if opcode.startswith("R2P") else 1, "PR")
        operands = ",".join(parts)
    return RawInstruction(predicate, opcode, operands)
