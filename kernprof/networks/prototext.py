"""A small reader of Protocol Buffers' text format, as Caffe's network files use it.

It knows no schema: it gives messages of named fields whose values are scalars or messages, each
with its line. Depth, size and number of tokens are bounded, so that a hostile file ends in an error
message. Grammar: the text format specification of Protocol Buffers, without extensions and ``Any``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kernprof.errors import NetworkFileError
from kernprof.networks.limits import LIMITS, NetworkLimits

# Possessive quantifiers: without them the engine keeps a way back for each character of a string.
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+|\#[^\n]*)
      | (?P<line>\n)
      | (?P<string>"(?:[^"\\\n]++|\\.)*+"|'(?:[^'\\\n]++|\\.)*+')
      | (?P<word>[-+]?[A-Za-z0-9_.][-+A-Za-z0-9_.]*)
      | (?P<mark>[{}<>:;,\[\]])
    """,
    re.VERBOSE,
)
_CLOSERS = {"{": "}", "<": ">"}
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number, enumerator or string as the file spells it, without quotes."""

    text: str
    line: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """Named fields in the order of the file; a name may come more than once."""

    fields: tuple[tuple[str, Scalar | Message], ...]
    line: int

    def messages(self, name: str) -> list[Message]:
        """All submessages of that name.

        Raises
        ------
        NetworkFileError
            A field of that name holds a scalar.
        """
        found = []
        for key, value in self.fields:
            if key == name:
                if isinstance(value, Scalar):
                    raise NetworkFileError(
                        f"line {value.line}: {name} is {value.text!r}; a message in braces is "
                        "expected"
                    )
                found.append(value)
        return found

    def message(self, name: str) -> Message:
        """Return the last submessage of that name; an empty one where there is none."""
        found = self.messages(name)
        return found[-1] if found else Message((), self.line)

    def scalars(self, name: str) -> list[Scalar]:
        """All scalars of that name.

        Raises
        ------
        NetworkFileError
            A field of that name holds a message.
        """
        found = []
        for key, value in self.fields:
            if key == name:
                if isinstance(value, Message):
                    raise NetworkFileError(
                        f"line {value.line}: {name} is a message; a single value is expected"
                    )
                found.append(value)
        return found

    def texts(self, name: str) -> list[str]:
        """All scalars of that name as text."""
        return [scalar.text for scalar in self.scalars(name)]

    def text(self, name: str, default: str = "") -> str:
        """Return the last scalar of that name as text."""
        found = self.texts(name)
        return found[-1] if found else default

    def integers(self, name: str) -> list[int]:
        """All scalars of that name as integers.

        Raises
        ------
        NetworkFileError
            One of them is none, or has more than 18 digits.
        """
        return [_integer(name, scalar) for scalar in self.scalars(name)]

    def integer(self, name: str, default: int) -> int:
        """Return the last scalar of that name as an integer."""
        found = self.integers(name)
        return found[-1] if found else default

    def numbers(self, name: str) -> list[float]:
        """All scalars of that name as floating-point numbers.

        Raises
        ------
        NetworkFileError
            One of them is none.
        """
        found = []
        for scalar in self.scalars(name):
            try:
                found.append(float(scalar.text))
            except ValueError:
                raise NetworkFileError(
                    f"line {scalar.line}: {name} is {_short(scalar.text)}; a number is expected"
                ) from None
        return found

    def flag(self, name: str) -> bool | None:
        """Return the last scalar of that name as a truth value; None where there is none."""
        found = self.scalars(name)
        if not found:
            return None
        text = found[-1].text.lower()
        if text in ("true", "t", "1"):
            return True
        if text in ("false", "f", "0"):
            return False
        raise NetworkFileError(
            f"line {found[-1].line}: {name} is {found[-1].text!r}; true or false is expected"
        )


def parse_prototext(text: str, limits: NetworkLimits = LIMITS) -> Message:
    """Parse a text-format file.

    Raises
    ------
    NetworkFileError
        It breaks the grammar or a limit; the message names the line.
    """
    return _Parser(text, limits).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


_END = _Token("end", "the end of the file", 0)


class _Parser:
    """One pass over the tokens with one token of look-ahead; open messages are kept on a stack."""

    def __init__(self, text: str, limits: NetworkLimits) -> None:
        self._limits = limits
        self._tokens = _tokenize(text, limits)
        self._line = 1
        self._next = next(self._tokens, _END)

    def parse(self) -> Message:
        stack: list[tuple[str, str, int, list[tuple[str, Scalar | Message]]]] = [("", "", 1, [])]
        while True:
            token = self._take()
            name, closer, line, fields = stack[-1]
            if token.kind == "end":
                if len(stack) > 1:
                    raise NetworkFileError(
                        f"line {line}: {name or 'a message'} is opened and never closed; "
                        f"{closer!r} is missing"
                    )
                return Message(tuple(fields), 1)
            if token.text in ("}", ">") and token.kind == "mark":
                if token.text != closer:
                    raise self._unexpected(token, "a field name" if not closer else repr(closer))
                stack.pop()
                stack[-1][3].append((name, Message(tuple(fields), line)))
                self._separator()
            elif token.kind == "word":
                self._field(token, stack)
            else:
                raise self._unexpected(token, "a field name")

    def _field(
        self,
        name: _Token,
        stack: list[tuple[str, str, int, list[tuple[str, Scalar | Message]]]],
    ) -> None:
        colon = self._accept(":")
        if self._next.kind == "mark" and self._next.text in _CLOSERS:
            opener = self._take()
            if len(stack) > self._limits.depth:
                raise NetworkFileError(
                    f"line {opener.line}: messages are nested more than {self._limits.depth} deep; "
                    "network files need less than ten levels"
                )
            stack.append((name.text, _CLOSERS[opener.text], opener.line, []))
            return
        if not colon:
            raise self._unexpected(self._next, f"':' or '{{' after {name.text!r}")
        fields = stack[-1][3]
        if self._accept("["):
            while not self._accept("]"):
                fields.append((name.text, self._scalar()))
                if not self._accept(",") and self._next.text != "]":
                    raise self._unexpected(self._next, "',' or ']'")
        else:
            fields.append((name.text, self._scalar()))
        self._separator()

    def _scalar(self) -> Scalar:
        token = self._take()
        if token.kind == "word":
            return Scalar(token.text, token.line)
        if token.kind != "string":
            raise self._unexpected(token, "a value")
        parts = [_unquote(token.text)]
        while self._next.kind == "string":
            parts.append(_unquote(self._take().text))
        return Scalar("".join(parts), token.line, quoted=True)

    def _separator(self) -> None:
        if not self._accept(","):
            self._accept(";")

    def _accept(self, mark: str) -> bool:
        if self._next.kind == "mark" and self._next.text == mark:
            self._take()
            return True
        return False

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._line = token.line
            self._next = next(self._tokens, _END)
        return token

    def _unexpected(self, token: _Token, expected: str) -> NetworkFileError:
        return NetworkFileError(
            f"line {token.line or self._line}: found {_short(token.text)}, expected {expected}"
        )


def _tokenize(text: str, limits: NetworkLimits) -> Iterator[_Token]:
    line, position, count = 1, 0, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise NetworkFileError(
                f"line {line}: {_short(text[position : position + 20])} can't be read; expected a "
                "field of a text-format file (is this a prototxt?)"
            )
        position = match.end()
        kind = match.lastgroup or ""
        if kind == "line":
            line += 1
        elif kind != "space":
            count += 1
            if count > limits.tokens:
                raise NetworkFileError(
                    f"line {line}: more than {limits.tokens} tokens; network files are smaller"
                )
            if match.end() - match.start() > limits.text_chars:
                raise NetworkFileError(
                    f"line {line}: {_short(match.group()[:40])} is longer than {limits.text_chars} "
                    "characters; names and values of network files are shorter"
                )
            yield _Token(kind, match.group(), line)


def _unquote(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match.group(1), match.group(1)), text[1:-1])


def _integer(name: str, scalar: Scalar) -> int:
    # More digits can't be a size, and converting very long ones is slow on purpose in Python.
    if len(scalar.text) <= 18 and re.fullmatch(r"[-+]?[0-9]+", scalar.text):
        return int(scalar.text)
    raise NetworkFileError(
        f"line {scalar.line}: {name} is {_short(scalar.text)}; a whole number of at most 18 digits "
        "is expected"
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
