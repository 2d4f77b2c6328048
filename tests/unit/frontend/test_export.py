"""The decomposition table: what has a family of its own is kept whole, the rest is PyTorch's."""

import pytest
import torch

from smartmem.errors import UserError
from smartmem.frontend import families
from smartmem.frontend.export import KEPT_WHOLE, decomposition_table, export
from smartmem.frontend.registry import HANDLERS

COMPOSITES = (
    "scaled_dot_product_attention",
    "layer_norm",
    "softmax",
    "roll",
    "linear",
    "matmul",
    "gelu",
    "silu",
    "hardswish",
    "group_norm",
    "constant_pad_nd",
    "pixel_shuffle",
    "adaptive_avg_pool2d",
)


def base_names() -> set[str]:
    return {op._schema.name.split("::")[1] for op in decomposition_table()}


@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_are_kept_whole(name: str) -> None:
    assert name not in base_names()


def test_kept_ops_can_be_imported() -> None:
    """Nothing is kept whole only to be refused, but what PyTorch itself breaks up or is named."""
    families.register_all()
    imported = {name.split(".")[0] for name in HANDLERS}
    assert KEPT_WHOLE - imported <= {"glu", "log_sigmoid"}


def test_the_rest_is_pytorchs() -> None:
    ours, theirs = decomposition_table(), torch.export.default_decompositions()
    dropped = {op._schema.name.split("::")[1] for op in theirs if op not in ours}
    assert dropped <= KEPT_WHOLE
    assert len(ours) > len(theirs) // 2


def test_examples_beyond_32_bits_are_refused() -> None:
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor, *, a: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
            return x + ids + a

    x, wide = torch.ones(2, 3), torch.tensor([[1, 2, 3], [4, 2**40, 5]])
    with pytest.raises(
        UserError, match=r"'ids': 1099511627776 at \[1, 1\] lies outside int32"
    ) as e:
        export(Net(), (x,), {"ids": wide, "a": x})
    assert "from -2147483648 to 2147483647" in str(e.value.hint)
    export(Net(), (x,), {"ids": wide.clamp(max=2**31 - 1), "a": x})
