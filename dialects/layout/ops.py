"""The ops of the layout dialect: compute ops by family, pure index-map views, and relayouts.

Tensors are static, ranked and named by logical dims; how they lie in memory is their encoding
(``#layout.repr``), so an op's meaning never depends on a layout. Each verifier recomputes the
result's shape from ``shapes.py``. Floats are held in f32 or in a half type, tensor by tensor: an op
that computes takes operands in either, computes in f32 what half types would round, and rounds as
it writes; one that moves elements gives the type that it takes.

Families: structure (weight, view, relayout, pad, concat), elementwise, contraction, convolution,
pooling, reduction, normalization (softmax, layer_norm), attention, indexing (gather,
gather_elements, scatter), sorting (argsort, arg_reduce), scan.
"""

# IRDL reads these annotations at run time; to a type checker they are no types.
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false
# pyright: reportInvalidTypeForm=false, reportUnknownMemberType=false

from collections.abc import Callable, Sequence
from typing import Any

from smartmem.dialects._mlir import ext, ir
from smartmem.dialects.layout import shapes
from smartmem.dialects.layout.attributes import LayoutDialect, ints, repr_of
from smartmem.dialects.layout.functions import FUNCTIONS
from smartmem.dialects.layout.maps import contraction_dims, to_index_map

Operand = ext.Operand
Result = ext.Result
Tensor = ir.RankedTensorType

POOL_KINDS = ("max", "avg")
REDUCE_KINDS = ("sum", "mean", "max", "min", "prod", "any", "all")
ARG_REDUCE_KINDS = ("max", "min")
SCAN_KINDS = ("sum", "prod", "max", "min", "logaddexp")
SCATTER_KINDS = ("set", "sum", "prod", "max", "min")


def shape(value: Any) -> tuple[int, ...]:
    """Static shape of a tensor value."""
    return tuple(Tensor(value.type).shape)


def element_type(value: Any) -> Any:
    """Element type of a tensor value."""
    return Tensor(value.type).element_type


def _verified(check: Callable[[Any], None]) -> Any:
    """Turn ``check(op)``, which raises ValueError, into an MLIR verifier that emits the sentence at
    the op.

    Trait verifiers run before IRDL's own constraints, so an absent attribute or a wrong operand
    kind is left to IRDL.
    """

    def verify_invariants(op: Any) -> bool:
        try:
            for value in (*op.operands, *op.results):
                tensor_type = Tensor(value.type)
                if not tensor_type.has_static_shape:
                    raise ValueError("dynamic shapes are not part of the layout dialect")
                repr_of(tensor_type).layout.stored_shape(tuple(tensor_type.shape))
            check(op)
        except (KeyError, AttributeError):
            return True
        except ValueError as error:
            op.location.emit_error(f"{op.name}: {error}")
            return False
        return True

    return staticmethod(verify_invariants)


def _expect(op: Any, expected: tuple[int, ...], element: Any = None) -> None:
    """ValueError unless the op's result has shape ``expected`` (and element type ``element``)."""
    result = op.results[0]
    if shape(result) != expected:
        raise ValueError(f"result is {shape(result)}, expected {expected}")
    if element is not None and element_type(result) != element:
        raise ValueError(f"result has element type {element_type(result)}, expected {element}")


def _same_elements(values: Sequence[Any], what: str) -> None:
    elements = [str(element_type(v)) for v in values]
    if len(set(elements)) > 1:
        raise ValueError(f"{what} have different element types {elements}")


def _is_float(element: Any) -> bool:
    """Whether ``element`` is a float in which tensors may be held, whatever an op computes in."""
    return isinstance(element, (ir.F32Type, ir.F16Type, ir.BF16Type))


def _alike_elements(values: Sequence[Any], what: str) -> None:
    """ValueError unless all have one element type, or are floats, which ops widen as they read."""
    if not all(_is_float(element_type(v)) for v in values):
        _same_elements(values, what)


