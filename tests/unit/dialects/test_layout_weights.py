"""Names of the archive's entries: one per tensor and layout."""

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.dialects.layout.attributes import with_repr
from smartmem.dialects.layout.weights import ArchiveEntry, archive_entries, entry_of
from smartmem.dialects.layouts import Layout, Repr

LAST = Layout((1, 0))
PACKED = Layout((0, 1), packed=((1, 4),))


def test_entries_are_keyed_by_tensor_and_layout() -> None:
    with layout.context():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            values = [build.weight(key, (8, 6), ir.F32Type.get()) for key in "baab"]
        for value, held in zip(values, [None, LAST, LAST, PACKED], strict=True):
            if held is not None:
                value.set_type(with_repr(value.type, Repr(held, "buffer")))
        names = [entry_of(value.owner.opview) for value in values]
        assert names == ["b", "a@[1, 0]", "a@[1, 0]", "b@[0, 1] pack(1:4)"]
        assert archive_entries(module) == [
            ArchiveEntry("b", "b", Layout.row_major(2)),
            ArchiveEntry("a@[1, 0]", "a", LAST),
            ArchiveEntry("b@[0, 1] pack(1:4)", "b", PACKED),
        ]


def test_a_module_without_weights_has_no_entries() -> None:
    with layout.context():
        assert archive_entries(ir.Module.create()) == []
