"""Smaller parts of a report: rule results, NVTX ranges, versions, machine code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kernprof.errors import LimitExceededError
from kernprof.profile import MachineCode, RuleResult
from kernprof.reports.base import Limits
from kernprof.reports.ncurep.frame import parse
from kernprof.reports.text import decode

# As the file has them; NVIDIA's Python reader renumbers.
_RULE_KINDS = {0: "none", 1: "ok", 2: "warning", 3: "error", 4: "optimization"}
_SPEEDUP_SCOPES = {1: "local", 2: "global"}


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """The machine code of one module and where its functions were loaded."""

    reference: int
    cubin: bytes
    functions: tuple[tuple[int | None, int | None], ...]
    sources: dict[str, str]


def rule(raw: bytes, where: str, limits: Limits) -> RuleResult:
    """Decode one rule result; of several messages the first one counts."""
    result = parse("RuleResult", raw, where)
    kind, text = "none", ""
    speedup_pct: float | None = None
    scope: str | None = None
    if len(result.Body.Items) > limits.details_per_launch:
        raise LimitExceededError("too many items in one rule result", where=where)
    for item_raw in result.Body.Items:
        item = parse("RuleItem", item_raw, where)
        if item.HasField("Message") and not text:
            kind = _RULE_KINDS.get(item.Message.Type, "none")
            text = decode(item.Message.Message, limits.name_chars)
        if item.HasField("Speedup") and speedup_pct is None:
            speedup_pct = item.Speedup.Value
            scope = _SPEEDUP_SCOPES.get(item.Speedup.Type)
    return RuleResult(
        identifier=decode(result.Identifier, limits.name_chars),
        name=decode(result.DisplayName, limits.name_chars),
        kind=kind,
        message=text,
        section=decode(result.SectionIdentifier, limits.name_chars) or None,
        speedup_pct=speedup_pct,
        speedup_scope=scope,
    )


def nvtx_ranges(raw: bytes, thread_id: int, where: str, limits: Limits) -> tuple[str, ...]:
    """Return the push/pop ranges open on the launching thread, outermost first.

    Ranges outside the default domain are written ``domain:range``.
    """
    state = parse("Nvtx", raw, where)
    parts = len(state.Domains) + len(state.Threads)
    if parts > limits.details_per_launch:
        raise LimitExceededError(f"{parts} NVTX domains and threads", where=where)
    domains = {}
    for item in state.Domains:
        domain = parse("NvtxDomain", item, where)
        domains[domain.Id] = decode(domain.Name, limits.name_chars)
    names: list[str] = []
    for item in state.Threads:
        thread = parse("NvtxThread", item, where)
        if thread_id != thread.TID:
            continue
        for stack_raw in thread.PushPopDomains:
            stack = parse("NvtxStack", stack_raw, where)
            prefix = domains.get(stack.Id, "")
            for range_raw in stack.Stack:
                name = decode(parse("NvtxRange", range_raw, where).Name, limits.name_chars)
                shown = f"{prefix}:{name}" if prefix and stack.Id != 0 else name
                names.append(shown)
                if len(names) > limits.details_per_launch:
                    raise LimitExceededError("too many open NVTX ranges", where=where)
    return tuple(names)


def versions(raws: Iterable[bytes], where: str, limits: Limits) -> dict[str, str]:
    """Return the versions a session names, by provider ("CUDA Version", "Nsight Compute")."""
    found: dict[str, str] = {}
    for raw in raws:
        info = parse("VersionInfo", raw, where)
        if len(found) < limits.details_per_launch:
            found[decode(info.Provider, 200)] = decode(info.Version, 200)
    return found


def source(raw: bytes, where: str, limits: Limits) -> SourceEntry:
    """Decode one source entry."""
    data = parse("SourceData", raw, where)
    functions_raw = data.RelocationData.Functions
    files_raw = data.SourceFiles.Files
    if len(functions_raw) > limits.functions or len(files_raw) > limits.functions:
        raise LimitExceededError(
            f"{len(functions_raw)} functions and {len(files_raw)} source files", where=where
        )
    functions = []
    for item in functions_raw:
        symbol = parse("Symbol", item, where)
        functions.append((_given(symbol, "Address"), _given(symbol, "SymbolIndex")))
    texts = {}
    for item in files_raw:
        file = parse("SourceFile", item, where)
        # Line breaks matter here, so the text is only decoded; views print it line by line.
        texts[decode(file.FileName, limits.name_chars)] = file.Content.decode("utf-8", "replace")
    return SourceEntry(data.Reference, data.Binary, tuple(functions), texts)


def machine_code(entry: SourceEntry, function_address: int | None) -> MachineCode | None:
    """Join a launch with the function of its module that was loaded at ``function_address``.

    Returns
    -------
    MachineCode or None
        None when the entry carries no machine code. The function's place is None where the report
        does not tell which one was launched.
    """
    if not entry.cubin:
        return None
    for address, index in entry.functions:
        if address is not None and address == function_address:
            return MachineCode(entry.cubin, index, address, entry.sources)
    if len(entry.functions) == 1:
        address, index = entry.functions[0]
        return MachineCode(entry.cubin, index, address, entry.sources)
    return MachineCode(entry.cubin, None, None, entry.sources)


def _given(message: Any, field: str) -> int | None:
    return getattr(message, field) if message.HasField(field) else None
