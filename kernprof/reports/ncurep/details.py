"""Smaller parts of a report: rule results, NVTX ranges, versions, machine code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernprof.errors import LimitExceededError
from kernprof.profile import MachineCode, RuleResult
from kernprof.reports.base import Limits
from kernprof.reports.ncurep.frame import parse
from kernprof.reports.ncurep.losses import Ledger
from kernprof.reports.text import decode

# As the file has them; NVIDIA's Python reader renumbers.
_RULE_KINDS = {0: "none", 1: "ok", 2: "warning", 3: "error", 4: "optimization"}
_VERSION_CHARS = 200
_RANGE_CHARS = 1000
_DOMAIN_CHARS = 100

# Providers of versions as public reports name them.
_NSIGHT_COMPUTE = ("Nsight Compute Target", "Nsight Compute", "NVIDIA Nsight Compute")
_CUDA = "CUDA Version"
_DRIVER = "Display Driver Version"
_PROVIDERS = (*_NSIGHT_COMPUTE, _CUDA, _DRIVER)

# The two values that `ncu --help` lists for the option.
_CACHE_CONTROL = re.compile(rb"--cache-control[ =](all|none)\b")

_SPEEDUP_SCOPES = {1: "local", 2: "global"}


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """One function of a module: its linker symbol, load address and index in the symbol table."""

    symbol: str
    address: int | None
    index: int | None


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source entry of the report: (part of) a module, and where its functions were loaded."""

    reference: int
    cubin: bytes
    functions: tuple[LoadedFunction, ...]
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Module:
    """All that a report tells of one module.

    Parameters
    ----------
    cubin
        Its ELF image.
    functions
        Its functions, those that were launched.
    by_address, by_symbol
        The same by load address and by linker symbol; None where two of them share it.
    sources
        Source text by file name.
    """

    cubin: bytes
    functions: tuple[LoadedFunction, ...]
    by_address: Mapping[int, LoadedFunction | None]
    by_symbol: Mapping[str, LoadedFunction | None]
    sources: Mapping[str, str]


class Allowance:
    """Counts the small parts of a report while it is read, up to the limit for all of them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.details

    def take(self, count: int, where: str) -> None:
        """Count parts.

        Raises
        ------
        LimitExceededError
            The report has more than ``limits.details`` of them.
        """
        self._left -= count
        if self._left < 0:
            raise LimitExceededError(
                f"more than {self._limits.details} rule messages, NVTX ranges, functions, source "
                "files and versions",
                where=where,
            )


def rules(
    raws: Sequence[bytes], where: str, limits: Limits, allowance: Allowance
) -> tuple[RuleResult, ...]:
    """Decode the rule results of a launch, one for each message of a rule.

    A rule that has nothing to say gives one result of kind ``none`` without a message.
    """
    count = len(raws)
    found: list[RuleResult] = []
    for raw in raws:
        result = parse("RuleResult", raw, where)
        count += len(result.Body.Items)
        if count > limits.details_per_launch:
            raise LimitExceededError(
                f"more than {limits.details_per_launch} rule results in one launch", where=where
            )
        items = [parse("RuleItem", item, where) for item in result.Body.Items]
        said = [item for item in items if item.HasField("Message") or item.HasField("Speedup")]
        found += [_rule(result, item, limits) for item in said or [None]]
    allowance.take(count, where)
    return tuple(found)


def _rule(result: Any, item: Any, limits: Limits) -> RuleResult:
    kind, message = "none", ""
    speedup_pct: float | None = None
    scope: str | None = None
    if item is not None and item.HasField("Message"):
        kind = _RULE_KINDS.get(item.Message.Type, "none")
        message = decode(item.Message.Message, limits.name_chars)
    if item is not None and item.HasField("Speedup"):
        speedup_pct = item.Speedup.Value
        scope = _SPEEDUP_SCOPES.get(item.Speedup.Type)
    return RuleResult(
        identifier=decode(result.Identifier, limits.name_chars),
        name=decode(result.DisplayName, limits.name_chars),
        kind=kind,
        message=message,
        section=decode(result.SectionIdentifier, limits.name_chars) or None,
        speedup_pct=speedup_pct,
        speedup_scope=scope,
    )


def nvtx_ranges(
    raw: bytes, thread_id: int, where: str, limits: Limits, allowance: Allowance
) -> tuple[str, ...]:
    """Return the push/pop ranges open on the launching thread, outermost first.

    Ranges outside the default domain are written ``domain:range``.
    """
    state = parse("Nvtx", raw, where)
    parts = len(state.Domains) + len(state.Threads)
    _bounded(parts, where, limits)
    domains = {}
    for item in state.Domains:
        domain = parse("NvtxDomain", item, where)
        domains[domain.Id] = decode(domain.Name, _DOMAIN_CHARS)
    names: list[str] = []
    for item in state.Threads:
        thread = parse("NvtxThread", item, where)
        if thread_id != thread.TID:
            continue
        parts += len(thread.PushPopDomains)
        _bounded(parts, where, limits)
        for stack_raw in thread.PushPopDomains:
            stack = parse("NvtxStack", stack_raw, where)
            parts += len(stack.Stack)
            _bounded(parts, where, limits)
            prefix = domains.get(stack.Id, "")
            for range_raw in stack.Stack:
                name = decode(parse("NvtxRange", range_raw, where).Name, _RANGE_CHARS)
                names.append(f"{prefix}:{name}" if prefix and stack.Id != 0 else name)
    allowance.take(parts, where)
    return tuple(names)


def _bounded(parts: int, where: str, limits: Limits) -> None:
    if parts > limits.details_per_launch:
        raise LimitExceededError(
            f"more than {limits.details_per_launch} NVTX domains, threads and ranges in one launch",
            where=where,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """What is kept of the session: nothing that names a user, a host or a path.

    Parameters
    ----------
    versions
        Version by provider ("CUDA Version", "Nsight Compute Target").
    comment
        What the user wrote beside the report.
    cache_control
        The profiler's option of that name where its command line gives it.
    silent
        Whether no version of anything is told, of none that is kept either; every release tells
        some.
    """

    versions: Mapping[str, str]
    comment: str | None
    cache_control: str | None
    silent: bool

    @property
    def profiler(self) -> str | None:
        """Version of Nsight Compute: of the part that measured rather than of the window."""
        for provider in _NSIGHT_COMPUTE:
            if provider in self.versions:
                return self.versions[provider]
        return None


def session(
    raw: bytes, earlier: Session, where: str, limits: Limits, allowance: Allowance
) -> Session:
    """Add one block's session details; the profiler spreads them over several blocks."""
    message = parse("SessionDetails", raw, where)
    allowance.take(len(message.VersionInfo), where)
    versions = dict(earlier.versions)
    for item in message.VersionInfo:
        info = parse("VersionInfo", item, where)
        provider = decode(info.Provider, _VERSION_CHARS)
        if provider in _PROVIDERS:
            versions.setdefault(provider, decode(info.Version, _VERSION_CHARS))
    option = _CACHE_CONTROL.search(message.ProfilerCmdline)
    return Session(
        versions,
        earlier.comment or decode(message.Comments, limits.name_chars) or None,
        earlier.cache_control or (option.group(1).decode("ascii") if option else None),
        earlier.silent and not message.VersionInfo,
    )


