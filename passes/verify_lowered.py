"""Nothing of the layout dialect reaches IREE: the border's guard.

    "layout.view"(%x) ...      ==>   error naming the op and its Python line
    tensor<4xf32, #layout.…>   ==>   error

On entry: the result of lowering. On exit: unchanged.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.errors import CompileError
from smartmem.passes.base import PassReport


def _is_encoded(value: Any) -> bool:
    kind = value.type
    return isinstance(kind, ir.RankedTensorType) and kind.encoding is not None


@dataclass(frozen=True)
class VerifyLoweredPass:
    """Fails on any layout op or tensor encoding that is left."""

    name: ClassVar[str] = "smartmem-verify-lowered"

    def run(self, module: Any) -> PassReport:
        """Walk everything, report every leftover at once."""
        left: list[str] = []

        def visit(op: Any) -> Any:
            arguments = [
                a for region in op.regions for block in region.blocks for a in block.arguments
            ]
            encoded = [str(v.type) for v in (*op.results, *arguments) if _is_encoded(v)]
            if op.name.startswith("layout.") or encoded:
                left.append(f"{' '.join([op.name, *encoded])} at {op.location}")
            return ir.WalkResult.ADVANCE

        module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
        if left:
            raise CompileError(
                "the layout dialect was not lowered completely:\n  " + "\n  ".join(left)
            )
        return PassReport(self.name)
