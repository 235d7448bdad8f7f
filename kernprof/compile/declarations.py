"""Declarations of a CUDA source file: where each begins and ends, what it declares and uses.

Not a compiler: a declaration ends at a semicolon outside of all brackets or, of functions and
namespaces, at the brace that closes it. Names are not resolved; what a declaration *uses* are all
names in it, which can only make more of a file count as needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from kernprof.compile.tokens import Kind, Token, definition, names, tokenize

DEVICE = frozenset({"__device__", "__global__", "__constant__", "__shared__", "__managed__"})
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_WITH_ARGUMENTS = frozenset(
    {
        "__launch_bounds__", "__align__", "__attribute__", "__declspec", "__cluster_dims__",
        "__block_size__", "__maxnreg__", "alignas", "decltype", "noexcept", "explicit", "requires",
    }
)  # fmt: skip
_NOT_DECLARED = frozenset(
    {
        "struct", "class", "union", "enum", "typedef", "using", "namespace", "template",
        "typename", "public", "private", "protected", "virtual", "final", "static",
        "extern", "inline", "const", "constexpr", "volatile", "mutable", "void", "bool",
        "char", "short", "int", "long", "float", "double", "signed", "unsigned", "auto",
        "operator", "return", "if", "else", "for", "while", "do", "switch", "case",
        "default", "break", "continue", "sizeof", "this", "true", "false", "nullptr", "new",
        "delete", "friend", "explicit", "noexcept", "__device__", "__host__",
        "__constant__", "__shared__", "__managed__", "__global__", "__restrict__",
        "__forceinline__", "__align__",
    }
)  # fmt: skip
"""Words that no declaration can declare."""

_TYPES = frozenset({"struct", "class", "union", "enum"})
_ACCESS = frozenset({"public", "private", "protected"})


class Sort(Enum):
    """Class of a declaration."""

    FUNCTION = auto()
    TYPE = auto()
    VARIABLE = auto()
    USING_NAMESPACE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declaration at namespace scope.

    Parameters
    ----------
    sort
        What it declares.
    start, end
        Its stretch of the source, in characters.
    names
        What it declares, as far as other code can name it.
    uses
        Every name in it, host-only members of a class left out.
    kernel, device
        Whether it is a ``__global__`` function, or anything for the device.
    body
        Whether it is a definition with a body in braces.
    usable
        Whether device code can use it although nothing says so: ``const``, ``constexpr``; of a
        class's members also what shapes the object (virtual, defaulted and deleted functions).
    parameters
        Of a function: the names and the text of the types of its parameters.
    members
        Of a class: stretches of members that are functions for the host only.
    """

    sort: Sort
    start: int
    end: int
    names: frozenset[str]
    uses: frozenset[str]
    kernel: bool = False
    device: bool = False
    body: bool = False
    usable: bool = False
    parameters: tuple[tuple[str, str], ...] = ()
    members: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Macros:
    """Macros of a program.

    Parameters
    ----------
    bodies
        The names in each one's replacement.
    with_arguments
        Those that take arguments.
    whole
        Those of them that stand for statements or declarations, and so need no semicolon.
    """

    bodies: Mapping[str, frozenset[str]] = field(default_factory=dict)
    with_arguments: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()

    def expand(self, found: frozenset[str]) -> frozenset[str]:
        """Add all names that macros among these may bring, at any depth."""
        seen, pending = set(found), list(found)
        while pending:
            more = self.bodies.get(pending.pop(), frozenset()) - seen
            seen |= more
            pending += more
        return frozenset(seen)


def macros(tokens: Sequence[Token]) -> Macros:
    """Collect the macros that directives among tokens define; several definitions are joined."""
    bodies: dict[str, frozenset[str]] = {}
    functions, whole = set(), set()
    for token in tokens:
        made = definition(token) if token.kind is Kind.DIRECTIVE else None
        if made is not None:
            name, rest = made
            bodies[name] = bodies.get(name, frozenset()) | names(list(tokenize(rest)))
            if rest.startswith("("):
                functions.add(name)
                if "{" in rest or ";" in rest:
                    whole.add(name)
    return Macros(bodies, frozenset(functions), frozenset(whole))


def _declared(tokens: Sequence[Token]) -> frozenset[str]:
    return names(tokens) - _NOT_DECLARED


