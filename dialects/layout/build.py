"""Builders: each op from Python values, its result type inferred.

They insert at the current insertion point and location.
"""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.algebra import IndexMap
from smartmem.dialects.layout import ops, shapes
from smartmem.dialects.layout.attributes import DenseAttr, i64_array
from smartmem.dialects.layout.functions import FUNCTIONS
from smartmem.dialects.layout.maps import dims_to_affine_map, to_affine_map
from smartmem.dialects.layout.ops import element_type, shape

Value = Any
Type = Any


def tensor_of(dims: Sequence[int], element: Type) -> Type:
    """``tensor<dims x element>``, row-major."""
    return ir.RankedTensorType.get(list(dims), element)


def _i64(value: int) -> Any:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)


def _flag(value: bool) -> Any:
    """An i1 attribute.

    Not ``BoolAttr``: a false one counts as absent in the bindings' op builders.
    """
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(1), int(value))


def _f64(value: float) -> Any:
    return ir.FloatAttr.get(ir.F64Type.get(), value)


class DoesNotFit(ValueError):
    """An integer has more bits than its type."""


def number(value: float, element: Type) -> Any:
    """``value`` as an attribute of ``element``; DoesNotFit where an integer has too many bits."""
    if isinstance(element, ir.IntegerType):
        width, whole = ir.IntegerType(element).width, int(value)
        if not -(1 << (width - 1)) <= whole < 1 << max(width - 1, 1):
            raise DoesNotFit(f"{whole} does not fit {width} bits")
        return ir.IntegerAttr.get(element, whole)
    return ir.FloatAttr.get(element, float(value))


def splat(value: float, element: Type, dims: Sequence[int] = ()) -> Value:
    """A constant tensor of one repeated ``value``, of rank 0 where no ``dims`` are given."""
    attribute = ir.DenseElementsAttr.get_splat(tensor_of(dims, element), number(value, element))
    return arith.ConstantOp(tensor_of(dims, element), attribute).result


def weight(key: str, dims: Sequence[int], element: Type) -> Value:
    """The archive's entry ``key``."""
    return ops.WeightOp(tensor_of(dims, element), ir.StringAttr.get(key), DenseAttr.get()).result


def view(value: Value, index_map: IndexMap) -> Value:
    """``value`` re-indexed; the value itself where nothing changes."""
    if index_map.is_identity():
        return value
    result = tensor_of(index_map.domain, element_type(value))
    return ops.ViewOp(value, result, ir.AffineMapAttr.get(to_affine_map(index_map))).result


def reshape(value: Value, dims: Sequence[int]) -> Value:
    """``value`` with the shape ``dims`` of as many elements, in row-major order."""
    return view(value, IndexMap.reshape(shape(value), tuple(dims)))


def permute(value: Value, dims: Sequence[int]) -> Value:
    """``value`` with axis ``i`` taken from axis ``dims[i]``."""
    return view(value, IndexMap.permute(shape(value), tuple(dims)))


def expand(value: Value, dims: Sequence[int]) -> Value:
    """``value`` broadcast to ``dims``."""
    return view(value, IndexMap.expand(shape(value), tuple(dims)))


def slice_(
    value: Value, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]
) -> Value:
    """A strided box of ``value``."""
    return view(value, IndexMap.slice(shape(value), tuple(starts), tuple(sizes), tuple(steps)))


def relayout(value: Value, result: Type) -> Value:
    """``value`` copied into the repr of ``result``."""
    return value if value.type == result else ops.RelayoutOp(value, result).result


def pad(value: Value, low: Sequence[int], high: Sequence[int], fill: float) -> Value:
    """``value`` with a border of ``fill``."""
    if not any((*low, *high)):
        return value
    result = tensor_of(shapes.pad(shape(value), tuple(low), tuple(high)), element_type(value))
    fill_attribute = number(fill, element_type(value))
    return ops.PadOp(value, result, i64_array(low), i64_array(high), fill_attribute).result


def concat(values: Sequence[Value], dim: int) -> Value:
    """``values`` joined along ``dim``."""
    joined = values[0]
    for value in values[1:]:
        result = tensor_of(shapes.concat([shape(joined), shape(value)], dim), element_type(value))
        joined = ops.ConcatOp(joined, value, result, _i64(dim)).result
    return joined


def gather(table: Value, indices: Value, dim: int) -> Value:
    """Rows of ``table`` along ``dim``."""
    result = tensor_of(shapes.gather(shape(table), shape(indices), dim), element_type(table))
    return ops.GatherOp(table, indices, result, _i64(dim)).result


def gather_elements(table: Value, indices: Value, dim: int) -> Value:
    """Elements of ``table`` at positions ``indices`` along ``dim``, of the shape of ``indices``."""
    dims = shapes.gather_elements(shape(table), shape(indices), dim)
    result = tensor_of(dims, element_type(table))
    return ops.GatherElementsOp(table, indices, result, _i64(dim)).result


def scatter(value: Value, indices: Value, updates: Value, dim: int, kind: str) -> Value:
    """``value`` with ``updates`` combined into it along ``dim``."""
    return ops.ScatterOp(
        value, indices, updates, value.type, _i64(dim), ir.StringAttr.get(kind)
    ).result


