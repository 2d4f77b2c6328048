"""Names of the weight archive's entries: one per tensor and layout, so that targets share what is
equal.
"""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.archive import ArchiveEntry
from smartmem.dialects.layout import shapes
from smartmem.dialects.layout.attributes import repr_of
from smartmem.dialects.layout.ops import WeightOp, element_type, shape

# Parameter scope of the archive in compiled modules.
SCOPE = "model"


# The keys of the weights that an entry holds side by side, and the dim along which.
_STACKED, _STACKED_DIM = "stacked", "stacked_dim"
# Marks a weight whose values are rounded to half when the archive is written.
_ROUNDED = "rounded"


def stack(parts: Sequence[Any], dim: int) -> Any:
    """A ``layout.weight`` of the tensors of ``parts``, which are weights, joined along ``dim``
    before anything runs.
    """
    entries = [archive_entry(op) for op in parts]
    keys = [key for entry in entries for key in entry.keys]
    sizes = list(shapes.concat([shape(op.result) for op in parts], dim))
    kind = ir.RankedTensorType.get(sizes, element_type(parts[0].result))
    stacked = WeightOp(kind, ir.StringAttr.get("+".join(keys)), parts[0].attributes["encoding"])
    i64 = ir.IntegerType.get_signless(64)
    stacked.attributes[_STACKED] = ir.ArrayAttr.get([ir.StringAttr.get(key) for key in keys])
    stacked.attributes[_STACKED_DIM] = ir.IntegerAttr.get(i64, dim)
    return stacked.result


def again(op: Any, kind: Any) -> Any:
    """What the ``layout.weight`` ``op`` loads, as a tensor of type ``kind``."""
    copy = WeightOp(kind, op.attributes["key"], op.attributes["encoding"])
    for name in (_STACKED, _STACKED_DIM, _ROUNDED):
        if name in op.attributes:
            copy.attributes[name] = op.attributes[name]
    return copy.result


def round_to_half(op: Any) -> None:
    """The ``layout.weight`` ``op`` gives halves from now on, and the archive holds them."""
    kind = ir.RankedTensorType(op.results[0].type)
    half = ir.RankedTensorType.get(kind.shape, ir.F16Type.get(), kind.encoding)
    op.results[0].set_type(half)
    op.attributes[_ROUNDED] = ir.UnitAttr.get()


def is_stacked(op: Any) -> bool:
    """Whether the ``layout.weight`` ``op`` holds several weights."""
    return _STACKED in op.attributes


def archive_entry(op: Any) -> ArchiveEntry:
    """The entry that the ``layout.weight`` ``op`` loads."""
    key = ir.StringAttr(op.attributes["key"]).value
    keys, dim = (key,), 0
    if is_stacked(op):
        keys = tuple(ir.StringAttr(k).value for k in ir.ArrayAttr(op.attributes[_STACKED]))
        dim = ir.IntegerAttr(op.attributes[_STACKED_DIM]).value
    layout = repr_of(ir.RankedTensorType(op.results[0].type)).layout
    rounded = _ROUNDED in op.attributes
    name = f"{key}{':f16' if rounded else ''}{'' if layout.is_default else f'@{layout}'}"
    return ArchiveEntry(name, keys, dim, layout, rounded)


def entry_of(op: Any) -> str:
    """Name of the archive entry a ``layout.weight`` loads: its key, ``:f16`` where it is rounded,
    and its layout where that is not row-major.
    """
    return archive_entry(op).name


def archive_entries(module: Any) -> list[ArchiveEntry]:
    """All entries ``module`` loads, each once, in program order."""
    entries: dict[str, ArchiveEntry] = {}

    def visit(op: Any) -> Any:
        if isinstance(op.opview, WeightOp):
            entry = archive_entry(op)
            entries.setdefault(entry.name, entry)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return list(entries.values())