def shown(session: Session) -> dict[str, str]:
    """Return the session as users see it."""
    found = {
        "profiler": f"Nsight Compute {session.profiler}" if session.profiler else None,
        "cuda": session.versions.get(_CUDA),
        "driver": session.versions.get(_DRIVER),
        "comment": session.comment,
    }
    return {name: text for name, text in found.items() if text}


def source(
    raw: bytes, where: str, limits: Limits, allowance: Allowance, ledger: Ledger
) -> SourceEntry:
    """Decode one source entry."""
    data = parse("SourceData", raw, where)
    ledger.fields("SourceData", data)
    functions_raw = data.RelocationData.Functions
    files_raw = data.SourceFiles.Files
    allowance.take(len(functions_raw) + len(files_raw), where)
    functions = []
    for item in functions_raw:
        symbol = parse("Symbol", item, where)
        functions.append(
            LoadedFunction(
                decode(symbol.SymbolName, limits.name_chars),
                _given(symbol, "Address"),
                _given(symbol, "SymbolIndex"),
            )
        )
    texts = {}
    for item in files_raw:
        file = parse("SourceFile", item, where)
        # Line breaks matter here, so the text is only decoded; views print it line by line.
        texts[decode(file.FileName, limits.name_chars)] = file.Content.decode("utf-8", "replace")
    return SourceEntry(data.Reference, data.Binary, tuple(functions), texts)


def modules(entries: Iterable[SourceEntry]) -> dict[int, Module]:
    """Join the source entries of a report into modules, by reference.

    The profiler writes the machine code when it first meets a module, and a further entry without
    code for functions that are launched from it later.
    """
    grouped: dict[int, list[SourceEntry]] = {}
    for entry in entries:
        grouped.setdefault(entry.reference, []).append(entry)
    return {reference: _module(parts) for reference, parts in grouped.items()}


def _module(parts: Sequence[SourceEntry]) -> Module:
    functions = tuple(dict.fromkeys(f for part in parts for f in part.functions))
    by_address: dict[int, LoadedFunction | None] = {}
    by_symbol: dict[str, LoadedFunction | None] = {}
    for function in functions:
        if function.address is not None:
            taken = function.address in by_address
            by_address[function.address] = None if taken else function
        if function.symbol:
            by_symbol[function.symbol] = None if function.symbol in by_symbol else function
    return Module(
        next((part.cubin for part in parts if part.cubin), b""),
        functions,
        by_address,
        by_symbol,
        {name: text for part in parts for name, text in part.sources.items()},
    )


def machine_code(
    module: Module, function_address: int | None, symbol: str | None
) -> MachineCode | None:
    """Join a launch with its function in the module.

    Parameters
    ----------
    module
        The module that the launch refers to.
    function_address
        Where the launched function was loaded, as the launch tells; looked up first.
    symbol
        The launched function's linker symbol; looked up where no address fits.

    Returns
    -------
    MachineCode or None
        None when the report holds no machine code of it. The function's place is None where the
        report does not tell which one was launched.
    """
    if not module.cubin:
        return None
    found = None
    if function_address is not None:
        found = module.by_address.get(function_address)
    if found is None and symbol:
        found = module.by_symbol.get(symbol)
    if found is None and len(module.functions) == 1:
        found = module.functions[0]
    if found is None:
        return MachineCode(module.cubin, None, None, module.sources)
    return MachineCode(module.cubin, found.index, found.address, module.sources)


def _given(message: Any, field: str) -> int | None:
    return getattr(message, field) if message.HasField(field) else None
