"""Numbers as a profiler prints them in the user's locale.

``ncu`` groups digits and writes the decimal mark as the locale wants: ``1,234.5``, ``1.234,5``,
``1 234,5``, ``1'234.5``, and by lakh and crore ``12,34,567.5``. A single ``1,234`` can be read in
two ways. Which one a file means is found from all of its numbers together, and refused where they
don't tell: never guessed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from kernprof.errors import DamagedReportError, ReportError

_SPACES = "\u00a0\u202f\u2009 "
_APOSTROPHES = "'\u2019"

_NUMBER = re.compile(
    rf"([+-]?)([0-9.,{_SPACES}{_APOSTROPHES}]*[0-9][0-9.,{_SPACES}{_APOSTROPHES}]*)([eE][+-]?\d{{1,4}})?"
)
_GROUPED = re.compile(rf"[0-9]{{1,3}}(?:([.,{_SPACES}{_APOSTROPHES}])[0-9]{{3}})(?:\1[0-9]{{3}})*")
_LAKHS = re.compile(
    rf"[0-9]{{1,2}}(?:([.,{_SPACES}{_APOSTROPHES}])[0-9]{{2}})(?:\1[0-9]{{2}})*\1[0-9]{{3}}"
)
"""India groups the last three digits, and every two before them (CLDR, pattern #,##,##0.###)."""
_POINT = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)\.(?:[0-9]{1,2}|[0-9]{4,})")
"""A number with a decimal point that can't be read otherwise: most cells of most files."""
_PLAIN = re.compile(r"[+-]?[0-9]{1,300}")
_NOT_FINITE = {
    "nan": math.nan,
    "-nan": math.nan,
    "+nan": math.nan,
    "-nan(ind)": math.nan,
    "nan(ind)": math.nan,
    "inf": math.inf,
    "+inf": math.inf,
    "-inf": -math.inf,
}
_MAX_CHARS = 400
"""A double printed in full has at most 309 digits before the point."""

PERCENT_CEILING = 1000.0
"""No percentage of a profiler reaches this, so a reading that does is the wrong one."""

REMEDY = "export it again with `LC_ALL=C ncu --import REPORT --csv --page raw --print-units base`"