def _expect_like(op: Any, expected: tuple[int, ...], source: Any) -> None:
    """``_expect`` of the element type of ``source``; a float may be rounded to another as it is
    written.
    """
    floats = _is_float(element_type(source)) and _is_float(element_type(op.results[0]))
    _expect(op, expected, None if floats else element_type(source))


def _choice(op: Any, name: str, choices: Sequence[str]) -> str:
    value = ir.StringAttr(op.attributes[name]).value
    if value not in choices:
        raise ValueError(f"{name} '{value}' is not one of {', '.join(choices)}")
    return value


def _integer(op: Any, name: str) -> int:
    return ir.IntegerAttr(op.attributes[name]).value


def _ints(op: Any, name: str) -> tuple[int, ...]:
    return ints(op.attributes[name])


def _check_view(op: Any) -> None:
    to_index_map(
        ir.AffineMapAttr(op.attributes["index_map"]).value,
        shape(op.results[0]),
        shape(op.operands[0]),
    )
    _expect(op, shape(op.results[0]), element_type(op.operands[0]))


class ViewOp(LayoutDialect.Operation, name="view", traits=[ext.Pure]):
    """Pure re-indexing: result element ``d`` is the input's element ``index_map(d)``
    (quasi-affine).
    """

    input: Operand[Tensor]
    result: Result[Tensor]
    index_map: ir.AffineMapAttr
    verify_invariants = _verified(_check_view)


def _check_relayout(op: Any) -> None:
    _expect(op, shape(op.operands[0]), element_type(op.operands[0]))


class RelayoutOp(LayoutDialect.Operation, name="relayout", traits=[ext.Pure]):
    """A copy that changes the repr: the two tensor types differ in their encoding only."""

    input: Operand[Tensor]
    result: Result[Tensor]
    verify_invariants = _verified(_check_relayout)


def _check_weight(op: Any) -> None:
    if not ir.StringAttr(op.attributes["key"]).value:
        raise ValueError("key is empty")


class WeightOp(LayoutDialect.Operation, name="weight", traits=[ext.Pure]):
    """A parameter or constant kept in the weight archive under ``key``; ``encoding`` is open
    (``#layout.dense``).
    """

    result: Result[Tensor]
    key: ir.StringAttr
    encoding: Any
    verify_invariants = _verified(_check_weight)


def _check_pad(op: Any) -> None:
    fill = op.attributes["value"]
    if getattr(fill, "type", None) != element_type(op.operands[0]):
        raise ValueError(f"value {fill} is no {element_type(op.operands[0])}")
    _expect(
        op,
        shapes.pad(shape(op.operands[0]), _ints(op, "low"), _ints(op, "high")),
        element_type(op.operands[0]),
    )


class PadOp(LayoutDialect.Operation, name="pad", traits=[ext.Pure]):
    """Border of a constant: ``value`` is a float or integer attribute of the element type."""

    input: Operand[Tensor]
    result: Result[Tensor]
    low: Any
    high: Any
    value: Any
    verify_invariants = _verified(_check_pad)


def _check_concat(op: Any) -> None:
    _same_elements(op.operands, "operands")
    _expect(
        op,
        shapes.concat([shape(v) for v in op.operands], _integer(op, "dim")),
        element_type(op.operands[0]),
    )


class ConcatOp(LayoutDialect.Operation, name="concat", traits=[ext.Pure]):
    """Two tensors joined along ``dim``; longer joins are chains.

    Binary because IRDL gives all operands of a variadic field one type, and joined tensors differ
    in shape.
    """

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]
    dim: ir.IntegerAttr
    verify_invariants = _verified(_check_concat)


def _check_gather(op: Any) -> None:
    table, indices = op.operands
    if not isinstance(element_type(indices), ir.IntegerType):
        raise ValueError(f"indices are {element_type(indices)}, expected integers")
    _expect(
        op, shapes.gather(shape(table), shape(indices), _integer(op, "dim")), element_type(table)
    )


