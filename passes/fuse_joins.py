"""Concats whose pieces would be copied one by one are marked to be assembled by one kernel.

    %0 = layout.concat %v, %x           %0 = layout.concat %v, %x {assembled}
    %1 = layout.concat %0, %u    ==>    %1 = layout.concat %0, %u {assembled}

Which ones, ``rules/joins.py`` says. A marked concat is like a view: ``select_layouts`` writes it in
the layout its readers want, from pieces in any layout. On entry: valid layout dialect, chains of
views composed. On exit: the same, with ``assembled`` on all concats of the chosen chains.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from smartmem.dialects.layout.ops import ConcatOp
from smartmem.passes.analysis.joins import mark_assembled
from smartmem.passes.base import PassReport, block_ops, check_device, functions
from smartmem.passes.rules.joins import assembly
from smartmem.passes.target import DeviceKind


@dataclass(frozen=True)
class FuseJoinsPass:
    """Every concat by itself: all of a chain get the answer of its end.

    ``device``: 'cpu' or 'vulkan'; what copies cost depends on it.
    """

    device: DeviceKind = "vulkan"
    name: ClassVar[str] = "smartmem-fuse-joins"

    def __post_init__(self) -> None:
        check_device(self.name, self.device)

    def run(self, module: Any) -> PassReport:
        """Mark what one kernel assembles."""
        concats = [op for f in functions(module) for op in block_ops(f) if isinstance(op, ConcatOp)]
        chosen = [op for op in concats if assembly(op, self.device).taken]
        for op in chosen:
            mark_assembled(op)
        return PassReport(self.name, {"concats": len(concats), "concats_assembled": len(chosen)})
