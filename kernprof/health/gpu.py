"""The GPU check-up: one page of verdicts on everything that measuring needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kernprof.devices.model import Device
from kernprof.errors import KernprofError, UnavailableError
from kernprof.health.checks import Finding, State, counters, driver
from kernprof.layers import can_predict, predict_launches, static_launches
from kernprof.layers.measured import MeasuredLaunch, measure_launches
from kernprof.lowering.launch import Direction, Launch, Lowering
from kernprof.lowering.lower import lower_network
from kernprof.lowering.options import LoweringOptions
from kernprof.measure.collect import Tool, find_tool, version
from kernprof.measure.launcher import Backend, Launcher, open_launcher
from kernprof.measure.nvml import Nvml
from kernprof.measure.timing import TimingOptions
from kernprof.networks.registry import load_network

NETWORKS = ("mobilenet", "alexnet", "squeezenet-v1.0")
_VOLTA = (7, 0)
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class KernelCheck:
    """One kernel of a family: right, timed, and beside its prediction.

    Parameters
    ----------
    measured
        What the GPU did.
    measured_cycles
        Its time in SM cycles, at the clock that NVML told while it ran; None without that.
    predicted_cycles
        The timing model's; None where the architecture is not modelled.
    """

    measured: MeasuredLaunch
    measured_cycles: float | None
    predicted_cycles: float | None

    @property
    def difference_pct(self) -> float | None:
        """Predicted beside measured cycles, in percent of the measured."""
        if self.measured_cycles is None or self.predicted_cycles is None:
            return None
        return 100 * (self.predicted_cycles - self.measured_cycles) / self.measured_cycles


@dataclass(frozen=True, slots=True)
class CheckUp:
    """The whole page.

    Parameters
    ----------
    findings
        Driver, permissions, libraries, programs.
    device
        The GPU; None where there is none.
    kernels
        One a family; empty without a GPU.
    """

    findings: tuple[Finding, ...]
    device: Device | None
    kernels: tuple[KernelCheck, ...]

    @property
    def healthy(self) -> bool:
        """Whether measuring works: a GPU, and every kernel right."""
        return self.device is not None and all(k.measured.right for k in self.kernels)


def check_up(
    backend: Backend = Backend.CUPY,
    *,
    launcher: Launcher | None = None,
    families: Callable[[str], bool] = lambda family: True,
    progress: Callable[[str], None] | None = None,
) -> CheckUp:
    """Look at everything that measuring needs, and run one kernel of each family.

    Parameters
    ----------
    backend
        What launches.
    launcher
        An open one, instead.
    families
        Which families are run.
    progress
        Called with the name of each kernel before it runs.
    """
    findings = [*driver(), *counters()]
    nvml: Nvml | None = None
    try:
        nvml = Nvml()
        findings.append(_nvml(nvml))
    except KernprofError as missing:
        findings.append(_missing("NVML", missing))
    device = None
    try:
        launcher = launcher or open_launcher(backend)
        facts = launcher.facts()
        device = facts.device
        found = f"{facts.name}, compute capability {facts.cc}"
        findings.append(Finding(f"GPU through {launcher.backend}", State.OK, found))
    except KernprofError as missing:
        findings.append(_missing(f"GPU through {backend}", missing))
    findings += _profiler(device)
    if launcher is None or device is None:
        return CheckUp(tuple(findings), None, ())
    kernels = tuple(_kernels(launcher, device, nvml, families, progress))
    return CheckUp(tuple(findings), device, kernels)


def _missing(check: str, error: KernprofError) -> Finding:
    if isinstance(error, UnavailableError):
        return Finding(check, State.MISSING, error.what, error.remedy)
    return Finding(check, State.MISSING, str(error))


def _nvml(nvml: Nvml) -> Finding:
    counter = "with" if nvml.energy_mj() is not None else "without"
    clocks = nvml.clocks_mhz()
    at = "" if clocks is None else f", SM {clocks[0]} MHz, memory {clocks[1]} MHz now"
    found = f"{nvml.name()}, driver {nvml.driver()}, {counter} an energy counter{at}"
    return Finding("NVML", State.OK, found)


def _profiler(device: Device | None) -> Iterator[Finding]:
    old = device is not None and device.arch.cc_number < _VOLTA
    tool = Tool.NVPROF if old else Tool.NCU
    try:
        path = find_tool(tool)
    except KernprofError as missing:
        yield _missing(str(tool), missing)
        return
    yield Finding(f"{tool}", State.OK, f"{path}, version {version(path) or 'n/a'}")


def sample_launches(families: Callable[[str], bool] = lambda family: True) -> list[Launch]:
    """Return one launch of each kernel family: the largest of moderate size in real networks."""
    best: dict[str, tuple[int, Launch]] = {}
    for key in NETWORKS:
        network = load_network(key)
        for lowering in (Lowering.CAFFE, Lowering.DIRECT):
            options = LoweringOptions(lowering=lowering, direction=Direction.BOTH)
            for launch in lower_network(network, options).launches:
                if not families(launch.family):
                    continue
                size = _bytes(launch)
                known = best.get(launch.family)
                if size <= _MOST_BYTES and (known is None or size > known[0]):
                    best[launch.family] = (size, launch)
    return [launch for _, launch in best.values()]


def _bytes(launch: Launch) -> int:
    from kernprof.library import entry

    return entry(launch.kernel).bytes_moved(launch.shape)


def _kernels(
    launcher: Launcher,
    device: Device,
    nvml: Nvml | None,
    families: Callable[[str], bool],
    progress: Callable[[str], None] | None,
) -> Iterator[KernelCheck]:
    reason = can_predict(device)
    for launch in sample_launches(families):
        if progress is not None:
            progress(launch.kernel)
        statics = static_launches([launch], device)
        (measured,) = measure_launches(
            statics,
            launcher,
            device,
            options=TimingOptions(),
            origin="check-up",
            clocks=None if nvml is None else nvml.clocks_mhz,
        )
        clocks = measured.clocks_mhz
        one = None if measured.times is None else measured.times.median_ns
        cycles = None if clocks is None or one is None else one * clocks[0] / 1e3
        predicted = None
        if not reason:
            (made,) = predict_launches(statics, device)
            predicted = made.cycles.cycles
        yield KernelCheck(measured, cycles, predicted)
