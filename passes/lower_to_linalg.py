"""The layout dialect becomes linalg on plain tensors, op by op, through the rules in ``lower/``.

    %w = layout.weight {key = "fc"} : tensor<8x4xf32>           util.global @fc = #flow.parameter.named<"model"::"fc">
    %y = layout.contract %x, %w                          ==>    %w = util.global.load @fc
                                                                %y = linalg.generic ... ins(%x, %w)

On entry: valid layout dialect, packed and padded layouts already gone. On exit: no layout op and no encoding is left
(``verify_lowered``). Weights are globals filled from the parameter archive, under the names of ``weights.py``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.ops import element_type
from smartmem.dialects.layout.weights import SCOPE, entry_of
from smartmem.errors import CompileError
from smartmem.passes.base import PassReport, block_ops, functions
from smartmem.passes.lower import families
from smartmem.passes.lower.builder import DeviceKind, Lowering
from smartmem.passes.lower.registry import RULES


class _ModuleLowering(Lowering):
    """Lowering that declares one global per archive entry, at the top of the module."""

    def __init__(self, device: DeviceKind, module: Any) -> None:
        super().__init__(device)
        self._module = module
        self._symbols: dict[str, str] = {}

    def parameter(self, op: Any) -> str:
        """Symbol of the global for a ``layout.weight``."""
        entry = entry_of(op)
        if entry not in self._symbols:
            self._symbols[entry] = f"weight_{len(self._symbols)}"
            self._declare(self._symbols[entry], entry, op)
        return self._symbols[entry]

    def _declare(self, symbol: str, entry: str, op: Any) -> None:
        held = tensor_of(self.physical_shape(op.result), element_type(op.result))
        quoted = entry.replace("\\", "\\\\").replace('"', '\\"')
        with ir.InsertionPoint.at_block_begin(self._module.body), op.location:
            ir.Operation.create(
                "util.global",
                attributes={
                    "sym_name": ir.StringAttr.get(symbol),
                    "sym_visibility": ir.StringAttr.get("private"),
                    "type": ir.TypeAttr.get(held),
                    "initial_value": ir.Attribute.parse(
                        f'#flow.parameter.named<"{SCOPE}"::"{quoted}"> : {held}'
                    ),
                },
            )


def _lower(lowering: Lowering, op: Any) -> None:
    rule = RULES.get(op.operation.name)
    if rule is None:
        raise CompileError(f"no lowering for {op.operation.name} at {op.location}")
    with ir.InsertionPoint(op), op.location:
        try:
            physical = rule(lowering, op)
        except ValueError as error:
            raise CompileError(f"cannot lower {op.operation.name} at {op.location}: {error}") from error
    lowering.bind(op.operation.results[0], physical)


@dataclass(frozen=True)
class LowerToLinalgPass:
    """``device``: 'cpu' or 'vulkan'; only Vulkan needs fences around IREE's vectoriser."""

    device: DeviceKind = "vulkan"
    name: ClassVar[str] = "smartmem-lower-to-linalg"

    def run(self, module: Any) -> PassReport:
        """Rules run in program order; the layout ops go once all of them are lowered."""
        families.register_all()
        lowering = _ModuleLowering(self.device, module)
        count = 0
        for function in functions(module):
            layout_ops = [op for op in block_ops(function) if op.operation.name.startswith("layout.")]
            for op in layout_ops:
                _lower(lowering, op)
            for op in block_ops(function):
                if not op.operation.name.startswith("layout."):
                    _rewire(op, lowering)
            for op in reversed(layout_ops):
                op.operation.erase()
            count += len(layout_ops)
        return PassReport(self.name, {"layout_ops_lowered": count})


def _rewire(op: Any, lowering: Lowering) -> None:
    for index, operand in enumerate(op.operation.operands):
        physical = lowering.value(operand)
        if physical != operand:
            op.operation.operands[index] = physical
