"""Dispatch regions: what stands in one is one kernel, whatever IREE would have fused itself."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.ops import shape
from smartmem.passes.lower.builder import reassociated

# Views of a whole tensor, free where they stand before the kernel; inside it they are in the way of
# its tiles.
_RESHAPES = ("tensor.collapse_shape", "tensor.expand_shape")


def one_kernel(result: Any, build: Callable[[], Any]) -> Any:
    """What ``build`` makes, of type ``result``, by a kernel of its own."""
    return _region(result, build).results[0]


def one_kernel_in_parts(
    value: Any, parts: Sequence[Sequence[int]], build: Callable[[], Any]
) -> Any:
    """What ``build`` makes, of type ``value``, by a kernel of its own whose loops are ``parts`` of
    its dims: what it ends with collapses them, which is done behind the kernel.
    """
    sizes = [size for group in parts for size in group]

    def uncollapsed() -> Any:
        made = build()
        collapse = made.owner
        if collapse.name != _RESHAPES[0] or shape(collapse.operands[0]) != tuple(sizes):
            raise ValueError(f"a kernel in loops of {sizes} ends with {collapse.name}")
        return collapse.operands[0]

    region = _region(tensor_of(sizes, ir.RankedTensorType(value).element_type), uncollapsed)
    ends = accumulate(map(len, parts))
    axes = [list(range(end - len(p), end)) for end, p in zip(ends, parts, strict=True)]
    return reassociated(region.results[0], axes)


def _region(result: Any, build: Callable[[], Any]) -> Any:
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
    return region


def _hoist_reshapes(region: Any) -> None:
    """Move reshapes of tensors from outside to before the region."""
    body = region.regions[0].blocks[0]
    for op in list(body.operations):
        if op.operation.name in _RESHAPES and op.operands[0].owner != body:
            source = op.operands[0].owner
            inside = not isinstance(source, ir.Block) and source.operation.block == body
            if not inside:
                op.operation.move_before(region)
