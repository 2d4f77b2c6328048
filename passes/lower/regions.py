"""Dispatch regions: what stands in one is one kernel, whatever IREE would have fused itself."""

from collections.abc import Callable
from typing import Any

from smartmem.dialects._mlir import ir

# Views of a whole tensor, free where they stand before the kernel; inside it they are in the way of
# its tiles.
_RESHAPES = ("tensor.collapse_shape", "tensor.expand_shape")


def one_kernel(result: Any, build: Callable[[], Any]) -> Any:
    """What ``build`` makes, of type ``result``, by a kernel of its own."""
    region = _region(result)
    with ir.InsertionPoint(region.regions[0].blocks.append()):
        made = build()
        reshape = made.owner if _is_reshape(made.owner) else None
        ir.Operation.create("flow.return", operands=[made])
    _hoist_reshapes(region)
    body = region.regions[0].blocks[0]
    if reshape is None or reshape.operation.block != body:
        return region.results[0]
    # The kernel makes what is reshaped, and the reshape follows it.
    source = reshape.operands[0]
    kernel = _region(source.type)
    body.append_to(kernel.regions[0])
    reshape.operation.move_after(kernel)
    next(op for op in body.operations if op.operation.name == "flow.return").erase()
    with ir.InsertionPoint(body):
        ir.Operation.create("flow.return", operands=[source])
    reshape.operation.operands[0] = kernel.results[0]
    region.erase()
    return reshape.results[0]


def _region(result: Any) -> Any:
    no_sizes = ir.DenseI32ArrayAttr.get([0, 0])
    return ir.Operation.create(
        "flow.dispatch.region",
        results=[result],
        attributes={"operandSegmentSizes": no_sizes},
        regions=2,
    )


def _is_reshape(op: Any) -> bool:
    return not isinstance(op, ir.Block) and op.operation.name in _RESHAPES


def _hoist_reshapes(region: Any) -> None:
    """Move reshapes of tensors from outside to before the region."""
    body = region.regions[0].blocks[0]
    for op in list(body.operations):
        if op.operation.name in _RESHAPES and op.operands[0].owner != body:
            source = op.operands[0].owner
            inside = not isinstance(source, ir.Block) and source.operation.block == body
            if not inside:
                op.operation.move_before(region)
