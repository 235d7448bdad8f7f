"""Run the benchmarks, all or those named."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks


def main(names: list[str]) -> int:
    """Run each benchmark module's ``main``; returns 1 when one of them missed its bar."""
    known = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[0] != "_")
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; known: {', '.join(known)}")
        return 2
    missed = []
    for name in names or known:
        print(f"== {name}")
        if not importlib.import_module(f"benchmarks.{name}").main():
            missed.append(name)
        print()
    if missed:
        print(f"bars missed in: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
