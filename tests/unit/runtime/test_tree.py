"""Trees: what is flattened is rebuilt, and what does not fit is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartmem.errors import UserError
from smartmem.runtime.tree import Tree, flatten, tensor_indices, unflatten

values = st.recursive(
    st.just("tensor") | st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def tree_of(value: Any, tensors: list[object]) -> tuple[Tree, Any]:
    """The value's tree, and the value with a distinct object for each tensor."""
    if value == "tensor":
        tensors.append(object())
        return {"kind": "tensor", "index": len(tensors) - 1}, tensors[-1]
    if isinstance(value, dict):
        pairs = [tree_of(item, tensors) for item in value.values()]
        tree = {"kind": "dict", "keys": list(value), "items": [tree for tree, _ in pairs]}
        return tree, dict(zip(value, [part for _, part in pairs], strict=True))
    if isinstance(value, list | tuple):
        pairs = [tree_of(item, tensors) for item in value]
        kind = type(value).__name__
        return {"kind": kind, "items": [tree for tree, _ in pairs]}, type(value)(
            part for _, part in pairs
        )
    return {"kind": "constant", "value": value}, value


@given(values)
def test_round_trip(value: Any) -> None:
    tensors: list[object] = []
    tree, filled = tree_of(value, tensors)
    assert sorted(tensor_indices(tree)) == list(range(len(tensors)))
    assert flatten(tree, filled, "args") == dict(enumerate(tensors))
    assert unflatten(tree, tensors) == filled


LEAF = {"kind": "tensor", "index": 0}


@pytest.mark.parametrize(
    ("tree", "value", "message"),
    [
        ({"kind": "tuple", "items": [LEAF]}, (), "args: expected 1 items, got 0"),
        ({"kind": "list", "items": [LEAF]}, 3, "args: expected a list of 1, got 3"),
        ({"kind": "dict", "keys": ["a"], "items": [LEAF]}, {"b": 1}, r"keys \['a'\], got \['b'\]"),
        ({"kind": "dict", "keys": ["a"], "items": [LEAF]}, [1], "expected a dict"),
        ({"kind": "constant", "value": None}, 1, "args: expected None, fixed"),
        (
            {"kind": "tuple", "items": [{"kind": "constant", "value": 2}]},
            (3,),
            r"args\[0\]: expected 2, fixed .* got 3",
        ),
    ],
)
def test_misfits_are_named(tree: Tree, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        flatten(tree, value, "args")


@pytest.mark.parametrize(
    "tree",
    [
        None,
        {},
        {"kind": "tensor"},
        {"kind": "set", "items": []},
        {"kind": "tuple"},
        {"kind": "dict", "keys": [], "items": [LEAF]},
    ],
)
def test_malformed_trees(tree: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        tensor_indices(tree)
