"""Import of whole graphs: signature, trees, counts, and refusals with a table of all of them."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from unit.frontend.nets import imported, imported_net

from smartmem.dialects._mlir import ir
from smartmem.errors import UnsupportedError
from smartmem.frontend.export import export
from smartmem.passes.base import block_ops, functions


def test_signature() -> None:
    with imported_net() as program:
        assert program.module.operation.verify()
        main = next(functions(program.module))
        assert str(main.attributes["function_type"].value) == (
            "(tensor<1x3x6x4xf32>) -> tensor<1x5xf32>"
        )
        (given,), (made,) = program.inputs, program.outputs
    assert (given.name, given.shape, given.dtype, given.source_dtype) == (
        "x",
        (1, 3, 6, 4),
        "float32",
        "float32",
    )
    assert made.shape == (1, 5)
    assert program.output_tree == {
        "kind": "dict",
        "keys": ["logits"],
        "items": [{"kind": "tensor", "index": 0}],
    }


def test_composites_stay_whole() -> None:
    with imported_net() as program:
        names = [op.operation.name for op in block_ops(next(functions(program.module)))]
    for op in ("conv", "attention", "layer_norm"):
        assert names.count(f"layout.{op}") == 1
    assert "layout.softmax" not in names


class Moves(nn.Module):
    """Six calls, four of which only move elements; the reshaped weight is a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 6))

    def forward(self, x: Tensor) -> Tensor:
        moved = x.reshape(2, 24)[:, 2:14]
        return torch.cat([(moved @ self.weight.reshape(12, 4)).relu(), moved], 1).permute(1, 0)


class Masked(nn.Module):
    """Attention under a mask that is a constant."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x, self.mask)


_PAST = torch.ones(6, 6, dtype=torch.bool).tril()
_LOWEST = torch.finfo(torch.float32).min


@pytest.mark.parametrize(
    ("mask", "operands", "causal"),
    [
        (torch.ones(1, 1, 1, 6, dtype=torch.bool), 3, False),
        (torch.zeros(6, 6), 3, False),
        (_PAST, 3, True),
        (torch.zeros(1, 1, 6, 6).masked_fill(~_PAST, _LOWEST), 3, True),
        (torch.zeros(6, 6).masked_fill(~_PAST, -torch.inf), 3, True),
        (_PAST.T, 4, False),
        (torch.ones(6, 6), 4, False),
        (torch.zeros(6, 6).masked_fill(~_PAST, -1e4), 4, False),
    ],
)
def test_masks_that_say_little_go(mask: Tensor, operands: int, causal: bool) -> None:
    with imported(Masked(mask), torch.randn(1, 2, 6, 4)) as program:
        ops = block_ops(next(functions(program.module)))
        (attention,) = (op for op in ops if op.operation.name == "layout.attention")
        assert len(attention.operation.operands) == operands
        assert ir.BoolAttr(attention.attributes["causal"]).value == causal


def test_counts() -> None:
    with imported(Moves(), torch.randn(2, 4, 6)) as program:
        assert program.graph_ops == 6
        assert program.layout_ops == 4


def test_dead_code_is_not_imported() -> None:
    class Dead(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x.exp().log2()
            return x.relu()

    with imported(Dead(), torch.zeros(3)) as program:
        assert len(block_ops(next(functions(program.module)))) == 2
        assert program.graph_ops == 1


def test_int64_is_narrowed() -> None:
    class Lookup(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 4)

        def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
            return self.table(ids), ids + 1

    with imported(Lookup(), torch.zeros(1, 3, dtype=torch.int64)) as program:
        assert [(s.dtype, s.source_dtype) for s in (*program.inputs, *program.outputs)] == [
            ("int32", "int64"),
            ("float32", "float32"),
            ("int32", "int64"),
        ]


def test_all_unsupported_calls_are_in_one_table() -> None:
    class Unsupported(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            first = torch.special.bessel_j0(x @ x.T)
            return torch.special.airy_ai(first.relu())

    with pytest.raises(UnsupportedError) as caught, imported(Unsupported(), torch.eye(3)):
        pass
    rows = caught.value.rows
    assert [row.op for row in rows] == [
        "aten.special_bessel_j0.default",
        "aten.special_airy_ai.default",
    ]
    assert all("unit/frontend/test_importer.py:" in row.location for row in rows)
    assert all(row.reason and row.remedy for row in rows)
    assert all(row.op in str(caught.value) for row in rows)


def test_state_that_changes_is_refused() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            self.count.add_(1)
            return x + self.count

    with pytest.raises(UnsupportedError) as caught, imported(Counter(), torch.zeros(3)):
        pass
    (row,) = caught.value.rows
    assert (row.op, row.reason) == ("aten.add.Tensor", "it writes to the buffer 'count'")
    assert "unit/frontend/test_importer.py:" in row.location
    assert "pass it in at the next call" in row.remedy


def test_unsupported_element_types_are_refused() -> None:
    with (
        pytest.raises(UnsupportedError) as caught,
        imported(nn.ReLU(), torch.zeros(3, dtype=torch.float64)),
    ):
        pass
    (row,) = caught.value.rows
    assert (row.op, row.location) == ("input", "'input'")
    assert row.reason == "element type float64 is not supported"
    assert row.remedy.startswith("cast to one of float32")


def test_dynamic_shapes_are_refused() -> None:
    exported = torch.export.export(
        nn.ReLU().eval(), (torch.zeros(4, 3),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    from smartmem.dialects import layout
    from smartmem.frontend.importer import import_program

    with (
        layout.context(),
        pytest.raises(UnsupportedError, match="dimension 0 of input 'input' is dynamic"),
    ):
        import_program(export(exported, ()))