class UnbalancedError(Exception):
    """A bracket that is never closed, or a closing one too many."""

    def __init__(self, at: int, text: str) -> None:
        super().__init__(f"unbalanced {text!r}")
        self.at = at
        self.text = text


def declarations(tokens: Sequence[Token], known: Macros) -> Iterator[Declaration]:
    """Yield the declarations of a file, those inside of namespaces too.

    Raises
    ------
    UnbalancedError
        Brackets don't match.
    """
    code = [t for t in tokens if t.kind is not Kind.DIRECTIVE]
    return _Reader(code, known, _pairs(code)).read(0, len(code), inside_class=False)


def _pairs(code: Sequence[Token]) -> Mapping[int, int]:
    """Map each opening bracket's position to that of its closing one."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for at, token in enumerate(code):
        if token.kind is not Kind.PUNCTUATION:
            continue
        if token.text in _CLOSING:
            opened.append(at)
        elif token.text in _CLOSING.values():
            if not opened or _CLOSING[code[opened[-1]].text] != token.text:
                raise UnbalancedError(token.start, token.text)
            found[opened.pop()] = at
    if opened:
        token = code[opened[-1]]
        raise UnbalancedError(token.start, token.text)
    return found


class _Reader:
    """Reads declarations out of tokens without directives."""

    def __init__(self, code: Sequence[Token], known: Macros, pairs: Mapping[int, int]) -> None:
        self.code = code
        self.known = known
        self.pairs = pairs

    def read(self, at: int, stop: int, *, inside_class: bool) -> Iterator[Declaration]:
        # Namespaces may nest deeper than Python calls: their ends are passed over instead.
        shells: set[int] = set()
        while at < stop:
            text = self.code[at].text
            if at in shells or text == ";":
                at += 1
                continue
            if inside_class and text in _ACCESS and self._text(at + 1) == ":":
                at += 2
                continue
            shell = None if inside_class else self._shell(at, stop)
            if shell is not None:
                shells.add(self.pairs[shell])
                at = shell + 1
                continue
            end = self._end(at, stop)
            yield self._declaration(at, end)
            at = end

    def _text(self, at: int) -> str:
        return self.code[at].text if at < len(self.code) else ""

    def _shell(self, at: int, stop: int) -> int | None:
        """Return where the brace of a namespace or ``extern "C"`` block is, or None."""
        first = at + 1 if self._text(at) == "inline" else at
        if self._text(at) == "extern" and at + 2 < stop and self._text(at + 2) == "{":
            return at + 2 if self.code[at + 1].kind is Kind.LITERAL else None
        if self._text(first) != "namespace":
            return None
        for here in range(first + 1, stop):
            if self._text(here) == "{":
                return here
            if self._text(here) in ("=", ";"):
                return None
        return None

    def _head(self, at: int, stop: int) -> int:
        """Pass over ``template <...>`` headers, of which there may be several."""
        while self._text(at) == "template" and self._text(at + 1) == "<":
            at = self._angled(at + 1, stop)
        return at

    def _angled(self, at: int, stop: int) -> int:
        depth = 0
        while at < stop:
            text = self._text(at)
            if at in self.pairs:
                at = self.pairs[at]
            elif text == "<":
                depth += 1
            elif text == ">":
                depth -= 1
            elif text == ">>>":
                depth -= 3
            at += 1
            if depth <= 0:
                return at
        return at

    def _end(self, at: int, stop: int) -> int:
        """Return the position behind the declaration that begins at ``at``."""
        first = self._head(at, stop)
        if self._text(first) in self.known.whole and self._text(first + 1) == "(":
            behind = self.pairs[first + 1] + 1
            if self._text(behind) not in (";", "{", "(", ",", "=", ":"):
                return behind
        here, parentheses, assigned = first, False, False
        is_type = self._is_type(first, stop)
        while here < stop:
            text = self._text(here)
            if text == ";":
                return here + 1
            if text == "operator":
                here = self._operator(here)
                continue
            if text in _WITH_ARGUMENTS and here + 1 in self.pairs:
                here = self.pairs[here + 1] + 1
                continue
            if text == "=":
                assigned = True
            elif text in ("(", "["):
                parentheses |= text == "("
                here = self.pairs[here]
            elif text == "{":
                here = self.pairs[here]
                if parentheses and not assigned and not is_type:
                    # Behind "a{1}" of a constructor's initialisers comes "," or the body.
                    follows = self._text(here + 1)
                    if follows not in (",", "{", "..."):
                        return here + 2 if follows == ";" else here + 1
            here += 1
        return stop

    def _operator(self, at: int) -> int:
        """Pass over an operator's name, whose marks are no brackets of the declaration."""
        if self._text(at + 1) in ("(", "[") and at + 1 in self.pairs:
            return self.pairs[at + 1] + 1
        at += 1
        while at < len(self.code) and self._text(at) not in ("(", ";", "{"):
            at += 1
        return at

    def _is_type(self, at: int, stop: int) -> bool:
        """Whether a class or enumeration is defined here, and not a function that returns one."""
        while at < stop and self._text(at) in ("typedef", "static", "const", "constexpr", "extern"):
            at += 1
        if self._text(at) not in _TYPES:
            return False
        while at < stop:
            text = self._text(at)
            if text in _WITH_ARGUMENTS and at + 1 in self.pairs:
                at = self.pairs[at + 1] + 1
                continue
            if text == "<":
                at = self._angled(at, stop)
                continue
            if text in ("{", ";"):
                return True
            if text in ("(", "="):
                return False
            at = self.pairs[at] + 1 if at in self.pairs else at + 1
        return False

    def _declaration(self, at: int, end: int) -> Declaration:
        tokens = self.code[at:end]
        first = self._head(at, end)
        start, stop = tokens[0].start, tokens[-1].end
        uses = names(tokens)
        words = [t.text for t in self.code[first:end]]
        if words[:2] == ["using", "namespace"]:
            return Declaration(Sort.USING_NAMESPACE, start, stop, frozenset(words[2:3]), uses)
        if words[:1] in (["static_assert"], ["asm"]):
            return Declaration(Sort.OTHER, start, stop, frozenset(), uses)
        if self._is_type(first, end):
            return self._type(at, first, end)
        if words[:1] in (["using"], ["namespace"], ["typedef"]):
            return Declaration(Sort.TYPE, start, stop, self._aliased(first, end), uses)
        opening = self._arguments(first, end)
        if opening is None:
            return self._variable(first, end, start, stop, uses)
        return self._function(first, opening, end, start, stop, uses)

    def _aliased(self, first: int, end: int) -> frozenset[str]:
        """Names that an alias gives: that in front of "=", or all of a typedef or using."""
        found = [self._text(i) for i in range(first, end)]
        if "=" in found:
            return frozenset(found[found.index("=") - 1 : found.index("=")])
        return _declared(self.code[first:end])

    def _type(self, at: int, first: int, end: int) -> Declaration:
        brace = next((i for i in range(first, end) if self._text(i) == "{"), None)
        tokens = self.code[at:end]
        start, stop = tokens[0].start, tokens[-1].end
        head = self.code[first : end if brace is None else brace]
        declared = _declared(head)
        if brace is None:
            return Declaration(Sort.TYPE, start, stop, declared, names(tokens))
        close = self.pairs[brace]
        behind = _declared(self.code[close:end])
        if "enum" in (t.text for t in head):
            everything = declared | behind | _declared(self.code[brace:close])
            return Declaration(Sort.TYPE, start, stop, everything, names(tokens), body=True)
        hidden: list[tuple[int, int]] = []
        uses = set(names(self.code[at:brace]) | behind)
        for member in self.read(brace + 1, close, inside_class=True):
            hidden += member.members
            if member.sort is Sort.FUNCTION and not (member.device or member.usable):
                hidden.append((member.start, member.end))
            else:
                uses |= member.uses
        return Declaration(
            Sort.TYPE,
            start,
            stop,
            declared | behind,
            frozenset(uses),
            body=True,
            members=tuple(hidden),
        )

    def _arguments(self, first: int, end: int) -> int | None:
        """Return where a function's parameter list opens, or None of something else."""
        here = first
        while here < end:
            text = self._text(here)
            if text == "[" and self._text(here + 1) == "[":
                here = self.pairs[here] + 1
                continue
            if text in ("=", "{", ";", "["):
                return None
            if text == "operator":
                here = self._operator(here)
                return here if self._text(here) == "(" else None
            if here + 1 in self.pairs and self._attribute(here):
                here = self.pairs[here + 1] + 1
                continue
            if text == "(":
                inner = self._text(here + 1)
                return None if inner in ("*", "&") else here
            here = self.pairs[here] + 1 if here in self.pairs else here + 1
        return None

    def _attribute(self, at: int) -> bool:
        """Whether a name with arguments is an attribute, as far as can be told without types."""
        text = self._text(at)
        if text in _WITH_ARGUMENTS:
            return True
        if text not in self.known.with_arguments:
            return False
        follows = self.pairs[at + 1] + 1
        return follows < len(self.code) and self.code[follows].kind is Kind.NAME

    def _annotated(self, tokens: Sequence[Token]) -> frozenset[str]:
        return self.known.expand(names(tokens))

    def _variable(
        self, first: int, end: int, start: int, stop: int, uses: frozenset[str]
    ) -> Declaration:
        here, head = first, []
        while here < end and self._text(here) not in ("=", "{", "["):
            if self._text(here) in _WITH_ARGUMENTS and here + 1 in self.pairs:
                here = self.pairs[here + 1] + 1
                continue
            head.append(self.code[here])
            here += 1
        annotated = self._annotated(head)
        # "a = 1, b = 2": later names are anywhere behind, so all count as declared.
        declared = _declared(head)
        if any(self._text(i) == "," for i in range(here, end)):
            declared |= uses - _NOT_DECLARED
        return Declaration(
            Sort.VARIABLE,
            start,
            stop,
            declared,
            uses,
            device=bool(annotated & DEVICE),
            usable=bool(annotated & {"const", "constexpr"}),
        )

    def _function(
        self, first: int, opening: int, end: int, start: int, stop: int, uses: frozenset[str]
    ) -> Declaration:
        head = self.code[first:opening]
        annotated = self._annotated(head)
        name = self._name(first, opening)
        behind = [t.text for t in self.code[self.pairs[opening] : end]]
        body = "{" in behind
        # "const int N(4);" looks like a function.
        usable = annotated & {"constexpr", "consteval", "virtual"} or "override" in behind
        usable = usable or behind[-3:-1] in (["=", "default"], ["=", "delete"])
        usable = usable or (not body and "const" in annotated)
        return Declaration(
            Sort.FUNCTION,
            start,
            stop,
            frozenset({name}),
            uses,
            kernel="__global__" in annotated,
            device=bool(annotated & DEVICE),
            body=body,
            usable=bool(usable),
            parameters=tuple(self._parameters(opening)),
        )

    def _name(self, first: int, opening: int) -> str:
        """Return the name in front of a parameter list, template arguments passed over."""
        at = opening - 1
        if self._text(at) == ">":
            depth = 0
            while at > first:
                depth += {">": 1, "<": -1}.get(self._text(at), 0)
                at -= 1
                if depth == 0:
                    break
        for here in range(first, opening):
            if self._text(here) == "operator":
                return "operator"
        return self._text(at)

    def _parameters(self, opening: int) -> Iterator[tuple[str, str]]:
        """Yield name and type of each parameter; a parameter without name has an empty one."""
        close = self.pairs[opening]
        here = begin = opening + 1
        depth = 0
        while here <= close:
            text = self._text(here)
            if here == close or (text == "," and depth <= 0):
                part = self.code[begin:here]
                if part and [t.text for t in part] != ["void"]:
                    yield _parameter(part)
                begin = here + 1
            elif here in self.pairs:
                here = self.pairs[here]
            depth += {"<": 1, ">": -1}.get(text, 0)
            here += 1


_TYPE_WORDS = frozenset(
    {"int", "char", "short", "long", "float", "double", "bool", "unsigned", "signed", "const"}
)


def _parameter(part: Sequence[Token]) -> tuple[str, str]:
    marks = [t.text for t in part]
    if "=" in marks:
        part = part[: marks.index("=")]
    begin = marks.index("]") + 2 if marks[:2] == ["[", "["] and "]" in marks else 0
    plain = list(part[begin:])
    array = [i for i, t in enumerate(plain) if t.text == "["]
    pointer = " *" if array else ""
    plain = plain[: array[0]] if array else plain
    last = plain[-1] if plain else None
    named = (
        last is not None
        and last.kind is Kind.NAME
        and last.text not in _TYPE_WORDS
        and len(plain) > 1
        and plain[-2].text != "::"
    )
    if named and last is not None:
        return last.text, " ".join(t.text for t in plain[:-1]) + pointer
    return "", " ".join(t.text for t in plain) + pointer
