"""Nested arguments and results as JSON trees, so that sessions can rebuild them without torch.

A tree is one of

    {"kind": "tensor", "index": I}              the tensor at position I of the flat list
    {"kind": "constant", "value": V}            None, a number, bool or string, fixed at export
    {"kind": "tuple" | "list", "items": [tree, ...]}
    {"kind": "dict", "keys": [str, ...], "items": [tree, ...]}

The tree of a call's inputs is a tuple of two: the tuple of positional arguments and the dict of
keyword arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from smartmem.errors import UserError

Tree = dict[str, Any]


def tensor_indices(tree: Tree) -> list[int]:
    """The positions of the tree's tensors, in its order; ValueError where it is malformed."""
    kind = tree.get("kind") if isinstance(cast(Any, tree), dict) else None
    if kind == "tensor" and isinstance(tree.get("index"), int):
        return [tree["index"]]
    if kind == "constant" and "value" in tree:
        return []
    items = tree.get("items") if kind in ("tuple", "list", "dict") else None
    if not isinstance(items, list):
        raise ValueError(f"malformed tree {tree!r}")
    children = cast(list[Tree], items)
    if kind == "dict" and len(tree["keys"]) != len(children):
        raise ValueError(f"malformed tree {tree!r}: one key for each item is needed")
    return [index for child in children for index in tensor_indices(child)]


def flatten(tree: Tree, value: object, where: str) -> dict[int, Any]:
    """The tensors of `value` by position; a UserError names the place that does not fit."""
    kind = tree["kind"]
    if kind == "tensor":
        return {tree["index"]: value}
    if kind == "constant":
        if value is not tree["value"] and value != tree["value"]:
            raise _misfit(where, f"{tree['value']!r}, fixed when the model was exported", value)
        return {}
    parts = _dict_parts(tree, value, where) if kind == "dict" else _items(tree, value, where)
    flat: dict[int, Any] = {}
    for item, (place, part) in zip(tree["items"], parts, strict=True):
        flat.update(flatten(item, part, place))
    return flat


def unflatten(tree: Tree, tensors: Sequence[Any]) -> Any:
    """The value of which `flatten` gives `tensors`."""
    kind = tree["kind"]
    if kind == "tensor":
        return tensors[tree["index"]]
    if kind == "constant":
        return tree["value"]
    items = [unflatten(item, tensors) for item in tree["items"]]
    if kind == "dict":
        return dict(zip(tree["keys"], items, strict=True))
    return tuple(items) if kind == "tuple" else items


def _dict_parts(tree: Tree, value: object, where: str) -> list[tuple[str, object]]:
    keys: list[str] = tree["keys"]
    if not isinstance(value, Mapping):
        raise _misfit(where, f"a dict with the keys {keys}", value)
    entries = cast(Mapping[str, object], value)
    if set(entries) != set(keys):
        raise UserError(f"{where}: expected the keys {keys}, got {list(entries)}")
    return [(f"{where}[{key!r}]", entries[key]) for key in keys]


def _items(tree: Tree, value: object, where: str) -> list[tuple[str, object]]:
    count = len(tree["items"])
    if not isinstance(value, (list, tuple)):
        raise _misfit(where, f"a {tree['kind']} of {count}", value)
    elements = cast(Sequence[object], value)
    if len(elements) != count:
        raise UserError(f"{where}: expected {count} items, got {len(elements)}")
    return [(f"{where}[{index}]", element) for index, element in enumerate(elements)]


def _misfit(where: str, expected: str, value: object) -> UserError:
    shown = value if isinstance(value, (bool, int, float, str)) else type(value).__name__
    return UserError(f"{where}: expected {expected}, got {shown!r}")
