"""Attributes of the layout dialect, each with its Python value.

``#layout.repr<order, packed, padding, storage>`` is a tensor's encoding: how its logical dims lie
in memory and in which kind of memory. A tensor without an encoding is row-major in a buffer.
``#layout.dense`` says how a weight's values are encoded; the attribute on ``layout.weight`` is
open, so quantised or sparse encodings are new attributes, not new ops.
"""

# IRDL reads these annotations at run time; to a type checker they are no types.
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false
# pyright: reportInvalidTypeForm=false, reportUnknownMemberType=false

from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import ext, ir
from smartmem.dialects.layouts import Layout, Repr

STORAGES = ("buffer", "texel_buffer", "image2d")


class LayoutDialect(ext.Dialect, name="layout"):
    """Compute ops by family, pure index-map views, and layouts as tensor encodings."""


class ReprAttr(LayoutDialect.Attribute, name="repr"):
    """A tensor's repr: ``order`` and, as pairs [dim, n], ``packed`` lanes and ``padding``; then the
    storage.
    """

    order: Any
    packed: ir.ArrayAttr
    padding: ir.ArrayAttr
    storage: ir.StringAttr


class DenseAttr(LayoutDialect.Attribute, name="dense"):
    """Weight encoding: every element stored, in the element type of the tensor."""


def i64_array(values: Sequence[int]) -> Any:
    """``array<i64: ...>`` of ``values``."""
    return ir.DenseI64ArrayAttr.get([int(v) for v in values])


def ints(attribute: Any) -> tuple[int, ...]:
    """The values of an ``array<i64: ...>`` attribute; ValueError for any other attribute."""
    try:
        return tuple(int(v) for v in ir.DenseI64ArrayAttr(attribute))
    except (ValueError, TypeError) as error:
        raise ValueError(f"expected array<i64: ...>, got {attribute}") from error


def _pairs(attribute: Any) -> tuple[tuple[int, int], ...]:
    pairs = tuple(ints(pair) for pair in ir.ArrayAttr(attribute))
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"expected pairs of integers, got {attribute}")
    return tuple((a, b) for a, b in pairs)


def to_repr(attribute: Any) -> Repr:
    """``#layout.repr`` as a value. Raises ValueError where the attribute is malformed."""
    storage = ir.StringAttr(attribute.storage).value
    if storage not in STORAGES:
        raise ValueError(f"unknown storage '{storage}', expected one of {', '.join(STORAGES)}")
    layout = Layout(ints(attribute.order), _pairs(attribute.packed), _pairs(attribute.padding))
    return Repr(layout, storage)


def from_repr(value: Repr) -> Any:
    """The encoding for ``value``; ``None`` for row-major in a buffer, which is written as no
    encoding at all.
    """
    if value.layout.is_default and value.storage == "buffer":
        return None

    def pairs(items: Sequence[tuple[int, int]]) -> Any:
        return ir.ArrayAttr.get([i64_array(item) for item in items])

    layout = value.layout
    return ReprAttr.get(
        i64_array(layout.order),
        pairs(layout.packed),
        pairs(layout.padding),
        ir.StringAttr.get(value.storage),
    )


def repr_of(tensor_type: Any) -> Repr:
    """The repr of a ranked tensor type.

    Raises ValueError for an encoding that is not ``#layout.repr``.
    """
    encoding = tensor_type.encoding
    if encoding is None:
        return Repr(Layout.row_major(tensor_type.rank), "buffer")
    if not isinstance(encoding, ReprAttr):
        raise ValueError(f"encoding {encoding} is not #layout.repr")
    return to_repr(encoding)


def with_repr(tensor_type: Any, value: Repr) -> Any:
    """``tensor_type`` with its encoding replaced by ``value``."""
    return ir.RankedTensorType.get(tensor_type.shape, tensor_type.element_type, from_repr(value))
