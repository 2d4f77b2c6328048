"""Dispatch regions: what stands in one is one kernel, whatever IREE would have fused itself."""

from typing import Any

from smartmem.dialects._mlir import ir

# Views of a whole tensor, free where they stand before the kernel; inside it they are in the way of
# its tiles.
_RESHAPES = ("tensor.collapse_shape", "tensor.expand_shape")


def dispatch_region(result: Any) -> Any:
    """An empty ``flow.dispatch.region`` of one result, without its ``flow.return`` yet."""
    no_sizes = ir.DenseI32ArrayAttr.get([0, 0])
    region = ir.Operation.create(
        "flow.dispatch.region",
        results=[result],
        attributes={"operandSegmentSizes": no_sizes},
        regions=2,
    )
    region.regions[0].blocks.append()
    return region


def hoist_reshapes(region: Any) -> None:
    """Move reshapes of tensors from outside to before the region."""
    body = region.regions[0].blocks[0]
    for op in list(body.operations):
        if op.operation.name in _RESHAPES and op.operands[0].owner != body:
            source = op.operands[0].owner
            inside = not isinstance(source, ir.Block) and source.operation.block == body
            if not inside:
                op.operation.move_before(region)
