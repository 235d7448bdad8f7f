"""Kernel names as profilers print them: from a C++ signature to the function's own name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernprof.text import clean

_OPEN = {"<": ">", "(": ")", "[": "]", "{": "}"}
_PSEUDO_SCOPES = ("(anonymous namespace)", "(lambda", "(anonymous class)", "(unnamed")
_LENGTH = re.compile(r"[1-9][0-9]{0,4}")
_SYMBOL_CHARS = 16_384
_BACK_REFERENCES = 12


@dataclass(frozen=True, slots=True)
class KernelName:
    """The forms of one kernel's name.

    Parameters
    ----------
    kernel
        Function name without scopes, template arguments and parameters.
    demangled
        Whole C++ name, or None where the report has only the plain function name.
    mangled
        Linker symbol, or None.
    """

    kernel: str
    demangled: str | None = None
    mangled: str | None = None


def parse(text: str, limit: int) -> KernelName:
    """Take a printed kernel name apart; ``limit`` is the most characters that are kept."""
    shown = clean(text.strip(), limit)
    if shown.startswith("_Z"):
        demangled = demangle(shown)
        if demangled is None:
            return KernelName(symbol_name(shown), None, shown)
        demangled = clean(demangled, limit)
        return KernelName(function_name(demangled), demangled, shown)
    kernel = function_name(shown)
    return KernelName(kernel, shown if shown != kernel else None)


def demangle(symbol: str) -> str | None:
    """Return the C++ name of a linker symbol, or None where it can't be told safely.

    Back references can make a short symbol unfold into gigabytes, so a symbol with more than
    ``_BACK_REFERENCES`` of them is left alone (``symbol_name`` still finds the function).
    """
    if len(symbol) > _SYMBOL_CHARS or re.search(r"\d{6}", symbol):
        return None
    if len(re.findall(r"[ST][0-9A-Z]*_", symbol)) > _BACK_REFERENCES:
        return None
    try:
        import cxxfilt
    except (ImportError, OSError):
        return None
    try:
        found: str = cxxfilt.demangle(symbol)
    except (cxxfilt.Error, UnicodeError):
        return None
    return found if found != symbol else None


def symbol_name(symbol: str) -> str:
    """Return the function's own name out of a linker symbol without unfolding the rest of it.

    Itanium C++ ABI: ``_Z`` or ``_ZN`` and length-prefixed identifiers, the last of which is the
    function; template arguments and parameters follow.
    """
    index = 2
    if symbol.startswith("_ZN"):
        index = 3
        while symbol[index : index + 1] in ("K", "V", "L"):
            index += 1
    name = None
    while (match := _LENGTH.match(symbol, index)) is not None:
        length = int(match.group())
        found = symbol[match.end() : match.end() + length]
        if len(found) != length:
            break
        name = found
        index = match.end() + length
    return name or symbol


def function_name(signature: str) -> str:
    """Return the function's own name out of a C++ signature.

    ``void at::native::fill<4, Functor<float> >(int)`` gives ``fill``. Return type, scopes, template
    arguments and parameters are dropped; a signature that the profiler cut short, or a name in
    another language, is kept as far as it goes.
    """
    start = 0
    end: int | None = None
    index = 0
    size = len(signature)
    while index < size:
        character = signature[index]
        if character not in "(<{: ":
            index += 1
            continue
        empty = index == start
        is_operator = signature.endswith("operator", start, index)
        if character == "(":
            if empty and signature.startswith(_PSEUDO_SCOPES, index):
                index = _closing(signature, index)
                end = None
            elif is_operator and signature.startswith("()", index):
                index += 2
            else:
                end = end or index
                break
        elif character == "<" and not is_operator:
            # An empty name before it is a scope like ``<unnamed>``.
            end = None if empty else index
            index = _closing(signature, index)
        elif character == "{" and empty:
            index = _closing(signature, index)
        elif signature.startswith("::", index):
            start = index = index + 2
            end = None
        elif character == " " and not is_operator:
            following = index
            while following < size and signature[following] == " ":
                following += 1
            if following == size or signature[following] == "[":
                break
            start = index = following
            end = None
        else:
            index += 1
    name = signature[start : end if end is not None else index].strip()
    return name or signature


def _closing(text: str, opening: int) -> int:
    """Return the index after the bracket that closes the one at ``opening``, or the end."""
    stack: list[str] = []
    for index in range(opening, len(text)):
        character = text[index]
        if character in _OPEN:
            # Inside parentheses "<" compares.
            if character != "<" or not stack or stack[-1] != ")":
                stack.append(_OPEN[character])
        elif stack and character == stack[-1]:
            stack.pop()
            if not stack:
                return index + 1
    return len(text)
