"""Profiles as a report that Nsight Compute opens.

The layout is NVIDIA's public one (Customization Guide, "Report File Format", version 7), the same
table of fields as the reader's. What comes back from our reader is what went in, value for value,
except what a report has no place for:

* ``origin`` becomes the new file's; ``family`` and ``spread`` are left out, ``notes`` become the
  comment, and a record of several launches says how many in a metric of ours;
* metrics that tell the launch and the device (``launch__grid_size``, ``device__attribute_...``,
  ``kernprof__provenance``) are added where a profile lacks them, since the official programs need
  them;
* instruction addresses that start from 0 (predictions) are moved to an address of their own.
"""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

from kernprof._version import __version__
from kernprof.compile import elf
from kernprof.errors import CubinError, UsageError
from kernprof.profile import (
    Instances,
    InstanceTable,
    KernelProfile,
    MachineCode,
    MetricValue,
    RuleResult,
    Source,
)
from kernprof.reports.ncurep.frame import MAGIC, VERSION
from kernprof.reports.ncurep.launch import LAUNCHES, PROVENANCE
from kernprof.reports.ncurep.schema import messages
from kernprof.reports.ncurep.values import LazyInstances

_U32 = struct.Struct("<I")
_DOUBLE = struct.Struct("<BBBd")
_BLOCK_BYTES = 64 << 20
"""Entries go into blocks of about this size: the size of a block is a 32-bit number."""

_FIRST_ADDRESS = 0x7F00_0000_0000
_ADDRESS_STEP = 1 << 20
"""Load addresses of functions that have none; any will do as long as functions don't overlap."""

_ATTRIBUTE = "device__attribute_"
_COMMENT = "comment in the report: "
_THREAD_ID = 1
_PROCESS = {"ProcessID": 1, "Hostname": b"", "ProcessName": b"kernprof"}
"""Told by every block: `ncu --import` of Nsight Compute 2025.3 ends in a segmentation fault on a
report of several launches whose blocks don't tell their process (seen on an H100's machine)."""

_KINDS: Final = {"none": 0, "ok": 1, "warning": 2, "error": 3, "optimization": 4}
_SCOPES: Final = {"local": 1, "global": 2}
_SAMPLES = "smsp__pcsamp_warps_issue_stalled_"
_NOT_ISSUED = "_not_issued"
_SAMPLE_GROUP = "group:smsp__pcsamp_warp_stall_reasons"
_PREDICTED_RULE = "KernprofPredicted"
_FUNCTION_PCS = "launch__function_pcs"


@dataclass(frozen=True, slots=True)
class _Module:
    """One cubin, its number in the report and the places of its launched functions."""

    reference: int
    code: MachineCode
    cc: str | None
    functions: dict[tuple[int, int], str]


def write_report(
    profiles: Sequence[KernelProfile],
    *,
    embed_source: bool = False,
    comment: str | None = None,
    created_s: int | None = None,
) -> bytes:
    """Return profiles as the bytes of a ``.ncu-rep`` file.

    Parameters
    ----------
    profiles
        Launches, in the order in which the report shows them.
    embed_source
        Put the source text that profiles carry into the report. Off by default: a report is easily
        passed on, and source text is not.
    comment
        A line beside the whole report.
    created_s
        Time that the report is to show, in seconds since 1970; none by default, so that the same
        profiles give the same bytes.

    Raises
    ------
    UsageError
        There is no launch, or one that no report can hold: its source doesn't tell grid and
        block, or its figures are published or static ones, which were never collected.
    """
    if not profiles:
        raise UsageError("no launch to write; a report holds one or more")
    ready, modules = _prepared([_writable(profile) for profile in profiles])
    names: dict[str, int] = {}
    results = [_result(profile, reference, names, created_s) for profile, reference in ready]
    sources = [_source(module, embed_source) for module in modules]
    head = messages()["FileHeader"](Version=VERSION).SerializeToString()
    parts = [MAGIC, _framed(head), _block(session=_session(profiles, comment, created_s))]
    strings = [name.encode("utf-8", "replace") for name in names]
    parts.append(_block(strings=strings))
    # A block for each: of two in one block `ncu --import` (2022.3) knows the last alone and shows
    # its machine code for every launch.
    parts += [_block(sources=[source]) for source in sources]
    parts += [_block(results=chunk) for chunk in _chunks(results)]
    return b"".join(parts)