class GatherOp(LayoutDialect.Operation, name="gather", traits=[ext.Pure]):
    """Rows of ``table`` along ``dim`` chosen by ``indices`` (embedding, index_select); indices must
    be in range.
    """

    table: Operand[Tensor]
    indices: Operand[Tensor]
    result: Result[Tensor]
    dim: ir.IntegerAttr
    verify_invariants = _verified(_check_gather)


def _check_elementwise(op: Any) -> None:
    name = _choice(op, "fn", tuple(FUNCTIONS))
    function = FUNCTIONS[name]
    if len(op.operands) != function.arity:
        raise ValueError(f"{name} takes {function.arity} operands, got {len(op.operands)}")
    values = list(op.operands)[1:] if name == "where" else list(op.operands)
    _alike_elements(values, f"operands of {name}")
    boolean = ir.IntegerType.get_signless(1)
    if name in ("where", "logical_not") and element_type(op.operands[0]) != boolean:
        raise ValueError(
            f"the first operand of {name} is {element_type(op.operands[0])}, expected i1"
        )
    expected = shapes.broadcast([shape(v) for v in op.operands])
    if function.result == "same":
        _expect_like(op, expected, values[0])
    else:
        _expect(op, expected, boolean if function.result == "bool" else None)


class ElementwiseOp(LayoutDialect.Operation, name="elementwise", traits=[ext.Pure]):
    """``fn`` applied element by element to one to three operands that broadcast as in NumPy
    (``functions.py``).
    """

    first: Operand[Tensor]
    result: Result[Tensor]
    fn: ir.StringAttr
    second: Operand[Tensor] | None = None
    third: Operand[Tensor] | None = None
    verify_invariants = _verified(_check_elementwise)


def _check_contract(op: Any) -> None:
    _alike_elements(op.operands, "operands")
    maps, rank = contraction_dims(op.attributes["indexing_maps"])
    _expect_like(op, shapes.contract([shape(v) for v in op.operands], maps, rank), op.operands[0])


class ContractOp(LayoutDialect.Operation, name="contract", traits=[ext.Pure]):
    """Sum of products over the loop dims that the result's map leaves out (matmul, linear, einsum
    of two).
    """

    lhs: Operand[Tensor]
    rhs: Operand[Tensor]
    result: Result[Tensor]
    indexing_maps: ir.ArrayAttr
    verify_invariants = _verified(_check_contract)


def _check_conv(op: Any) -> None:
    x, weight = op.operands
    _alike_elements([x, weight], "input and weight")
    expected = shapes.conv(
        shape(x),
        shape(weight),
        _ints(op, "strides"),
        _ints(op, "dilations"),
        _ints(op, "pad_low"),
        _ints(op, "pad_high"),
        _integer(op, "groups"),
    )
    _expect_like(op, expected, x)


class ConvOp(LayoutDialect.Operation, name="conv", traits=[ext.Pure]):
    """Convolution of ``input`` [N, C, *spatial] with ``weight`` [O, C/groups, *kernel], zero
    padded; 1 to 3 spatial dims.
    """

    input: Operand[Tensor]
    weight: Operand[Tensor]
    result: Result[Tensor]
    strides: Any
    dilations: Any
    pad_low: Any
    pad_high: Any
    groups: ir.IntegerAttr
    verify_invariants = _verified(_check_conv)


def _check_pool(op: Any) -> None:
    kind = _choice(op, "kind", POOL_KINDS)
    expected = shapes.pool(
        shape(op.operands[0]),
        _ints(op, "kernel"),
        _ints(op, "strides"),
        _ints(op, "dilations"),
        _ints(op, "pad_low"),
        _ints(op, "pad_high"),
    )
    if kind == "avg":
        _expect_like(op, expected, op.operands[0])
    else:
        _expect(op, expected, element_type(op.operands[0]))


