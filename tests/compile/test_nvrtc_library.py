"""Which NVRTC is found, and what is said when it can't do what is asked."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from kernprof.compile import compile_source, nvrtc, nvrtc_library
from kernprof.compile.nvrtc_library import Nvrtc, Place, library, places
from kernprof.errors import CompileError, UnavailableError, UnknownNameError


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No wheels, no toolkit; returns an empty folder that counts as the place of the wheels."""
    spec = ModuleSpec("nvidia", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "nvidia")]
    monkeypatch.setattr(nvrtc_library, "find_spec", lambda name: spec)
    monkeypatch.setattr(nvrtc_library, "_TOOLKITS", ())
    for name in (nvrtc_library.VARIABLE, "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_wheel_of_cuda_12_comes_before_that_of_13_and_the_toolkit(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = _file(nowhere / "nvidia/cu13/lib/libnvrtc.so.13")
    _file(nowhere / "nvidia/cu13/lib/libnvrtc.alt.so.13")
    _file(nowhere / "nvidia/cu13/lib/libnvrtc-builtins.so.13.0")
    old = _file(nowhere / "nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
    headers = _file(nowhere / "nvidia/cuda_runtime/include/cuda_fp16.h").parent
    real = _file(nowhere / "cuda/lib64/libnvrtc.so.13.1.80")
    (nowhere / "cuda/lib64/libnvrtc.so.13").symlink_to(real)
    toolkit = _file(nowhere / "cuda/include/cuda_fp16.h").parent
    monkeypatch.setenv("CUDA_HOME", str(nowhere / "cuda"))
    assert list(places()) == [
        Place(old, headers),
        Place(new, None),
        Place(nowhere / "cuda/lib64/libnvrtc.so.13", toolkit),
    ]


def test_a_library_named_by_the_variable_is_the_only_one(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file(nowhere / "nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
    monkeypatch.setenv(nvrtc_library.VARIABLE, "/elsewhere/libnvrtc.so.12")
    assert list(places()) == [Place(Path("/elsewhere/libnvrtc.so.12"), None)]


def test_without_a_library_the_error_tells_the_remedy(nowhere: Path) -> None:
    library.cache_clear()
    try:
        with pytest.raises(UnavailableError, match="pip install 'nvidia-cuda-nvrtc-cu12"):
            library()
        _file(nowhere / "nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
        with pytest.raises(UnavailableError, match=r"can't be loaded \(.*libnvrtc\.so\.12"):
            library()
    finally:
        library.cache_clear()


def test_what_cuda_13_dropped_is_told_apart_from_what_never_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Newer:
        version = (13, 0)
        targets = (75, 80, 90)

    monkeypatch.setattr(nvrtc, "library", lambda: Newer())
    nvrtc.targets.cache_clear()
    try:
        nvrtc.check_target("sm_90a")
        with pytest.raises(UnavailableError, match=r"NVRTC 13\.0 makes no machine code for sm_60"):
            nvrtc.check_target("sm_60")
        with pytest.raises(UnknownNameError):
            nvrtc.check_target("sm_42")
    finally:
        nvrtc.targets.cache_clear()


def test_a_zero_in_a_text_does_not_end_it_in_silence() -> None:
    with pytest.raises(CompileError, match="zero byte"):
        compile_source("__global__ void k() {}\0 nonsense", arch="sm_80", use_cache=False)


def test_other_libraries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"file too short|invalid ELF"):
        Nvrtc(Place(_file(tmp_path / "libnvrtc.so.12"), None))


def test_headers_of_the_tensor_cores_are_found_or_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = '#include <mma.h>\nextern "C" __global__ void k() {}'
    real = nvrtc.header_dirs()
    if any(folder.parent.name == "cuda_nvcc" for folder in real):
        assert "k" in compile_source(source, arch="sm_80", use_cache=False).kernels
    bare = tuple(folder for folder in real if folder.parent.name != "cuda_nvcc")
    if not any((folder / "mma.h").is_file() for folder in bare):
        pytest.skip("the CUDA runtime's headers are not here")
    monkeypatch.setattr(nvrtc, "header_dirs", lambda: bare)
    with pytest.raises(CompileError, match=r"crt/mma\.h.*pip install 'gpu-kernprof\[tensor\]'"):
        compile_source(source, arch="sm_80", use_cache=False)
