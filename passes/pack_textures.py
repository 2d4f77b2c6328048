"""Decide for each weight how a kernel may read it as texels, and write it beside the weight.

    %w = layout.weight {key = "w"} : 768x3072 (K, N)
    ==>
    %w = layout.weight {key = "w", texture = {storage = "image2d", packed = 1, x = [1], y = [0],
                                              width = 768, height = 768, reason = ""}} : 768x3072

The rules stand in ``rules/textures.py``: lanes and columns lie along the dim that is innermost in
memory, the dims that readers sum over go down the rows, and limits are the target's. The weight's
bytes in the archive are those of a buffer, row for row: so both executors share an entry, and a
weight whose kernels cannot read an image after all (``iree/textures.py``) needs no second one.

On entry: every tensor has its layout. On exit: nothing but the attribute has changed.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import repr_of
from smartmem.dialects.layout.ops import WeightOp, shape
from smartmem.dialects.layout.weights import entry_of
from smartmem.passes.base import PassReport, block_ops, functions, result_bytes
from smartmem.passes.rules.reductions import reduction_dims
from smartmem.passes.rules.textures import Packing, packing_of
from smartmem.passes.target import texture_limits

_ATTRIBUTE = "texture"


@dataclass(frozen=True)
class PackTexturesPass:
    """One decision per weight; ``target`` names the device whose limits hold."""

    name: ClassVar[str] = "smartmem-pack-textures"
    target: str = "generic"

    def run(self, module: Any) -> PassReport:
        """Write a packing beside every weight."""
        limits = texture_limits(self.target)
        image_bytes = all_bytes = 0
        for op in _weights(module):
            value = op.operation.results[0]
            layout = repr_of(ir.RankedTensorType(value.type)).layout
            packing = packing_of(tuple(shape(value)), layout, _reductions(value), limits)
            op.operation.attributes[_ATTRIBUTE] = _attribute(packing)
            all_bytes += result_bytes(value)
            image_bytes += result_bytes(value) if packing.storage == "image2d" else 0
        return PassReport(
            self.name, {"weight_bytes": all_bytes, "weight_bytes_for_images": image_bytes}
        )


def packings(module: Any) -> dict[str, Packing]:
    """What the pass decided, by the archive's entry."""
    return {
        entry_of(op): _parsed(op.operation.attributes[_ATTRIBUTE])
        for op in _weights(module)
        if _ATTRIBUTE in op.operation.attributes
    }


def _weights(module: Any) -> list[Any]:
    found = (op for function in functions(module) for op in block_ops(function))
    return [op for op in found if isinstance(op, WeightOp)]


def _reductions(value: Any) -> frozenset[int]:
    """The dims that any reader sums over."""
    found: frozenset[int] = frozenset()
    for use in value.uses:
        found |= reduction_dims(use.owner.opview, use.operand_number)
    return found


def _attribute(packing: Packing) -> Any:
    i64 = ir.IntegerType.get_signless(64)
    packed = -1 if packing.packed_dim is None else packing.packed_dim
    return ir.DictAttr.get(
        {
            "storage": ir.StringAttr.get(packing.storage),
            "packed": ir.IntegerAttr.get(i64, packed),
            "x": ir.DenseI64ArrayAttr.get(packing.x_dims),
            "y": ir.DenseI64ArrayAttr.get(packing.y_dims),
            "width": ir.IntegerAttr.get(i64, packing.width_texels),
            "height": ir.IntegerAttr.get(i64, packing.height_texels),
            "reason": ir.StringAttr.get(packing.reason),
        }
    )


def _parsed(attribute: Any) -> Packing:
    held = ir.DictAttr(attribute)
    packed = ir.IntegerAttr(held["packed"]).value
    return Packing(
        storage=ir.StringAttr(held["storage"]).value,
        packed_dim=None if packed < 0 else packed,
        x_dims=tuple(ir.DenseI64ArrayAttr(held["x"])),
        y_dims=tuple(ir.DenseI64ArrayAttr(held["y"])),
        width_texels=ir.IntegerAttr(held["width"]).value,
        height_texels=ir.IntegerAttr(held["height"]).value,
        reason=ir.StringAttr(held["reason"]).value,
    )
