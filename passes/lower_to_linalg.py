"""The layout dialect becomes linalg on plain tensors, op by op, through the rules in ``lower/``.

                                        util.global @w0 = #flow.parameter.named<"model"::"fc">
    %w = layout.weight {key = "fc"}     %w = util.global.load @w0
    %y = layout.contract %x, %w   ==>   %y = linalg.generic ... ins(%x, %w)

On entry: valid layout dialect, packed and padded layouts already gone. On exit: no layout op and no
encoding is left (``verify_lowered``). Weights are globals filled from the parameter archive, under
the names of ``weights.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.build import tensor_of
from smartmem.dialects.layout.ops import element_type
from smartmem.dialects.layout.weights import SCOPE, entry_of
from smartmem.errors import CompileError
from smartmem.passes.analysis.blocks import block_of
from smartmem.passes.base import PassReport, block_ops, check_device, functions
from smartmem.passes.lower import families
from smartmem.passes.lower.builder import Lowering
from smartmem.passes.lower.regions import one_kernel
from smartmem.passes.lower.registry import RULES
from smartmem.passes.lower.rows import is_row_chain, rows
from smartmem.passes.target import DeviceKind


class _Globals:
    """One global per archive entry, at the top of the module."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._symbols: dict[str, str] = {}

    def symbol(self, op: Any, sizes: Sequence[int]) -> str:
        """Symbol of the global of physical shape ``sizes`` for a ``layout.weight``, declared when
        first asked for.
        """
        entry = entry_of(op)
        if entry not in self._symbols:
            self._symbols[entry] = f"weight_{len(self._symbols)}"
            self._declare(self._symbols[entry], entry, op, sizes)
        return self._symbols[entry]

    def _declare(self, symbol: str, entry: str, op: Any, sizes: Sequence[int]) -> None:
        held = tensor_of(sizes, element_type(op.result))
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


class _FunctionLowering(Lowering):
    """Lowering of one function.

    Not of several: erased values leave addresses that later ones get anew.
    """

    def __init__(self, device: DeviceKind, held: _Globals) -> None:
        super().__init__(device)
        self._globals = held

    def parameter(self, op: Any) -> str:
        """Symbol of the global for a ``layout.weight``."""
        return self._globals.symbol(op, self.physical_shape(op.result))


def _lower(lowering: Lowering, op: Any, at: Any) -> None:
    rule = RULES.get(op.operation.name)
    if rule is None:
        raise CompileError(f"no lowering for {op.operation.name} at {op.location}")
    with at, op.location:
        try:
            physical = rule(lowering, op)
        except ValueError as error:
            raise CompileError(
                f"cannot lower {op.operation.name} at {op.location}: {error}"
            ) from error
    lowering.bind(op.operation.results[0], physical)


def _blocks(layout_ops: Sequence[Any]) -> list[list[Any]]:
    """The ops by block, each block where its last op stands; any other op by itself."""
    blocks: dict[int, list[Any]] = {}
    for op in layout_ops:
        number = block_of(op)
        if number is not None:
            blocks.setdefault(number, []).append(op)
    ordered: list[list[Any]] = []
    for op in layout_ops:
        number = block_of(op)
        members = [op] if number is None else blocks[number]
        if members[-1].operation == op.operation:
            ordered.append(members)
    return ordered


def _lower_block(lowering: Lowering, members: Sequence[Any]) -> None:
    """All ops of a block in one dispatch region, which is one kernel."""
    last = members[-1]

    def build() -> Any:
        if is_row_chain(members):
            return rows(lowering, members)
        for op in members:
            _lower(lowering, op, ir.InsertionPoint.current)
        return lowering.value(last.operation.results[0])

    with ir.InsertionPoint(last), last.location:
        held = one_kernel(lowering.physical_type(last.operation.results[0]), build)
    lowering.bind(last.operation.results[0], held)


@dataclass(frozen=True)
class LowerToLinalgPass:
    """``device``: 'cpu' or 'vulkan'; only Vulkan needs fences around IREE's vectoriser."""

    device: DeviceKind = "vulkan"
    name: ClassVar[str] = "smartmem-lower-to-linalg"

    def __post_init__(self) -> None:
        check_device(self.name, self.device)

    def run(self, module: Any) -> PassReport:
        """Rules run in program order; the layout ops go once all of them are lowered."""
        families.register_all()
        held = _Globals(module)
        count = 0
        for function in functions(module):
            lowering = _FunctionLowering(self.device, held)
            layout_ops = [
                op for op in block_ops(function) if op.operation.name.startswith("layout.")
            ]
            for block in _blocks(layout_ops):
                if block_of(block[0]) is None:
                    _lower(lowering, block[0], ir.InsertionPoint(block[0]))
                else:
                    _lower_block(lowering, block)
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
