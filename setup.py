"""What pyproject.toml can't say: packages in folders of their own, and the compiled core."""

import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

sys.path.insert(0, str(Path(__file__).resolve().parent / "building"))

import core_compiler

CORE = "kernprof/timing/core"


class BuildCore(build_ext):
    """Compile the core with whichever compiler works, for the platform that the wheel names."""

    def build_extension(self, ext: Extension) -> None:
        """Build the one extension; a failure ends the installation and says what to do."""
        wheel = self.distribution.get_command_obj("bdist_wheel", create=False)
        target = Path(self.get_ext_fullpath(ext.name))
        try:
            core_compiler.build(ext.sources, target, getattr(wheel, "plat_name", None))
        except core_compiler.NoCompilerError as error:
            raise CompileError(str(error)) from None

    def copy_extensions_to_source(self) -> None:
        """Put the core into the source tree, alone: of two, Python loads the more closely named."""
        for left in Path(CORE).parent.glob("_core.*.so"):
            left.unlink()
        super().copy_extensions_to_source()


setup(
    packages=[*find_packages(include=["kernprof", "kernprof.*"]), "kernprof.kernels"],
    ext_modules=[
        # Called through ctypes: it knows nothing of Python, so that one build does for all of them.
        Extension(
            "kernprof.timing._core",
            sources=[f"{CORE}/{name}.cpp" for name in ("check", "gpu", "sm")],
            depends=[
                f"{CORE}/{name}.h" for name in ("check", "memory", "model", "resources", "sm")
            ],
            language="c++",
            py_limited_api=True,
        )
    ],
    cmdclass={"build_ext": BuildCore},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
