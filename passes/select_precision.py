"""Tensors of float32 become tensors of halves where their values allow it.

    %w = layout.weight {"fc"}          : f32       %w = layout.weight {"fc", rounded}  : f16
    %1 = layout.contract %x, %w        : f32  ==>  %1 = layout.contract %x, %w         : f32
    %2 = layout.elementwise %1 {gelu}  : f32       %2 = layout.elementwise %1 {gelu}   : f16

No op is added: each reads floats of either kind and rounds as it writes, so that no kernel only
converts. What is computed stays float32: sums of products, statistics of norms and softmaxes,
functions of elements but for those that give the same in half (``rules/precision.py``). So the
choice is made tensor by tensor, and only of what lies in memory: ops that move elements keep their
tensors alike; what is read once, in the kernel that makes it, is not rounded at all.

On entry: no op of the graph moves any more, no tensor has a layout. On exit: the same, with
``float32`` on ops whose result is kept, and why. Inputs and outputs keep their types.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import numpy as np

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout import ops
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.dialects.layout.weights import round_to_half
from smartmem.passes.analysis.joins import producer, uses
from smartmem.passes.analysis.spans import Known, Needs, Spans, is_single, moved, values_of
from smartmem.passes.base import PassReport, block_ops, functions, module_of, result_bytes
from smartmem.passes.rules.precision import FEW, ROUNDS_ALIKE

_KEPT = "float32"
_PRODUCTS = (ops.ContractOp, ops.ConvOp, ops.AttentionOp)
_IN_KERNEL = "read in the kernel that makes it"


class _Groups:
    """Tensors that must be of one type, as their ops move elements from one to the other."""

    def __init__(self) -> None:
        self._parent: dict[Any, Any] = {}

    def root(self, value: Any) -> Any:
        """The tensor that stands for the group of ``value``."""
        while value in self._parent:
            value = self._parent[value]
        return value

    def tie(self, one: Any, other: Any) -> None:
        """Put the two in one group."""
        first, second = self.root(one), self.root(other)
        if first != second:
            self._parent[second] = first


@dataclass(frozen=True)
class SelectPrecisionPass:
    """``known``: the values of weights; without it they are taken to fit. ``keep``: patterns of
    module paths (``decoder.*``) whose ops stay in float32, and what they read.
    """

    known: Known | None = None
    keep: tuple[str, ...] = ()
    name: ClassVar[str] = "smartmem-select-precision"

    def run(self, module: Any) -> PassReport:
        """Mark what is kept, round the rest."""
        tensors = half_bytes = kept_bytes = 0
        for function in functions(module):
            choice = _Choice(function, self.known or (lambda _: None), self.keep)
            for value in choice.values:
                size = result_bytes(value)
                reason = choice.reason(value)
                if reason is None:
                    tensors += 1
                    half_bytes += size // 2
                else:
                    kept_bytes += size
                    _mark(value, reason)
            choice.round_all()
        gains = {"tensors_in_half": tensors, "bytes_in_half": half_bytes}
        return PassReport(self.name, {**gains, "bytes_in_float32": kept_bytes})


class _Choice:
    """Which float32 tensors of one function stay, and why."""

    def __init__(self, function: Any, known: Known, keep: Sequence[str]) -> None:
        self._ops = block_ops(function)
        self._known = known
        self._keep = keep
        self._spans = Spans(self._ops, known)
        self._needs = Needs(self._ops)
        self._groups = _Groups()
        arguments = [v for v in function.regions[0].blocks[0].arguments if is_single(v)]
        made = [
            result
            for op in self._ops
            if not isinstance(op, arith.ConstantOp)
            for result in op.operation.results
            if isinstance(result.type, ir.RankedTensorType) and is_single(result)
        ]
        self.values = made
        for op in self._ops:
            for value in moved(op):
                if is_single(value) and not isinstance(producer(value), arith.ConstantOp):
                    self._groups.tie(value, op.operation.results[0])
        self._sizes = Counter(self._groups.root(value) for value in (*arguments, *made))
        self._reasons: dict[Any, str] = {}
        for value in arguments:
            self._reasons.setdefault(self._groups.root(value), "an input of the model")
        for value in made:
            reason = self._demanded(value)
            if reason is not None:
                self._reasons.setdefault(self._groups.root(value), reason)
        # Only now is known what must stay; the rest is a matter of gain.
        for value in made:
            if self._groups.root(value) not in self._reasons:
                reason = self._without_gain(value)
                if reason is not None:
                    self._reasons[self._groups.root(value)] = reason

    def reason(self, value: Any) -> str | None:
        """Why ``value`` stays float32; None where it is rounded."""
        return self._reasons.get(self._groups.root(value))

    def _demanded(self, value: Any) -> str | None:
        """Why ``value`` may not be rounded, whatever that costs."""
        readers = [use.owner.opview for use in value.uses]
        if any(reader.operation.name == "func.return" for reader in readers):
            return "an output of the model"
        if any(self._is_named(op) for op in (producer(value), *readers)):
            return "asked for"
        extent = self._spans.of(value)
        if extent.span != "fits":
            return f"may be out of range: {extent.why}"
        if isinstance(producer(value), ops.WeightOp):
            held = values_of(value, self._known)
            if held and held.loses_digits():
                return "a weight with values below the normal halves"
        need = self._needs.of(value)
        return f"all digits count: {need[1]}" if need else None

    def _is_named(self, op: Any) -> bool:
        return any(fnmatchcase(module_of(op.location), pattern) for pattern in self._keep)

    def _without_gain(self, value: Any) -> str | None:
        """Why rounding ``value`` would save next to nothing."""
        maker = producer(value)
        readers = [use.owner.opview for use in value.uses]
        if isinstance(maker, ops.WeightOp):
            few = np.prod(shape(value)) < FEW
            alone = self._sizes[self._groups.root(value)] == 1
            products = any(isinstance(reader, _PRODUCTS) for reader in readers)
            return "a weight of few elements" if few and alone and not products else None
        if self._sizes[self._groups.root(value)] > 1:
            return None
        if isinstance(maker, ops.ReduceOp):
            return "a statistic"
        elementwise = [r for r in readers if isinstance(r, ops.ElementwiseOp)]
        in_kernel = uses(value) == 1 and len(elementwise) == 1
        if in_kernel and shape(elementwise[0].result) == shape(value):
            return _IN_KERNEL
        return None

    def round_all(self) -> None:
        """Give every tensor without a reason the type of halves, and constants beside them."""
        rounded = [value for value in self.values if self.reason(value) is None]
        for value in rounded:
            maker = producer(value)
            if isinstance(maker, ops.WeightOp):
                round_to_half(maker)
                continue
            value.set_type(_half_type(value))
            if isinstance(maker, ops.PadOp):
                fill = ir.FloatAttr(maker.attributes["value"]).value
                maker.operation.attributes["value"] = ir.FloatAttr.get(ir.F16Type.get(), fill)
        for op in self._ops:
            for place, value in enumerate(op.operation.operands):
                if self._is_constant_beside_halves(op, value):
                    op.operation.operands[place] = _half_constant(value)

    def _is_constant_beside_halves(self, op: Any, value: Any) -> bool:
        """Whether the constant ``value`` must be of halves, as ``op`` moves it among them, or loses
        nothing by it, so that ``op`` can be computed in half.
        """
        if not isinstance(producer(value), arith.ConstantOp) or not is_single(value):
            return False
        result = op.operation.results[0] if len(op.operation.results) else None
        if result is None or not isinstance(element_type(result), ir.F16Type):
            return False
        if any(v == value for v in moved(op)):
            return True
        if not isinstance(op, ops.ElementwiseOp):
            return False
        if ir.StringAttr(op.attributes["fn"]).value not in ROUNDS_ALIKE:
            return False
        others = [v for v in op.operands if not isinstance(producer(v), arith.ConstantOp)]
        held = values_of(value, self._known)
        return not any(is_single(v) for v in others) and held is not None and held.is_exact()


def _half_type(value: Any) -> Any:
    kind = ir.RankedTensorType(value.type)
    return ir.RankedTensorType.get(kind.shape, ir.F16Type.get(), kind.encoding)


def _half_constant(value: Any) -> Any:
    op = value.owner
    with ir.InsertionPoint(op), op.location:
        kind, half = tensor_of(shape(value), ir.F16Type.get()), ir.F16Type.get()
        held = np.array(op.attributes["value"], dtype=np.float32)
        items = [ir.FloatAttr.get(half, float(item)) for item in held.flat]
        splat = (held == held.flat[0]).all()
        attribute = (
            ir.DenseElementsAttr.get_splat(kind, items[0])
            if splat
            else ir.DenseElementsAttr.get(items, type=kind)
        )
        return arith.ConstantOp(kind, attribute).result


def _mark(value: Any, reason: str) -> None:
    value.owner.attributes[_KEPT] = ir.StringAttr.get(reason)


def summary(module: Any) -> dict[str, Any]:
    """What is held in half and what is not, of a module after the pass, views and constants aside.

    ``products``: contractions, convolutions and attentions that read halves; ``float32``: tensors
    and bytes by the reason, most bytes first.
    """
    counts: Counter[str] = Counter()
    kept: dict[str, Counter[str]] = {}
    for function in functions(module):
        for op in block_ops(function):
            if not op.operation.name.startswith("layout.") or isinstance(op, ops.ViewOp):
                continue
            value = op.operation.results[0]
            size = result_bytes(value)
            if isinstance(op, _PRODUCTS):
                counts["products"] += 1
                counts["products_of_halves"] += any(_is_half(v) for v in op.operation.operands)
            if _is_half(value):
                group = "weights" if isinstance(op, ops.WeightOp) else "tensors"
                counts[group] += 1
                counts[f"{group}_bytes"] += size
            elif _KEPT in op.operation.attributes:
                reason = ir.StringAttr(op.operation.attributes[_KEPT]).value
                kept.setdefault(reason, Counter()).update(tensors=1, bytes=size)
    half = ("weights", "weights_bytes", "tensors", "tensors_bytes")
    rows = sorted(kept.items(), key=lambda item: (-item[1]["bytes"], item[0]))
    return {
        "half": {name: counts[name] for name in half},
        "products": counts["products"],
        "products_of_halves": counts["products_of_halves"],
        "float32": [{"reason": reason, **numbers} for reason, numbers in rows],
    }


def _is_half(value: Any) -> bool:
    return isinstance(element_type(value), ir.F16Type)
