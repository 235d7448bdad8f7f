"""What pyproject.toml can't say: packages in folders of their own, and the compiled core."""

from setuptools import Extension, find_packages, setup

CORE = "kernprof/timing/core"

setup(
    packages=[*find_packages(include=["kernprof", "kernprof.*"]), "kernprof.kernels"],
    ext_modules=[
        # Called through ctypes: it knows nothing of Python. Without a compiler everything but the
        # timing model works, and the timing model says what to install.
        Extension(
            "kernprof.timing._core",
            sources=[f"{CORE}/{name}.cpp" for name in ("check", "gpu", "sm")],
            depends=[
                f"{CORE}/{name}.h" for name in ("check", "memory", "model", "resources", "sm")
            ],
            extra_compile_args=["-std=c++17", "-O3", "-Wall", "-Wextra"],
            language="c++",
            optional=True,
        )
    ],
)