class PoolOp(LayoutDialect.Operation, name="pool", traits=[ext.Pure]):
    """Pooling over ``input`` [N, C, *spatial]; ``avg`` divides by the window's size, or by its
    valid part where ``count_include_pad`` is false."""

    input: Operand[Tensor]
    result: Result[Tensor]
    kind: ir.StringAttr
    kernel: Any
    strides: Any
    dilations: Any
    pad_low: Any
    pad_high: Any
    count_include_pad: Any
    verify_invariants = _verified(_check_pool)


def _check_reduce(op: Any) -> None:
    kind = _choice(op, "kind", REDUCE_KINDS)
    if kind in ("any", "all") and element_type(op.operands[0]) != ir.IntegerType.get_signless(1):
        raise ValueError(f"{kind} reduces i1, got {element_type(op.operands[0])}")
    _expect_like(op, shapes.reduce(shape(op.operands[0]), _ints(op, "dims")), op.operands[0])


class ReduceOp(LayoutDialect.Operation, name="reduce", traits=[ext.Pure]):
    """``kind`` over ``dims``, which the result no longer has."""

    input: Operand[Tensor]
    result: Result[Tensor]
    kind: ir.StringAttr
    dims: Any
    verify_invariants = _verified(_check_reduce)


def _check_softmax(op: Any) -> None:
    rank = len(shape(op.operands[0]))
    if not 0 <= _integer(op, "dim") < rank:
        raise ValueError(f"dim {_integer(op, 'dim')} is outside rank {rank}")
    _expect_like(op, shape(op.operands[0]), op.operands[0])


class SoftmaxOp(LayoutDialect.Operation, name="softmax", traits=[ext.Pure]):
    """Softmax along ``dim``, or its logarithm."""

    input: Operand[Tensor]
    result: Result[Tensor]
    dim: ir.IntegerAttr
    log: Any
    verify_invariants = _verified(_check_softmax)


def _check_layer_norm(op: Any) -> None:
    x, *affine = op.operands
    count = _integer(op, "normalized_dims")
    if not 0 < count <= len(shape(x)):
        raise ValueError(f"cannot normalise the last {count} dims of {shape(x)}")
    for value in affine:
        if shape(value) != shape(x)[-count:]:
            raise ValueError(f"weight and bias are {shape(value)}, expected {shape(x)[-count:]}")
    _expect_like(op, shape(x), x)


class LayerNormOp(LayoutDialect.Operation, name="layer_norm", traits=[ext.Pure]):
    """Normalisation over the last ``normalized_dims`` dims, then ``weight`` and ``bias`` where
    given.
    """

    input: Operand[Tensor]
    result: Result[Tensor]
    normalized_dims: ir.IntegerAttr
    eps: ir.FloatAttr
    weight: Operand[Tensor] | None = None
    bias: Operand[Tensor] | None = None
    verify_invariants = _verified(_check_layer_norm)


def _check_attention(op: Any) -> None:
    query, key, value, *mask = op.operands
    _alike_elements([query, key, value], "query, key and value")
    kinds = [element_type(v) for v in mask]
    if not all(kind == ir.IntegerType.get_signless(1) or _is_float(kind) for kind in kinds):
        raise ValueError(f"mask is {kinds[0]}, expected i1 or {element_type(query)}")
    expected = shapes.attention(
        shape(query), shape(key), shape(value), shape(mask[0]) if mask else None
    )
    _expect_like(op, expected, query)
    if not 1 <= _integer(op, "keys") <= shape(key)[-2]:
        raise ValueError(f"keys is {_integer(op, 'keys')}, of {shape(key)[-2]} keys")


class AttentionOp(LayoutDialect.Operation, name="attention", traits=[ext.Pure]):
    """softmax(scale * query . key^T + mask) . value; an i1 mask keeps where true; ``causal`` masks
    the future. The first ``keys`` keys count: others are padding, and finite.
    """

    query: Operand[Tensor]
    key: Operand[Tensor]
    value: Operand[Tensor]
    result: Result[Tensor]
    scale: ir.FloatAttr
    causal: Any
    keys: ir.IntegerAttr
    mask: Operand[Tensor] | None = None
    verify_invariants = _verified(_check_attention)


