"""Chains of concats as one thing: which tensors they join, and what each of them is made of."""

from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.ops import ConcatOp

_ASSEMBLED = "assembled"


def producer(value: Any) -> Any | None:
    """The op that makes ``value``; None for an argument."""
    owner = value.owner
    return None if isinstance(owner, ir.Block) else owner.opview


def uses(value: Any) -> int:
    """How many operands ``value`` is."""
    return sum(1 for _ in value.uses)


def is_assembled(op: Any) -> bool:
    """Whether ``op`` is a concat that one kernel assembles (``fuse_joins``)."""
    return isinstance(op, ConcatOp) and _ASSEMBLED in op.operation.attributes


def mark_assembled(op: Any) -> None:
    """Let one kernel assemble the concat ``op``."""
    op.operation.attributes[_ASSEMBLED] = ir.UnitAttr.get()


def joined_dim(op: Any) -> int:
    """The dim along which a concat joins."""
    return ir.IntegerAttr(op.attributes["dim"]).value


def is_link(op: Any) -> bool:
    """Whether a concat is only part of a longer one: one reader, which joins along the same dim."""
    readers = [use.owner.opview for use in op.result.uses]
    return (
        len(readers) == 1
        and isinstance(readers[0], ConcatOp)
        and joined_dim(readers[0]) == joined_dim(op)
    )


def chain_end(op: Any) -> Any:
    """The concat that holds the whole of the chain that ``op`` belongs to."""
    while is_link(op):
        op = next(iter(op.result.uses)).owner.opview
    return op


def pieces(op: Any, *, shared: bool = False) -> list[Any]:
    """The tensors that ``op`` and its links join, in order; ``shared``: looking also through
    concats along the same dim that others read too.
    """
    parts: list[Any] = []
    for value in (op.lhs, op.rhs):
        inner = producer(value)
        inside = isinstance(inner, ConcatOp) and joined_dim(inner) == joined_dim(op)
        through = inside and (shared or is_link(inner))
        parts += pieces(inner, shared=shared) if through else [value]
    return parts
