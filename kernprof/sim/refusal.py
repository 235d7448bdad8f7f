"""What stops the translation of an instruction; apart, so that every layer can raise it."""

from __future__ import annotations


class Refused(Exception):
    """An opcode, modifier or operand form whose semantics are not known, or an index too large."""