def _check_gather_elements(op: Any) -> None:
    table, indices = op.operands
    if not isinstance(element_type(indices), ir.IntegerType):
        raise ValueError(f"indices are {element_type(indices)}, expected integers")
    expected = shapes.gather_elements(shape(table), shape(indices), _integer(op, "dim"))
    _expect(op, expected, element_type(table))


class GatherElementsOp(LayoutDialect.Operation, name="gather_elements", traits=[ext.Pure]):
    """Each element of ``indices`` says where along ``dim`` the result's element comes from; its
    other coordinates are its own. Indices must be in range.
    """

    table: Operand[Tensor]
    indices: Operand[Tensor]
    result: Result[Tensor]
    dim: ir.IntegerAttr
    verify_invariants = _verified(_check_gather_elements)


def _check_scatter(op: Any) -> None:
    x, indices, updates = op.operands
    _choice(op, "kind", SCATTER_KINDS)
    if element_type(indices) != ir.IntegerType.get_signless(32):
        raise ValueError(f"indices are {element_type(indices)}, expected i32")
    _same_elements([x, updates], "input and updates")
    expected = shapes.scatter(shape(x), shape(indices), shape(updates), _integer(op, "dim"))
    _expect(op, expected, element_type(x))


class ScatterOp(LayoutDialect.Operation, name="scatter", traits=[ext.Pure]):
    """``input`` with ``updates`` combined into it along ``dim``, at positions ``indices``: one per
    update, or a list for all rows alike. Of several updates ``set`` takes the last; those outside
    the input are dropped.
    """

    input: Operand[Tensor]
    indices: Operand[Tensor]
    updates: Operand[Tensor]
    result: Result[Tensor]
    dim: ir.IntegerAttr
    kind: ir.StringAttr
    verify_invariants = _verified(_check_scatter)


def _check_dim(op: Any, element: Any) -> None:
    rank = len(shape(op.operands[0]))
    if not 0 <= _integer(op, "dim") < rank:
        raise ValueError(f"dim {_integer(op, 'dim')} is outside rank {rank}")
    _expect(op, shape(op.operands[0]), element)


def _check_argsort(op: Any) -> None:
    _check_dim(op, ir.IntegerType.get_signless(32))


class ArgsortOp(LayoutDialect.Operation, name="argsort", traits=[ext.Pure]):
    """The order of the elements along ``dim``, as int32 positions: stable, NaN the largest."""

    input: Operand[Tensor]
    result: Result[Tensor]
    dim: ir.IntegerAttr
    descending: Any
    verify_invariants = _verified(_check_argsort)


def _check_arg_reduce(op: Any) -> None:
    _choice(op, "kind", ARG_REDUCE_KINDS)
    expected = shapes.reduce(shape(op.operands[0]), (_integer(op, "dim"),))
    _expect(op, expected, ir.IntegerType.get_signless(32))


class ArgReduceOp(LayoutDialect.Operation, name="arg_reduce", traits=[ext.Pure]):
    """int32 position along ``dim`` of the first largest or smallest element, or of the first NaN
    where there is one. The result no longer has ``dim``.
    """

    input: Operand[Tensor]
    result: Result[Tensor]
    dim: ir.IntegerAttr
    kind: ir.StringAttr
    verify_invariants = _verified(_check_arg_reduce)


def _check_scan(op: Any) -> None:
    _choice(op, "kind", SCAN_KINDS)
    _check_dim(op, element_type(op.operands[0]))


class ScanOp(LayoutDialect.Operation, name="scan", traits=[ext.Pure]):
    """Along ``dim``, each element combined with all before it."""

    input: Operand[Tensor]
    result: Result[Tensor]
    dim: ir.IntegerAttr
    kind: ir.StringAttr
    verify_invariants = _verified(_check_scan)
