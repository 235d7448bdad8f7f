"""``python -m kernprof``."""

from kernprof import main

if __name__ == "__main__":
    raise SystemExit(main())