def _writable(profile: KernelProfile) -> KernelProfile:
    if profile.source in (Source.PUBLISHED, Source.STATIC):
        raise UsageError(
            f"{profile.origin}: {profile.source} figures are no profile of a launch, and a report "
            "of them would look like one; measured, imported and predicted ones can be written"
        )
    if profile.grid is None or profile.block is None:
        raise UsageError(
            f"{profile.origin}: its source doesn't tell the grid and block of {profile.kernel}, "
            "and a report can't do without (nvprof tells them with --print-gpu-trace)"
        )
    return profile


def _prepared(
    profiles: Sequence[KernelProfile],
) -> tuple[list[tuple[KernelProfile, int]], list[_Module]]:
    """Give every launch its module's number, and every function an address."""
    modules: dict[bytes, _Module] = {}
    taken: dict[tuple[int, str], int] = {}
    ready = []
    for profile in profiles:
        reference = 0
        if profile.code is not None and profile.code.cubin:
            code = profile.code
            module = modules.setdefault(
                code.cubin, _Module(len(modules) + 1, code, profile.gpu.cc, {})
            )
            reference = module.reference
            symbol = profile.mangled or profile.kernel
            index = code.symbol_index
            if index is None:
                index = _symbol_index(code.cubin, symbol)
            base = code.base_address
            if not base:
                key = (reference, symbol)
                base = taken.setdefault(key, _FIRST_ADDRESS + len(taken) * _ADDRESS_STEP)
                profile = _rebased(profile, base)
            if index is not None:
                module.functions[base, index] = symbol
        ready.append((profile, reference))
    return ready, list(modules.values())


def _rebased(profile: KernelProfile, base: int) -> KernelProfile:
    """Move addresses from 0 on, as predictions have them, to a function's load address."""
    metrics = dict(profile.metrics)
    metrics.setdefault(_FUNCTION_PCS, base)
    instances = dict(profile.instances)
    if profile.code is not None and profile.code.base_address == 0:
        instances = {
            name: InstanceTable(
                [base + key if isinstance(key, int) else key for key in table.keys], table.values
            )
            for name, table in instances.items()
        }
    return replace(profile, metrics=metrics, instances=instances)


def _symbol_index(cubin: bytes, symbol: str) -> int | None:
    try:
        found = elf.parse(cubin)
    except CubinError:
        return None
    return next((entry.index for entry in found.symbols if entry.name == symbol), None)


def _result(
    profile: KernelProfile, reference: int, names: dict[str, int], created_s: int | None
) -> bytes:
    kinds = messages()
    assert profile.grid is not None
    assert profile.block is not None
    extent = kinds["Extent"]
    result = kinds["ProfileResult"](
        ThreadID=_THREAD_ID,
        APICallID=0,
        ProgramHandle=reference,
        KernelID=0,
        KernelMangledName=(profile.mangled or profile.kernel).encode("utf-8", "replace"),
        KernelFunctionName=profile.kernel.encode("utf-8", "replace"),
        KernelDemangledName=(profile.demangled or "").encode("utf-8", "replace"),
        WorkDimensions=3,
        GlobalWorkOffset=extent(X=0, Y=0, Z=0),
        GridSize=extent(X=profile.grid.x, Y=profile.grid.y, Z=profile.grid.z),
        BlockSize=extent(X=profile.block.x, Y=profile.block.y, Z=profile.block.z),
        Source=kinds["SourceReference"](Reference=reference),
        Api=0,
    )
    for metric, field in (("launch__context_id", "ContextID"), ("launch__stream_id", "StreamID")):
        known = profile.value(metric)
        if known is not None and 0 <= known < 1 << 32:
            setattr(result, field, int(known))
    if created_s is not None:
        result.CreationTime = created_s
    values = _completed(profile)
    result.MetricResults.extend(_metrics(values, profile, names))
    result.Sections.extend(_sections(values, profile.instances))
    result.RuleResults.extend(_rule(rule) for rule in (*profile.rules, *_warnings(profile)))
    if profile.nvtx:
        result.Nvtx = _nvtx(profile.nvtx)
    text = _comment(profile)
    if text:
        result.Comments = text.encode("utf-8", "replace")
    clock = profile.collector.clock_control if profile.collector is not None else None
    if clock in ("locked to base", "not locked"):
        locked = int(clock == "locked to base")
        result.ClockStatus.CopyFrom(
            kinds["ClockStatus"](RequestedLock=locked, ExecutedLocked=locked)
        )
    packed: bytes = result.SerializeToString()
    return packed


