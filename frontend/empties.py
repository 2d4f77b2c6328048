"""Tensors without elements: they carry no information, so none reaches the dialect.

Shapes are static, so such a value is known before anything runs: it is a constant, and what depends
on nothing else (a sum over no elements, say) is computed at compile time. Inputs and outputs
without elements are in the calling convention only. What is left are calls that read a tensor
without elements beside others and still make something: their rules are here.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from smartmem.dialects.layout import build
from smartmem.frontend.formulas import value_of
from smartmem.frontend.registry import HANDLERS, Handler, Refusal

Value = Any


def _is_empty_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and any(
        isinstance(size, int) and size == 0 for size in value.shape
    )


def is_empty(node: Node) -> bool:
    """Whether ``node`` makes one or more tensors, and all of them are without elements."""
    value = node.meta.get("val")
    results = value if isinstance(value, (tuple, list)) else [value]
    return bool(results) and all(_is_empty_tensor(result) for result in results)


def reads_empty(node: Node) -> bool:
    """Whether an operand of ``node`` is a tensor without elements."""
    return any(_is_empty_tensor(source.meta.get("val")) for source in node.all_input_nodes)


def value(node: Node) -> Any:
    """What an ``is_empty`` node makes."""
    held = node.meta["val"]
    return _made(held) if isinstance(held, torch.Tensor) else tuple(map(_made, held))


def _made(like: torch.Tensor) -> torch.Tensor:
    # A size that is not known does not matter where another is 0.
    shape = [size if isinstance(size, int) else 1 for size in like.shape]
    return torch.empty(shape, dtype=like.dtype)


def rule(name: str) -> Handler:
    """The import rule of a call of ``name`` that reads a tensor without elements, which it is given
    as None.

    Raises Refusal where there is none.
    """
    base = name.split(".")[0]
    if base not in _RULES:
        raise Refusal(
            "it reads a tensor without elements beside others",
            "leave the call out where there is nothing to do",
        )
    return _RULES[base]


def _joined(ctx: Any, tensors: Sequence[Value | None], **rest: Any) -> Value:
    """Joined tensors: those without elements are left out."""
    held = [tensor for tensor in tensors if tensor is not None]
    return HANDLERS["cat.default"].handler(ctx, tensors=held, **rest)


def _unchanged(ctx: Any, self: Value, **_: Any) -> Value:
    """A tensor into which nothing is written."""
    return self


def _bias(ctx: Any, bias: Value | None, **_: Any) -> Value:
    """A sum of no products, and the bias."""
    if bias is None:
        return build.splat(0, ctx.element(), ctx.result.shape)
    return build.expand(bias, ctx.result.shape)


def _added(ctx: Any, self: Value, beta: float, **_: Any) -> Value:
    """beta * self and a sum of no products; self is not read where beta is 0."""
    if beta == 0:
        return build.splat(0, ctx.element(), ctx.result.shape)
    scaled = build.elementwise("mul", self, value_of(beta, ctx.element()))
    return build.expand(scaled, ctx.result.shape)


def _zeros(ctx: Any, **_: Any) -> Value:
    """Positions in a sequence of no elements; attention to no keys."""
    return build.splat(0, ctx.element(), ctx.result.shape)


_RULES: dict[str, Handler] = {
    "cat": _joined,
    "linear": _bias,
    **dict.fromkeys(("addmm", "addmv", "addbmm", "baddbmm"), _added),
    **dict.fromkeys(("bucketize", "scaled_dot_product_attention", "searchsorted"), _zeros),
    **dict.fromkeys(
        (
            "index_add",
            "index_copy",
            "index_fill",
            "index_put",
            "index_reduce",
            "put",
            "scatter",
            "scatter_add",
            "scatter_reduce",
            "slice_scatter",
            "_unsafe_index_put",
        ),
        _unchanged,
    ),
}
