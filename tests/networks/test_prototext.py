"""The text-format reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.errors import NetworkFileError
from kernprof.networks.limits import NetworkLimits
from kernprof.networks.prototext import Message, parse_prototext


def test_forms_of_fields():
    root = parse_prototext(
        """
        # a comment
        name: "a" 'b'   # joined
        dim: 1 dim: 2, dim: 3;
        list: [4, 5]
        empty: []
        inner { x: -1.5e3 deep: < y: CAFFE > }
        inner: { x: 2 }
        flag: true
        text: "q\\"q # no comment"
        """
    )
    assert root.text("name") == "ab"
    assert root.integers("dim") == [1, 2, 3]
    assert root.integers("list") == [4, 5]
    assert root.integers("empty") == []
    assert [message.numbers("x") for message in root.messages("inner")] == [[-1500.0], [2.0]]
    assert root.messages("inner")[0].message("deep").text("y") == "CAFFE"
    assert root.flag("flag") is True
    assert root.flag("absent") is None
    assert root.text("text") == 'q"q # no comment'
    assert root.messages("inner")[0].line == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a {", "line 1: a is opened and never closed"),
        ("a { b: 1 >", "expected '}'"),
        ("}", "expected a field name"),
        ("a\nb", "line 2: found 'b', expected ':' or '{'"),
        ("a:", "found 'the end of the file', expected a value"),
        ("a: }", "expected a value"),
        ("a: [1 2]", "expected ',' or '\\]'"),
        ("a: [", "expected a value"),
        ('a: "unfinished', "can't be read"),
        ("\n\n\x00", "line 3: '\\\\x00' can't be read"),
        (": 1", "expected a field name"),
    ],
)
def test_errors_name_the_line(text, message):
    with pytest.raises(NetworkFileError, match=message):
        parse_prototext(text)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.integers("word"), "word is 'CAFFE'; a whole number"),
        (lambda m: m.integers("long"), "at most 18 digits"),
        (lambda m: m.numbers("word"), "a number is expected"),
        (lambda m: m.flag("word"), "true or false is expected"),
        (lambda m: m.messages("word"), "a message in braces is expected"),
        (lambda m: m.texts("inner"), "a single value is expected"),
    ],
)
def test_wrong_types_are_told(call, message):
    root = parse_prototext(f"word: CAFFE long: {'9' * 5000} inner {{}}")
    with pytest.raises(NetworkFileError, match=message):
        call(root)


def test_bounds():
    deep = "a {" * 40 + "}" * 40
    with pytest.raises(NetworkFileError, match="nested more than 32 deep"):
        parse_prototext(deep)
    assert isinstance(parse_prototext("a {" * 32 + "}" * 32), Message)
    with pytest.raises(NetworkFileError, match="more than 100 tokens"):
        parse_prototext("a: 1 " * 50, NetworkLimits(tokens=100))


def test_very_deep_nesting_ends_quickly():
    with pytest.raises(NetworkFileError, match="nested more than"):
        parse_prototext("a{" * 1_000_000)


@given(st.text(max_size=200))
def test_any_text_gives_a_message_or_our_error(text):
    try:
        parse_prototext(text)
    except NetworkFileError as error:
        assert str(error).startswith("line ")


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
values = st.one_of(
    st.integers(-(10**17), 10**17).map(str),
    st.text(st.characters(codec="ascii", exclude_characters='"\\\n\r', min_codepoint=32)).map(
        lambda text: f'"{text}"'
    ),
)
trees = st.recursive(
    st.lists(st.tuples(names, values), max_size=4),
    lambda children: st.lists(st.tuples(names, values | children), max_size=4),
    max_leaves=20,
)


@given(trees)
def test_round_trip(tree):
    def write(fields):
        return " ".join(
            f"{name}: {value}" if isinstance(value, str) else f"{name} {{ {write(value)} }}"
            for name, value in fields
        )

    def read(message):
        return [
            (name, read(value))
            if isinstance(value, Message)
            else (name, f'"{value.text}"' if value.quoted else value.text)
            for name, value in message.fields
        ]

    assert read(parse_prototext(write(tree))) == tree
