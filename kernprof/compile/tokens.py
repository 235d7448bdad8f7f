"""CUDA C++ source as tokens: enough of the language to tell where declarations begin and end.

Translation phases 1 to 3 of C++ (ISO/IEC 14882, [lex.phases]) without trigraphs: comments are
dropped, a directive with its continuation lines is one token, literals are never looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """Class of a token."""

    NAME = auto()
    LITERAL = auto()
    PUNCTUATION = auto()
    DIRECTIVE = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Parameters
    ----------
    kind, text
        What it is; of a directive the text is the whole line, continuation lines joined.
    start, end
        Where it is in the source, in characters.
    """

    kind: Kind
    text: str
    start: int
    end: int


_SPLICE = r"\\\r?\n"
_TOKEN = re.compile(
    rf"""
    (?P<blank>(?:[ \t\r\f\v\n]|{_SPLICE})+)
  | (?P<comment>//(?:[^\n\\]|\\(?:\r?\n|.))*|/\*.*?(?:\*/|\Z))
  | (?P<raw>(?:u8|[uUL])?R"(?P<mark>[^()\s\\]{{0,16}})\(.*?\)(?P=mark)")
  | (?P<text>(?:u8|[uUL])?"(?:[^"\\\n]|\\(?:\r\n|.))*"|(?:u8|[uUL])?'(?:[^'\\\n]|\\(?:\r\n|.))*')
  | (?P<number>\.?[0-9](?:'?[0-9A-Za-z_.]|(?<=[eEpP])[+-])*)
  | (?P<name>[A-Za-z_$\u0080-\U0010ffff][\w$]*)
  | (?P<mark3><<<|>>>|\.\.\.)
  | (?P<mark2>::|->|==|!=|<=|>=|&&|\|\||\+=|-=|\*=|/=|%=|\^=|&=|\|=|\+\+|--)
  | (?P<other>.)
    """,
    re.DOTALL | re.VERBOSE,
)
_DIRECTIVE = re.compile(
    rf"(?:[^\n\\/]|{_SPLICE}|\\.|/\*.*?(?:\*/|\Z)|/(?![/*]))*",
    re.DOTALL,
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_JOINED = re.compile(_SPLICE)


def tokenize(source: str) -> Iterator[Token]:
    """Split source text; blanks and comments are left out.

    Anything is accepted: a lone quote, say, is one mark of punctuation.
    """
    at = 0
    fresh = True  # nothing but blanks and comments on this line so far
    while at < len(source):
        if fresh and source[at] == "#":
            found = _DIRECTIVE.match(source, at)
            assert found is not None
            text = _COMMENT.sub(" ", _JOINED.sub(" ", found.group())).strip()
            yield Token(Kind.DIRECTIVE, text, at, found.end())
            at = found.end()
            continue
        match = _TOKEN.match(source, at)
        assert match is not None
        group, text = match.lastgroup, match.group()
        if group in ("blank", "comment"):
            fresh = fresh or (group == "blank" and "\n" in text)
        else:
            fresh = False
            yield Token(_kind(group), text, match.start(), match.end())
        at = match.end()


def _kind(group: str | None) -> Kind:
    if group == "name":
        return Kind.NAME
    return Kind.LITERAL if group in ("raw", "text", "number", "mark") else Kind.PUNCTUATION


def names(tokens: Sequence[Token]) -> frozenset[str]:
    """Return all names among tokens."""
    return frozenset(t.text for t in tokens if t.kind is Kind.NAME)


_DEFINE = re.compile(r"#\s*define\s+(\w+)(.*)", re.DOTALL)
_INCLUDE = re.compile(r'#\s*include\s*(?:"([^"\n]+)"|<([^>\n]+)>)')
_CONDITION = re.compile(
    r"#\s*(if|ifdef|ifndef|elif|elifdef|elifndef|else|endif)\b\s*(.*)", re.DOTALL
)


def definition(directive: Token) -> tuple[str, str] | None:
    """Return name and rest of a ``#define``, or None of another directive."""
    found = _DEFINE.match(directive.text)
    return (found.group(1), found.group(2)) if found else None


def included(directive: Token) -> tuple[str, bool] | None:
    """Return the name of an ``#include`` and whether it stands in quotes, or None."""
    found = _INCLUDE.match(directive.text)
    if found is None:
        return None
    quoted, angled = found.groups()
    return (quoted, True) if quoted else (angled, False)


def structural(tokens: Sequence[Token]) -> list[Token]:
    """Leave out what would make braces seem unbalanced.

    Of a conditional group with a branch that opens more braces than it closes, only the first
    branch counts, and of ``#if 0`` only what comes after it. Conditions are not evaluated.
    """
    # A stack instead of recursion: groups may nest deeper than Python calls.
    groups: list[_Group] = [_Group([[]], zero=False)]
    for token in tokens:
        found = _CONDITION.match(token.text) if token.kind is Kind.DIRECTIVE else None
        word = found.group(1) if found else ""
        if found and word.startswith("if"):
            groups.append(_Group([[token]], zero=word == "if" and found.group(2).strip() == "0"))
        elif word.startswith("el") and len(groups) > 1:
            groups[-1].branches.append([token])
        elif word == "endif" and len(groups) > 1:
            whole = groups.pop().joined()
            groups[-1].branches[-1] += [*whole, token]
        else:
            groups[-1].branches[-1].append(token)
    while len(groups) > 1:  # one without #endif
        whole = groups.pop().joined()
        groups[-1].branches[-1] += whole
    return groups[0].branches[0]


@dataclass(frozen=True, slots=True)
class _Group:
    """A conditional group: its branches so far, each with the directive that opens it."""

    branches: list[list[Token]]
    zero: bool

    def joined(self) -> list[Token]:
        branches = self.branches
        if self.zero:
            branches[0] = branches[0][:1]
        if all(_net(branch) == 0 for branch in branches):
            return [token for branch in branches for token in branch]
        chosen = 1 if self.zero and len(branches) > 1 else 0
        return [
            token
            for number, branch in enumerate(branches)
            for token in (branch if number == chosen else branch[:1])
        ]


def _net(tokens: Sequence[Token]) -> int:
    marks = [t.text for t in tokens if t.kind is Kind.PUNCTUATION]
    return marks.count("{") - marks.count("}")
