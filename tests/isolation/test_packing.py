"""Packed results: they come back whole, and nothing but data comes out of damaged ones."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.isolation.packing import pack, rebuild, unpack

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(
    LEAVES | st.binary(), lambda t: st.lists(t) | st.dictionaries(st.text(), t), max_leaves=20
)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    place: tuple[int, int]
    colour: Colour


@dataclass(frozen=True)
class Outer:
    name: str
    share: float
    inners: tuple[Inner, ...]
    maybe: Inner | None
    table: Mapping[str, int]
    array: np.ndarray
    own: object


def outer() -> Outer:
    inner = Inner((1, 2), Colour.RED)
    return Outer("n", 2, (inner, inner), None, {"a": 1}, np.arange(3), object())


@given(TREES)
def test_every_tree_comes_back(tree: object) -> None:
    assert unpack(pack(tree)) == tree


def test_records_are_rebuilt_with_what_the_reader_gives() -> None:
    made = outer()
    tree = unpack(pack({k: v for k, v in vars(made).items() if k != "own"}))
    found = rebuild(Outer, tree, own=made.own)
    assert found.inners == made.inners
    assert found.share == 2.0
    assert found.own is made.own
    assert (found.array == made.array).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3),
        ("share", "x"),
        ("share", True),
        ("inners", [{"place": [1], "colour": "red"}]),
        ("inners", [{"place": [1, "2"], "colour": "red"}]),
        ("inners", [{"place": [1, 2], "colour": "blue"}]),
        ("maybe", 5),
        ("table", {"a": "x"}),
        ("table", {"a": True}),
        ("array", [1, 2]),
    ],
)
def test_other_types_are_refused(field: str, value: object) -> None:
    tree = {k: v for k, v in vars(outer()).items() if k != "own"}
    plain = unpack(pack(tree))
    assert isinstance(plain, dict)
    with pytest.raises(ValueError, match=r"\w"):
        rebuild(Outer, {**plain, field: value}, own=1)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"Inner\.colour is missing"):
        rebuild(Inner, {"place": [1, 2]})


def test_objects_are_not_packed_nor_unpacked() -> None:
    with pytest.raises(TypeError):
        pack({"x": object()})
    kind = np.dtype("O").str
    data = pack({"x": np.zeros(2)}).replace(np.dtype("f8").str.encode(), kind.encode() + b" ", 1)
    with pytest.raises(ValueError, match=r"array|packed"):
        unpack(data)


def test_damaged_bytes_give_data_or_an_error() -> None:
    whole = pack({"x": [1, 2, np.arange(10), b"abc"], "y": "text"})
    rng = random.Random(1)
    refused = 0
    for _ in range(2000):
        made = bytearray(whole)
        for _ in range(rng.choice((1, 2, 8))):
            made[rng.randrange(len(made))] = rng.randrange(256)
        try:
            unpack(bytes(made[: rng.choice((len(made), rng.randrange(len(made))))]))
        except ValueError:
            refused += 1
    assert refused > 500
