"""Names of the weight archive's entries: one per tensor and layout, so that targets share what is
equal.
"""

from dataclasses import dataclass
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout.attributes import repr_of
from smartmem.dialects.layout.ops import WeightOp
from smartmem.dialects.layouts import Layout

# Parameter scope of the archive in compiled modules.
SCOPE = "model"


@dataclass(frozen=True)
class ArchiveEntry:
    """Entry ``name`` holds the weight ``key`` packed as ``layout``."""

    name: str
    key: str
    layout: Layout


def _entry(op: Any) -> ArchiveEntry:
    key = ir.StringAttr(op.attributes["key"]).value
    layout = repr_of(ir.RankedTensorType(op.results[0].type)).layout
    suffix = "" if layout.is_default else f"@{layout}"
    return ArchiveEntry(key + suffix, key, layout)


def entry_of(op: Any) -> str:
    """Name of the archive entry a ``layout.weight`` loads: its key, and its layout where that is
    not row-major.
    """
    return _entry(op).name


def archive_entries(module: Any) -> list[ArchiveEntry]:
    """All entries ``module`` loads, each once, in program order."""
    entries: dict[str, ArchiveEntry] = {}

    def visit(op: Any) -> Any:
        if isinstance(op.opview, WeightOp):
            entry = _entry(op)
            entries.setdefault(entry.name, entry)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return list(entries.values())
