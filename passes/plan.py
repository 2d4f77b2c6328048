"""What the passes decided, as data for ``plan.json``: the layout of every tensor of the graph."""

from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import repr_of
from smartmem.passes.base import block_ops, functions, place
from smartmem.passes.rules.classes import classify


def tensor_layouts(module: Any) -> list[dict[str, Any]]:
    """One row per result of a layout op, in program order: op, place in the model, shape, element
    type, layout (its dims, outermost in memory first: no pass packs or pads), and its class in
    SmartMem's and DNNFusion's systems.
    """
    rows: list[dict[str, Any]] = []
    for function in functions(module):
        for op in block_ops(function):
            if not op.operation.name.startswith("layout."):
                continue
            tensor_type = ir.RankedTensorType(op.operation.results[0].type)
            held = repr_of(tensor_type)
            rows.append(
                {
                    "op": op.operation.name.removeprefix("layout."),
                    "at": place(op.location),
                    "shape": list(tensor_type.shape),
                    "element": str(tensor_type.element_type),
                    "layout": list(held.layout.order),
                    "storage": held.storage,
                    "class": str(classify(op)),
                }
            )
    return rows