def argsort(value: Value, dim: int, *, descending: bool = False) -> Value:
    """int32 positions that sort ``value`` along ``dim``."""
    result = tensor_of(shape(value), ir.IntegerType.get_signless(32))
    return ops.ArgsortOp(value, result, _i64(dim), _flag(descending)).result


def arg_reduce(value: Value, kind: str, dim: int) -> Value:
    """int32 position of the first extreme element along ``dim``, which is removed."""
    dims = shapes.reduce(shape(value), (dim,))
    result = tensor_of(dims, ir.IntegerType.get_signless(32))
    return ops.ArgReduceOp(value, result, _i64(dim), ir.StringAttr.get(kind)).result


def scan(value: Value, kind: str, dim: int) -> Value:
    """``value`` with each element combined with all before it along ``dim``."""
    return ops.ScanOp(value, value.type, _i64(dim), ir.StringAttr.get(kind)).result


def elementwise(fn: str, *inputs: Value, element: Type = None) -> Value:
    """``fn`` over broadcasting ``inputs``; ``element`` is for functions whose result has a type of
    its own.
    """
    rule = FUNCTIONS[fn].result
    same = element_type(inputs[1 if fn == "where" else 0])
    result_element = {"same": same, "bool": ir.IntegerType.get_signless(1), "any": element}[rule]
    result = tensor_of(shapes.broadcast([shape(v) for v in inputs]), result_element)
    first, second, third = (*inputs, None, None)[:3]
    return ops.ElementwiseOp(
        first, result, ir.StringAttr.get(fn), second=second, third=third
    ).result


def cast(value: Value, element: Type) -> Value:
    """``value`` converted to ``element``; the value itself where it has that type."""
    return value if element_type(value) == element else elementwise("cast", value, element=element)


def contract(lhs: Value, rhs: Value, maps: Sequence[Sequence[int]]) -> Value:
    """Sum of products: ``maps`` give the loop dim of each axis of the operands and the result."""
    rank = 1 + max(d for dims in maps for d in dims)
    dims = shapes.contract([shape(lhs), shape(rhs)], [tuple(m) for m in maps], rank)
    attribute = ir.ArrayAttr.get([ir.AffineMapAttr.get(dims_to_affine_map(m, rank)) for m in maps])
    return ops.ContractOp(lhs, rhs, tensor_of(dims, element_type(lhs)), attribute).result


def conv(
    x: Value,
    kernel: Value,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pad_low: Sequence[int],
    pad_high: Sequence[int],
    groups: int,
) -> Value:
    """Convolution of ``x`` [N, C, *spatial] with ``kernel`` [O, C/groups, *window]."""
    windows = [tuple(v) for v in (strides, dilations, pad_low, pad_high)]
    dims = shapes.conv(
        shape(x), shape(kernel), windows[0], windows[1], windows[2], windows[3], groups
    )
    attributes = [i64_array(v) for v in windows]
    return ops.ConvOp(x, kernel, tensor_of(dims, element_type(x)), *attributes, _i64(groups)).result


def pool(
    x: Value,
    kind: str,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pad_low: Sequence[int],
    pad_high: Sequence[int],
    count_include_pad: bool,
) -> Value:
    """Pooling of ``x`` [N, C, *spatial]."""
    windows = [tuple(v) for v in (kernel, strides, dilations, pad_low, pad_high)]
    dims = shapes.pool(shape(x), *windows)
    attributes = [i64_array(v) for v in windows]
    result = tensor_of(dims, element_type(x))
    return ops.PoolOp(
        x, result, ir.StringAttr.get(kind), *attributes, _flag(count_include_pad)
    ).result


def reduce(value: Value, kind: str, dims: Sequence[int]) -> Value:
    """``kind`` over ``dims``, which are removed; the value itself where there are none."""
    if not dims:
        return value
    result = tensor_of(shapes.reduce(shape(value), tuple(dims)), element_type(value))
    return ops.ReduceOp(value, result, ir.StringAttr.get(kind), i64_array(sorted(dims))).result


def softmax(value: Value, dim: int, *, log: bool = False) -> Value:
    """Softmax along ``dim``."""
    return ops.SoftmaxOp(value, value.type, _i64(dim), _flag(log)).result


def layer_norm(
    value: Value, normalized_dims: int, eps: float, scale: Value | None, bias: Value | None
) -> Value:
    """Normalisation over the last dims. A bias without a weight gets a weight of ones."""
    if bias is not None and scale is None:
        scale = splat(1.0, element_type(bias), shape(bias))
    affine = {"weight": scale, "bias": bias}
    return ops.LayerNormOp(value, value.type, _i64(normalized_dims), _f64(eps), **affine).result


def attention(
    query: Value, key: Value, value: Value, mask: Value | None, *, scale: float, causal: bool
) -> Value:
    """Scaled dot-product attention over [*batch, length, features]."""
    dims = shapes.attention(
        shape(query), shape(key), shape(value), shape(mask) if mask is not None else None
    )
    result = tensor_of(dims, element_type(query))
    numbers = _f64(scale), _flag(causal), _i64(shape(key)[-2])
    return ops.AttentionOp(query, key, value, result, *numbers, mask=mask).result