class Whole(Enum):
    """What is known of a quantity before its digits are read."""

    UNKNOWN = "unknown"
    COUNT = "count"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a file writes numbers.

    Parameters
    ----------
    decimal
        Its decimal mark, ``.`` or ``,``.
    lakhs
        Whether long numbers are grouped as India does, ``12,34,567``.
    """

    decimal: str = "."
    lakhs: bool = False

    @property
    def group(self) -> str:
        """The other mark, which can only group digits."""
        return "," if self.decimal == "." else "."

    def parse(self, text: str) -> Decimal | float | int | None:
        """Return a number, or None where the text is not one.

        Whole numbers come as int, others as Decimal (exactly the printed digits), NaN and
        infinities as float.

        Raises
        ------
        ValueError
            The text is made of digits and separators, but is no number in this format.
        """
        if _PLAIN.fullmatch(text):
            return int(text)
        not_finite = _NOT_FINITE.get(text.lower())
        if not_finite is not None:
            return not_finite
        if len(text) > _MAX_CHARS:
            return None
        match = _NUMBER.fullmatch(text)
        if match is None:
            return None
        sign, body, exponent = match.groups()
        whole, mark, fraction = body.partition(self.decimal)
        digits = _ungroup(whole, self.group, lakhs=self.lakhs)
        if (mark and not fraction) or (fraction and not fraction.isdecimal()):
            raise ValueError(text)
        if not mark and not exponent:
            return int(sign + digits)
        return Decimal(f"{sign}{digits}.{fraction or '0'}{exponent or ''}")


def _ungroup(whole: str, group: str, *, lakhs: bool) -> str:
    """Return the digits before the decimal mark without their grouping."""
    if whole.isdecimal():
        return whole
    if not whole:
        return "0"
    match = _GROUPED.fullmatch(whole)
    if lakhs and (match is None or whole.count(match.group(1)) > 1):
        match = _LAKHS.fullmatch(whole)
    if match is None or match.group(1) not in (group, *_SPACES, *_APOSTROPHES):
        raise ValueError(whole)
    return whole.replace(match.group(1), "")


class _Role(Enum):
    DECIMAL = "decimal mark"
    GROUP = "grouping of digits"


class FormatEvidence:
    """Collects what the numbers of one file tell about its decimal mark."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, _Role], tuple[int, str]] = {}
        self._open: dict[str, tuple[int, str]] = {}
        self._groups: dict[bool, tuple[int, str]] = {}

    def add(self, text: str, line: int, whole: Whole = Whole.UNKNOWN) -> None:
        """Look at one printed number (any other text tells nothing).

        Parameters
        ----------
        text
            The cell.
        line
            Where it stands, for messages.
        whole
            ``COUNT`` where the quantity can't have a fraction, ``PERCENT`` where it is a
            percentage: both can settle ``1,234``.
        """
        if _PLAIN.fullmatch(text) or len(text) > _MAX_CHARS:
            return
        if _POINT.fullmatch(text):
            self._note(".", _Role.DECIMAL, line, text)
            self._group(text.lstrip("+-").partition(".")[0], line, text)
            return
        match = _NUMBER.fullmatch(text)
        if match is None:
            return
        body = match.group(2)
        dots, commas = body.count("."), body.count(",")
        if dots and commas:
            last = "." if body.rindex(".") > body.rindex(",") else ","
            self._note(last, _Role.DECIMAL, line, text)
            self._group(body.rpartition(last)[0], line, text)
            return
        if not dots and not commas:
            return
        mark = "." if dots else ","
        if dots + commas > 1:
            self._note(mark, _Role.GROUP, line, text)
            self._group(body, line, text)
            return
        before, _, after = body.partition(mark)
        can_group = len(after) == 3 and 1 <= len(before) <= 3 and before[0] != "0"
        if not can_group or match.group(3) or not before.isdecimal():
            self._note(mark, _Role.DECIMAL, line, text)
        elif whole is Whole.COUNT:
            self._note(mark, _Role.GROUP, line, text)
        elif whole is Whole.PERCENT and float(before + after) >= PERCENT_CEILING:
            self._note(mark, _Role.DECIMAL, line, text)
        else:
            self._open.setdefault(mark, (line, text))

    def decide(self) -> NumberFormat:
        """Return the file's number format.

        Raises
        ------
        DamagedReportError
            The numbers contradict each other.
        ReportError
            A number can be read in two ways and no other number settles it.
        """
        dot = self._votes(".", _Role.DECIMAL) or self._votes(",", _Role.GROUP)
        comma = self._votes(",", _Role.DECIMAL) or self._votes(".", _Role.GROUP)
        if dot and comma:
            raise DamagedReportError(
                f"numbers in two locales: {dot[1]!r} in line {dot[0]} has a decimal point, "
                f"{comma[1]!r} in line {comma[0]} a decimal comma; {REMEDY}"
            )
        lakhs, thousands = self._groups.get(True), self._groups.get(False)
        if lakhs and thousands:
            raise DamagedReportError(
                f"numbers in two locales: {lakhs[1]!r} in line {lakhs[0]} is grouped in lakhs, "
                f"{thousands[1]!r} in line {thousands[0]} in thousands; {REMEDY}"
            )
        if comma:
            return NumberFormat(",", lakhs is not None)
        if dot:
            return NumberFormat(".", lakhs is not None)
        if self._open:
            line, text = min(self._open.values())
            mark = "," if "," in text else "."
            raise ReportError(
                f"{text!r} can be {text.replace(mark, '')} or {text.replace(mark, '.')}: that "
                f"depends on the locale, and no other number in the file settles it; {REMEDY}",
                where=f"line {line}",
            )
        return NumberFormat(".")

    def _group(self, whole: str, line: int, text: str) -> None:
        """Note how a number with two or more groups before its decimal mark is grouped."""
        lakhs = _LAKHS.fullmatch(whole) is not None
        grouped = _GROUPED.fullmatch(whole)
        if lakhs or (grouped is not None and whole.count(grouped.group(1)) > 1):
            self._groups.setdefault(lakhs, (line, text))

    def _note(self, mark: str, role: _Role, line: int, text: str) -> None:
        if (mark, role) not in self._seen:
            self._seen[mark, role] = line, text

    def _votes(self, mark: str, role: _Role) -> tuple[int, str] | None:
        return self._seen.get((mark, role))


def narrow(value: Decimal | float | int) -> float | int:
    """Return a parsed number as a metric value: a Decimal becomes the nearest float."""
    return float(value) if isinstance(value, Decimal) else value
