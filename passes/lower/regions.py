"""Dispatch regions: what stands in one is one kernel, whatever IREE would have fused itself."""

from collections.abc import Callable
from typing import Any

from smartmem.dialects._mlir import ir

# Views of a whole tensor, free where they stand before the kernel; inside it they are in the way of
# its tiles.
_RESHAPES = ("tensor.collapse_shape", "tensor.expand_shape")


def one_kernel(result: Any, build: Callable[[], Any]) -> Any:
    """What ``build`` makes, of type ``result``, by a kernel of its own."""
    no_sizes = ir.DenseI32ArrayAttr.get([0, 0])
    region = ir.Operation.create(
        "flow.dispatch.region",
        results=[result],
        attributes={"operandSegmentSizes": no_sizes},
        regions=2,
    )
    with ir.InsertionPoint(region.regions[0].blocks.append()):
        ir.Operation.create("flow.return", operands=[build()])
    _hoist_reshapes(region)
    return region.results[0]


def _hoist_reshapes(region: Any) -> None:
    """Move reshapes of tensors from outside to before the region."""
    body = region.regions[0].blocks[0]
    for op in list(body.operations):
        if op.operation.name in _RESHAPES and op.operands[0].owner != body:
            source = op.operands[0].owner
            inside = not isinstance(source, ir.Block) and source.operation.block == body
            if not inside:
                op.operation.move_before(region)