def _completed(profile: KernelProfile) -> dict[str, MetricValue]:
    """Add what the official programs look up as metrics and a profile keeps elsewhere."""
    values = dict(profile.metrics)
    shared, gpu = profile.shared_mem, profile.gpu
    assert profile.grid is not None
    assert profile.block is not None
    known: dict[str, MetricValue | None] = {
        "launch__grid_size": profile.grid.total,
        "launch__block_size": profile.block.total,
        "launch__thread_count": profile.grid.total * profile.block.total,
        "launch__registers_per_thread": profile.registers,
        "launch__shared_mem_per_block_static": shared.static_bytes,
        "launch__shared_mem_per_block_dynamic": shared.dynamic_bytes,
        **{_ATTRIBUTE + name: value for name, value in gpu.attributes.items()},
        f"{_ATTRIBUTE}display_name": gpu.name,
        f"{_ATTRIBUTE}multiprocessor_count": gpu.sm_count,
        f"{_ATTRIBUTE}device_index": 0,
    }
    if gpu.cc is not None:
        major, _, minor = gpu.cc.partition(".")
        known[f"{_ATTRIBUTE}compute_capability_major"] = int(major)
        known[f"{_ATTRIBUTE}compute_capability_minor"] = int(minor or 0)
    known.update(_chip(gpu.cc, gpu.name or ""))
    if profile.source is not Source.IMPORTED:
        known[PROVENANCE] = f"{profile.source}: kernprof {__version__}"
    elif profile.collector is not None and profile.collector.tool != "ncu":
        known[PROVENANCE] = f"{profile.source}: collected by {profile.collector.tool}"
    for name, value in known.items():
        if value is not None:
            values.setdefault(name, value)
    values.pop(LAUNCHES, None)
    if profile.launches > 1:
        values[LAUNCHES] = profile.launches
    return values


def _chip(cc: str | None, name: str) -> dict[str, MetricValue]:
    for row in _facts()["chip"]:
        if row["cc"] == cc and any(board in name for board in row.get("boards", [""])):
            return {
                f"{_ATTRIBUTE}architecture": row["architecture"],
                f"{_ATTRIBUTE}implementation": row["implementation"],
                f"{_ATTRIBUTE}chip": row["implementation"],
            }
    return {}


def _metrics(
    values: Mapping[str, MetricValue], profile: KernelProfile, names: dict[str, int]
) -> Iterable[bytes]:
    kinds = messages()
    metric, scalar = kinds["Metric"], kinds["Value"]
    for name in dict.fromkeys([*values, *profile.instances, *profile.unset]):
        index = names.setdefault(name, len(names))
        packed: bytes = metric(NameId=index).SerializeToString()
        value = values.get(name)
        if isinstance(value, float):
            # Nearly all metrics: field 2, a value of nine bytes, which is a double (field 3).
            packed += _DOUBLE.pack(0x12, 9, 0x19, value)
        elif value is not None:
            raw = scalar(**_kind(value)).SerializeToString()
            packed += metric(NameId=index, MetricValue=raw).SerializeToString()[len(packed) :]
        table = profile.instances.get(name)
        yield packed if table is None else packed + _instances(table)


def _instances(table: Instances) -> bytes:
    kinds = messages()
    if isinstance(table, LazyInstances):
        # Packed as they were read, together with their metric's name index, which is another here.
        kept = kinds["MetricInstances"].FromString(table.raw)
        kept.DiscardUnknownFields()
        same: bytes = kept.SerializeToString()
        return same
    instance, scalar = kinds["Instance"], kinds["Value"]
    found = kinds["MetricInstances"]()
    found.MetricValueList.extend(
        instance(ElementValue=scalar(**_kind(value)))
        if key is None
        else instance(CorrelationId=scalar(**_kind(key)), ElementValue=scalar(**_kind(value)))
        for key, value in zip(table.keys, table.values, strict=True)
    )
    packed: bytes = found.SerializeToString()
    return packed


