"""PyTorch's pytree specs as JSON trees."""

import json
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from smartmem.errors import UserError
from smartmem.frontend.tree import input_tree, output_tree


def leaf(index: int) -> dict[str, Any]:
    return {"kind": "tensor", "index": index}


def tree_of(value: Any) -> Any:
    flat, spec = pytree.tree_flatten(value)
    tensors = [isinstance(v, torch.Tensor) for v in flat]
    tree = output_tree(
        spec, tensors, [None if t else v for t, v in zip(tensors, flat, strict=True)]
    )
    return json.loads(json.dumps(tree))


T = torch.zeros(1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (T, leaf(0)),
        ((T, T), {"kind": "tuple", "items": [leaf(0), leaf(1)]}),
        ([T], {"kind": "list", "items": [leaf(0)]}),
        ((), {"kind": "tuple", "items": []}),
        ({"b": T, "a": T}, {"kind": "dict", "keys": ["b", "a"], "items": [leaf(0), leaf(1)]}),
        (
            OrderedDict(x=T, y=T),
            {"kind": "dict", "keys": ["x", "y"], "items": [leaf(0), leaf(1)]},
        ),
        (
            (T, [T, {"k": T}]),
            {
                "kind": "tuple",
                "items": [
                    leaf(0),
                    {
                        "kind": "list",
                        "items": [leaf(1), {"kind": "dict", "keys": ["k"], "items": [leaf(2)]}],
                    },
                ],
            },
        ),
        (
            (T, None, 3, "text"),
            {
                "kind": "tuple",
                "items": [
                    leaf(0),
                    {"kind": "constant", "value": None},
                    {"kind": "constant", "value": 3},
                    {"kind": "constant", "value": "text"},
                ],
            },
        ),
    ],
)
def test_trees(value: Any, expected: Any) -> None:
    assert tree_of(value) == expected


def test_values_without_a_json_form_are_refused() -> None:
    with pytest.raises(UserError, match="type complex cannot be kept"):
        tree_of((T, 1j))


def test_input_tree_is_args_and_kwargs() -> None:
    _, spec = pytree.tree_flatten(((T, T), {"mask": T}))
    assert input_tree(spec, [True] * 3, [None] * 3) == {
        "kind": "tuple",
        "items": [
            {"kind": "tuple", "items": [leaf(0), leaf(1)]},
            {"kind": "dict", "keys": ["mask"], "items": [leaf(2)]},
        ],
    }
