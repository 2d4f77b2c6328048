"""PyTorch's pytree specs as JSON trees, so that the runtime can rebuild nested arguments and
results without torch.

A leaf is ``{"kind": "tensor", "index": i}`` (the i-th flat tensor) or ``{"kind": "constant",
"value": v}``; a branch is ``{"kind": "tuple" | "list", "items": [...]}`` or ``{"kind": "dict",
"keys": [...], "items": [...]}``. Model outputs of libraries (dataclass-like mappings) are dicts by
their field names.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from smartmem.errors import UserError

Tree = dict[str, Any]


def _branch(spec: Any, leaves: Iterator[Tree]) -> Tree:
    if spec.type is None:
        return next(leaves)
    items = [_branch(child, leaves) for child in spec.children()]
    if spec.type is tuple or spec.type is list:
        return {"kind": spec.type.__name__, "items": items}
    keys = _keys(spec)
    if keys is not None and len(keys) == len(items):
        return {"kind": "dict", "keys": keys, "items": items}
    return {"kind": "tuple", "items": items}


def _keys(spec: Any) -> list[str] | None:
    """Field names of a mapping-like node: its context is the list of keys, or holds it."""
    context = spec.context
    candidates = [context, *context] if isinstance(context, (list, tuple)) else [context]
    for candidate in candidates:
        if isinstance(candidate, (list, tuple)) and all(isinstance(k, str) for k in candidate):
            return list(candidate)
    return None


def _leaves(is_tensor: Sequence[bool], constants: Sequence[Any]) -> Iterator[Tree]:
    index = 0
    for tensor, value in zip(is_tensor, constants, strict=True):
        if tensor:
            yield {"kind": "tensor", "index": index}
            index += 1
        elif value is None or isinstance(value, (bool, int, float, str)):
            yield {"kind": "constant", "value": value}
        else:
            raise UserError(f"a value of type {type(value).__name__} cannot be kept in an artefact")


def output_tree(spec: Any, is_tensor: Sequence[bool], constants: Sequence[Any]) -> Tree:
    """What the model returned, over its flat outputs."""
    return _branch(spec, _leaves(is_tensor, constants))


def input_tree(spec: Any, is_tensor: Sequence[bool], constants: Sequence[Any]) -> Tree:
    """How the model is called: a pair of positional arguments and keyword arguments, over its flat
    inputs.
    """
    return _branch(spec, _leaves(is_tensor, constants))
