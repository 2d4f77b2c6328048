"""What the values of a function may be held in: their spans, and what their readers ask of them.

Spans go forward, from weights and constants, whose values are known, and inputs, which are taken to
be what halves are used for. Needs go backward, from readers through functions of elements and ops
that move elements. Both say why, in words for the report.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout import ops
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.passes.analysis.bounds import is_small, is_taken_small, taken
from smartmem.passes.analysis.joins import producer
from smartmem.passes.rules import precision
from smartmem.passes.rules.precision import STRENGTH, Need, Span, Values
from smartmem.passes.rules.reductions import reduction_dims

# The values of a weight op, None where they are not at hand.
Known = Callable[[Any], Values | None]

_MOVING = (
    ops.ViewOp,
    ops.RelayoutOp,
    ops.PadOp,
    ops.ConcatOp,
    ops.GatherOp,
    ops.GatherElementsOp,
    ops.ScatterOp,
)
_PRODUCTS = (ops.ContractOp, ops.ConvOp)
_ORDERING = (ops.ArgsortOp, ops.ArgReduceOp)


@dataclass(frozen=True)
class Extent:
    """A span and, where it is not ``fits``, what made it so."""

    span: Span
    why: str = ""


FITS = Extent("fits")


def is_single(value: Any) -> bool:
    """Whether ``value`` is a tensor of float32, which may become one of halves."""
    return isinstance(element_type(value), ir.F32Type)


def moved(op: Any) -> list[Any]:
    """The operands of which ``op`` gives elements as they are, in its result; none of an op that
    computes.
    """
    if isinstance(op, (ops.GatherOp, ops.GatherElementsOp)):
        return [op.table]
    if isinstance(op, ops.ScatterOp):
        return [op.input, op.updates]
    if isinstance(op, ops.PoolOp) and ir.StringAttr(op.attributes["kind"]).value == "max":
        return [op.input]
    if isinstance(op, ops.ScanOp):
        return [op.input]
    return list(op.operation.operands) if isinstance(op, _MOVING) else []


def values_of(value: Any, known: Known) -> Values | None:
    """The values of a weight or constant; None of what is computed, or not at hand."""
    op: Any = producer(value)
    if isinstance(op, ops.WeightOp):
        return known(op)
    if not isinstance(op, arith.ConstantOp) or not is_single(value):
        return None
    held = op.attributes["value"]
    return Values(np.array(held, dtype=np.float32).reshape(shape(value)))


class Spans:
    """The span of each float32 tensor of a function, found in program order."""

    def __init__(self, layout_ops: Sequence[Any], known: Known) -> None:
        self._known = known
        self._spans: dict[Any, Extent] = {}
        for op in layout_ops:
            for result in op.operation.results:
                if isinstance(result.type, ir.RankedTensorType) and is_single(result):
                    self._spans[result] = self._of(op)

    def of(self, value: Any) -> Extent:
        """The span of ``value``; what is not computed here fits."""
        return self._spans.get(value, FITS)

    def _of(self, op: Any) -> Extent:
        if isinstance(op, (ops.WeightOp, arith.ConstantOp)):
            held = values_of(op.result, self._known)
            if held and held.overflows():
                return Extent("wide", f"a constant with values up to {held.largest():.3g}")
            return FITS
        if isinstance(op, ops.ElementwiseOp):
            return self._elementwise(op)
        if isinstance(op, _PRODUCTS):
            return self._product(op)
        if isinstance(op, (ops.SoftmaxOp, ops.LayerNormOp)):
            return FITS
        if isinstance(op, ops.AttentionOp):
            return self.of(op.value)
        kind = ir.StringAttr(op.attributes["kind"]).value if "kind" in op.attributes else ""
        if kind in ("sum", "prod", "logaddexp"):
            return Extent("wide", f"a {kind} of elements")
        if isinstance(op, ops.PadOp):
            fill = abs(ir.FloatAttr(op.attributes["value"]).value)
            if precision.LARGEST < fill < float("inf"):
                return Extent("wide", f"a border of {fill:.3g}")
        if moved(op) or isinstance(op, (ops.ReduceOp, ops.PoolOp)):
            return self._widest(moved(op) or list(op.operation.operands)[:1])
        return Extent("wide", f"{op.operation.name} has no rule")

    def _widest(self, values: Sequence[Any]) -> Extent:
        """The first span that is not ``fits``, as a wide one."""
        spans = [self.of(v) for v in values if is_single(v)]
        return next((Extent("wide", s.why) for s in spans if s.span != "fits"), FITS)

    def _elementwise(self, op: Any) -> Extent:
        fn = ir.StringAttr(op.attributes["fn"]).value
        operands = list(op.operands)
        if fn in precision.BOUNDED:
            return FITS
        if fn in precision.GROWING:
            bounded = fn in precision.EXPONENTIAL and is_small(operands[0])
            return FITS if bounded else Extent("wide", fn)
        if fn in precision.INVERTING:
            return Extent("inverse", fn)
        if fn == "cast" and isinstance(element_type(operands[0]), ir.IntegerType):
            whole = ir.IntegerType(element_type(operands[0])).width > 1
            return Extent("wide", "a number made of an integer") if whole else FITS
        if fn == "mul":
            return self._multiplied(*operands)
        if fn == "div":
            return self._divided(*operands)
        if fn in ("maximum", "minimum", "clamp"):
            return self._bounded(fn, operands)
        return self._widest(taken(op) if fn == "where" else operands)

    def _multiplied(self, a: Any, b: Any) -> Extent:
        if a == b:
            return Extent("wide", "a square")
        spans = [self.of(a), self.of(b)]
        if [s.span for s in spans].count("inverse") == 1:
            return FITS
        if any(s.span != "fits" for s in spans):
            return self._widest([a, b])
        for value in (a, b):
            held = values_of(value, self._known)
            if held and held.largest() > precision.GROWTH:
                return Extent("wide", f"a product with {held.largest():.3g}")
        return FITS

    def _divided(self, a: Any, b: Any) -> Extent:
        if self.of(b).span == "wide":
            return FITS
        if self.of(a).span != "fits" or self.of(b).span != "fits":
            return self._widest([a, b])
        if values_of(a, self._known):
            return Extent("inverse", "a quotient with a constant above it")
        held = values_of(b, self._known)
        if held and held.smallest() * precision.GROWTH < 1:
            return Extent("wide", f"a quotient with {held.smallest():.3g}")
        return FITS

    def _bounded(self, fn: str, operands: Sequence[Any]) -> Extent:
        """Bounds that are constants widen nothing where they are on the far side."""
        sign = {"maximum": 1, "minimum": -1}
        kept: list[Any] = []
        for place, value in enumerate(operands):
            held = values_of(value, self._known)
            if held is None:
                kept.append(value)
                continue
            side = sign.get(fn, 1 if place == 1 else -1)
            if bool((held.array * side > precision.LARGEST).any()):
                return Extent("wide", f"a bound of {held.largest():.3g}")
        return self._widest(kept)

    def _product(self, op: Any) -> Extent:
        operands = list(op.operation.operands)
        wide = self._widest(operands)
        if wide.span != "fits":
            return wide
        growth = 1.0
        for place, value in enumerate(operands):
            held = values_of(value, self._known)
            if held is not None:
                growth = max(growth, held.growth(reduction_dims(op, place)))
        if growth > precision.GROWTH:
            return Extent("wide", f"a product whose weights add up to {growth:.3g}")
        if isinstance(op, ops.ContractOp) and not any(_is_given(v) for v in operands):
            count = _summed(op)
            if count > precision.GROWTH and not any(_are_shares(v) for v in operands):
                return Extent("wide", f"a sum of {count} products of activations")
        return FITS


def _is_given(value: Any) -> bool:
    """Whether ``value`` shows a weight or constant."""
    op = producer(value)
    while isinstance(op, _MOVING):
        op = producer(moved(op)[0])
    return isinstance(op, (ops.WeightOp, arith.ConstantOp))


def _are_shares(value: Any) -> bool:
    """Whether ``value`` shows a softmax: its rows sum to 1."""
    op = producer(value)
    while isinstance(op, _MOVING):
        op = producer(moved(op)[0])
    return isinstance(op, ops.SoftmaxOp)


def _summed(op: Any) -> int:
    (lhs, _, result), _ = contraction_dims(op.attributes["indexing_maps"])
    count = 1
    for axis, loop in enumerate(lhs):
        count *= 1 if loop in result else shape(op.lhs)[axis]
    return count


class Needs:
    """What the readers of each tensor of a function ask of its digits, found backward."""

    def __init__(self, layout_ops: Sequence[Any]) -> None:
        self._needs: dict[Any, tuple[Need, str]] = {}
        for op in reversed(layout_ops):
            for value, need, why in _asked(op):
                self._ask(value, need, why)
            for result in op.operation.results:
                if result in self._needs:
                    self._pass_on(op, *self._needs[result])

    def of(self, value: Any) -> tuple[Need, str] | None:
        """What is asked of ``value``, and by whom."""
        return self._needs.get(value)

    def _ask(self, value: Any, need: Need, why: str) -> None:
        if not isinstance(value.type, ir.RankedTensorType) or not is_single(value):
            return
        if isinstance(producer(value), ops.WeightOp) and STRENGTH[need] < STRENGTH["terms"]:
            return
        held = self._needs.get(value)
        if held is None or STRENGTH[held[0]] < STRENGTH[need]:
            self._needs[value] = (need, why)

    def _pass_on(self, op: Any, need: Need, why: str) -> None:
        """What is asked of the result of ``op``, asked of what it is computed from."""
        if isinstance(op, _PRODUCTS) and need != "angles":
            return
        if isinstance(op, (ops.SoftmaxOp, ops.LayerNormOp, ops.AttentionOp)) or _averages(op):
            return
        for value in moved(op) or op.operation.operands:
            self._ask(value, need, why)


def _averages(op: Any) -> bool:
    """Whether ``op`` sums elements, so that what was rounded off them evens out."""
    if not isinstance(op, (ops.ReduceOp, ops.PoolOp)):
        return False
    return ir.StringAttr(op.attributes["kind"]).value in ("sum", "mean", "avg")


def _asked(op: Any) -> Iterator[tuple[Any, Need, str]]:
    """What ``op`` itself asks of its operands."""
    operands = list(op.operation.operands)
    if isinstance(op, ops.SoftmaxOp):
        yield op.input, "digits", "the exponents of a softmax"
    elif isinstance(op, _ORDERING):
        yield op.input, "digits", "what is ordered"
    elif isinstance(op, ops.ScanOp):
        yield op.input, "digits", "what is summed one after another"
    elif isinstance(op, ops.AttentionOp) and op.mask is not None:
        yield op.mask, "digits", "the mask of an attention"
    elif isinstance(op, ops.ElementwiseOp):
        fn = ir.StringAttr(op.attributes["fn"]).value
        need = precision.need_of(fn)
        if fn in precision.EXPONENTIAL and (is_small(op.first) or is_taken_small(op.result)):
            # Rounded, they change a result of at most 1 by some thousandth of itself.
            return
        if fn == "cast" and isinstance(element_type(op.result), ir.IntegerType):
            need = "digits"
        for value in operands if need else ():
            yield value, need or "digits", f"the operand of {fn}"