def _kind(value: MetricValue) -> dict[str, Any]:
    if isinstance(value, str):
        return {"String": value.encode("utf-8", "replace")}
    # Numpy's numbers count as well; what no unsigned integer can hold becomes a double.
    if isinstance(value, float) or not 0 <= value < 1 << 64:
        return {"Double": float(value)}
    return {"Uint64": int(value)}


def _sections(
    values: Mapping[str, MetricValue], instances: Mapping[str, Instances]
) -> Iterable[bytes]:
    """List every metric on a page: the official programs print only what a page lists."""
    kinds = messages()
    left = list(dict.fromkeys([*values, *instances]))
    for order, row in enumerate(_facts()["section"]):
        prefixes = tuple(row["prefixes"])
        here = [name for name in left if name.startswith(prefixes)]
        left = [name for name in left if not name.startswith(prefixes)]
        if not here:
            continue
        section = kinds["Section"](
            Identifier=row["identifier"], DisplayName=row["name"], Order=10 * (order + 1)
        )
        listed = [_listed(name) for name in here if name in values]
        if listed:
            section.Header.CopyFrom(kinds["SectionHeader"](Rows=len(listed), Metrics=listed))
        placed = [name for name in here if name in instances]
        by_place = [_listed(name) for name in (*_sample_groups(placed), *placed)]
        if by_place:
            source = kinds["SectionMetrics"](Metrics=by_place, Order=order)
            section.SourceMetrics.CopyFrom(source)
        yield section.SerializeToString()


def _sample_groups(names: Sequence[str]) -> list[str]:
    """Return the groups under which the source page draws stall samples as one column."""
    samples = [name for name in names if name.startswith(_SAMPLES)]
    groups = []
    if any(not name.endswith(_NOT_ISSUED) for name in samples):
        groups.append(_SAMPLE_GROUP)
    if any(name.endswith(_NOT_ISSUED) for name in samples):
        groups.append(_SAMPLE_GROUP + _NOT_ISSUED)
    return groups


def _listed(name: str) -> Any:
    safe = name.encode("utf-8", "replace").decode("utf-8")
    return messages()["SectionMetric"](Name=safe, Label=_label(safe))


@lru_cache(maxsize=4096)
def _label(name: str) -> str:
    """Return what a page calls a metric: the profiler's word where it has one."""
    known = _facts()["label"].get(name)
    if known is not None:
        return str(known)
    for pattern, label in _facts()["label_stall"].items():
        before, _, after = pattern.partition("{}")
        if name.startswith(before) and name.endswith(after):
            reason = name[len(before) : len(name) - len(after)]
            if reason.replace("_", "").isalpha() and "not_issued" not in reason:
                words = _facts()["label_words"]
                return str(
                    label.format(" ".join(words.get(w, w.title()) for w in reason.split("_")))
                )
    return name


def _warnings(profile: KernelProfile) -> tuple[RuleResult, ...]:
    told = any(rule.identifier == _PREDICTED_RULE for rule in profile.rules)
    if profile.source is not Source.PREDICTED or told:
        return ()
    message = (
        f"Predicted by kernprof {__version__}; no GPU ran this kernel. Cycles and stall reasons "
        "are a model, counts of instructions are exact."
    )
    return (RuleResult(_PREDICTED_RULE, "Predicted", "warning", message, "Kernprof"),)


def _rule(rule: RuleResult) -> bytes:
    kinds = messages()
    result = kinds["RuleResult"](
        Identifier=rule.identifier.encode("utf-8", "replace"),
        DisplayName=rule.name.encode("utf-8", "replace"),
    )
    if rule.section is not None:
        result.SectionIdentifier = rule.section.encode("utf-8", "replace")
    item = kinds["RuleItem"]()
    if rule.kind != "none" or rule.message:
        item.Message.CopyFrom(
            kinds["RuleMessage"](
                Message=rule.message.encode("utf-8", "replace"), Type=_KINDS.get(rule.kind, 0)
            )
        )
    if rule.speedup_pct is not None:
        item.Speedup.CopyFrom(
            kinds["Speedup"](Type=_SCOPES.get(rule.speedup_scope or "", 0), Value=rule.speedup_pct)
        )
    if item.ListFields():
        result.Body.Items.append(item.SerializeToString())
    packed: bytes = result.SerializeToString()
    return packed


