"""Names of the archive's entries: one per tensor and layout."""

import numpy as np

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.archive import ArchiveEntry
from smartmem.dialects.layout import build
from smartmem.dialects.layout.attributes import with_repr
from smartmem.dialects.layout.weights import (
    again,
    archive_entries,
    entry_of,
    round_to_half,
    stack,
)
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
            ArchiveEntry("b", ("b",), 0, Layout.row_major(2)),
            ArchiveEntry("a@[1, 0]", ("a",), 0, LAST),
            ArchiveEntry("b@[0, 1] pack(1:4)", ("b",), 0, PACKED),
        ]


def test_a_module_without_weights_has_no_entries() -> None:
    with layout.context():
        assert archive_entries(ir.Module.create()) == []


def test_stacked_weights_are_one_entry_in_any_layout() -> None:
    weights = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(12.0).reshape(4, 3)}
    with layout.context():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            parts = [build.weight(key, weights[key].shape, ir.F64Type.get()) for key in "ab"]
            stacked = stack([part.owner.opview for part in parts], 0)
            again(stacked.owner.opview, with_repr(stacked.type, Repr(LAST, "buffer")))
        for part in parts:
            part.owner.erase()
        plain, packed = archive_entries(module)
    assert (plain.name, plain.keys, packed.name) == ("a+b", ("a", "b"), "a+b@[1, 0]")
    assert plain.size_bytes(weights) == 18 * 8
    np.testing.assert_array_equal(plain.held(weights), np.concatenate([*weights.values()]))
    np.testing.assert_array_equal(packed.layout.pack(packed.held(weights)), plain.held(weights).T)


def test_a_rounded_weight_is_an_entry_of_its_own() -> None:
    weights = {"a": np.array([[1.0, 1 / 3], [65504.0, 1e-9]], np.float32)}
    with layout.context():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            build.weight("a", (2, 2), ir.F32Type.get())
            rounded = build.weight("a", (2, 2), ir.F32Type.get())
            round_to_half(rounded.owner.opview)
            held = ir.RankedTensorType.get([2, 2], ir.F16Type.get())
            assert rounded.type == held
            again(rounded.owner.opview, with_repr(held, Repr(LAST, "buffer")))
        plain, half, turned = archive_entries(module)
    assert [plain.name, half.name, turned.name] == ["a", "a:f16", "a:f16@[1, 0]"]
    assert (plain.size_bytes(weights), half.size_bytes(weights)) == (16, 8)
    assert plain.held(weights).dtype == np.float32
    np.testing.assert_array_equal(half.held(weights), weights["a"].astype(np.float16))