def _nvtx(ranges: Sequence[str]) -> bytes:
    kinds = messages()
    stack = kinds["NvtxStack"](
        Id=0,
        Stack=[
            kinds["NvtxRange"](Name=name.encode("utf-8", "replace")).SerializeToString()
            for name in ranges
        ],
    )
    thread = kinds["NvtxThread"](TID=_THREAD_ID, PushPopDomains=[stack.SerializeToString()])
    packed: bytes = kinds["Nvtx"](Threads=[thread.SerializeToString()]).SerializeToString()
    return packed


def _comment(profile: KernelProfile) -> str:
    said = [note.removeprefix(_COMMENT) for note in profile.notes]
    if profile.launches > 1 and not any("stands for " in s for s in said):
        said.insert(0, f"stands for {profile.launches} launches")
    if profile.source is not Source.IMPORTED and not any(" by kernprof " in s for s in said):
        said.insert(0, f"{profile.source} by kernprof {__version__}")
    return "; ".join(said)


def _session(
    profiles: Sequence[KernelProfile], comment: str | None, created_s: int | None
) -> bytes:
    kinds = messages()
    collectors = {p.collector for p in profiles if p.collector and p.collector.tool == "ncu"}
    versions = {collector.version for collector in collectors}
    caches = {collector.cache_control for collector in collectors}
    kinds_of_source = sorted({str(profile.source) for profile in profiles})
    said = f"written by kernprof {__version__}; {', '.join(kinds_of_source)}"
    providers = [("kernprof", f"{__version__} ({', '.join(kinds_of_source)})")]
    if len(versions) == 1 and (version := versions.pop()) is not None:
        providers.append(("Nsight Compute Target", version))
    session = kinds["SessionDetails"](
        Comments=(f"{comment} ({said})" if comment else said).encode("utf-8", "replace"),
        VersionInfo=[
            kinds["VersionInfo"](
                Provider=provider.encode(), Version=version.encode("utf-8", "replace")
            ).SerializeToString()
            for provider, version in providers
        ],
    )
    if created_s is not None:
        session.CreationTime = created_s & 0xFFFF_FFFF
    if len(caches) == 1 and (cache_control := caches.pop()) is not None:
        # Only the option that decides what durations mean: command lines hold paths and names.
        session.ProfilerCmdline = f"--cache-control {cache_control}".encode()
    packed: bytes = session.SerializeToString()
    return packed


def _source(module: _Module, embed_source: bool) -> bytes:
    kinds = messages()
    source = kinds["SourceData"](Reference=module.reference, Binary=module.code.cubin)
    if module.cc is not None:
        major, _, minor = module.cc.partition(".")
        source.SMRevision = int(major) << 16 | int(minor or 0)
        level = _facts()["sass_level"].get(major)
        if level is not None:
            source.SassLevel = level
    source.BinaryFlags = 0
    if embed_source and module.code.sources:
        files = [
            kinds["SourceFile"](
                FileName=name.encode("utf-8", "replace"), Content=text.encode("utf-8", "replace")
            ).SerializeToString()
            for name, text in module.code.sources.items()
        ]
        source.SourceFiles.Files.extend(files)
    functions = [
        kinds["Symbol"](
            SymbolName=symbol.encode("utf-8", "replace"), Address=address, SymbolIndex=index
        ).SerializeToString()
        for (address, index), symbol in module.functions.items()
    ]
    source.RelocationData.Functions.extend(functions)
    packed: bytes = source.SerializeToString()
    return packed


def _block(
    *,
    session: bytes | None = None,
    strings: Sequence[bytes] = (),
    sources: Sequence[bytes] = (),
    results: Sequence[bytes] = (),
) -> bytes:
    kinds = messages()
    payload = b"".join(_framed(entry) for entry in (*sources, *results))
    header = kinds["BlockHeader"](
        NumSources=len(sources), NumResults=len(results), PayloadSize=len(payload)
    )
    header.Process = kinds["Process"](**_PROCESS).SerializeToString()
    header.StringTable.CopyFrom(kinds["StringTable"](Strings=strings))
    if session is not None:
        header.SessionDetails = session
    return _framed(header.SerializeToString()) + payload


def _chunks(entries: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for entry in entries:
        if chunk and size + len(entry) > _BLOCK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += len(entry)
    if chunk:
        yield chunk


def _framed(message: bytes) -> bytes:
    return _U32.pack(len(message)) + message


@cache
def _facts() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("data", "writer.toml").read_text("utf-8")
    return tomllib.loads(text)
