"""The table of what cannot be compiled says what to write instead, by kind of op."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from unit.frontend.nets import imported

from smartmem.errors import UnsupportedError
from smartmem.frontend.remedies import remedy_of

# Base name of the op, and a part of what to do.
REMEDIES = {
    "view_as_complex": "x * cos + rotate_half(x) * sin",
    "_fft_r2c": "in eager",
    "_linalg_svd": "in eager",
    "_linalg_det": "in eager",
    "masked_select": "torch.where",
    "nonzero": "torch.topk",
    "_unique2": "its shape depends on values",
    "bincount": "its shape depends on values",
    "rand_like": "draw the numbers outside",
    "multinomial": "draw the numbers outside",
    "upsample_bilinear2d": "x.float()",
    "special_airy_ai": "docs/add-an-op.md",
    "mul": "from -2**31 to 2**31 - 1",
    "where": "torch.iinfo(torch.int32).max",
}


class Unsupported(nn.Module):
    """A call of each of these ops."""

    def forward(self, x: Tensor, image: Tensor, ids: Tensor) -> list[Any]:
        return [
            torch.view_as_real(torch.view_as_complex(x.reshape(3, -1, 2)) * 2),
            torch.fft.rfft(x).abs(),
            torch.linalg.svd(x).U,
            torch.det(x[:, :3]),
            x.masked_select(x > 0),
            x.nonzero(),
            ids.unique(),
            torch.bincount(ids),
            torch.rand_like(x),
            torch.multinomial(x, 1),
            F.interpolate(image, scale_factor=2, mode="bilinear"),
            torch.special.airy_ai(x),
            ids * 2654435761,
            ids.masked_fill(ids > 0, torch.iinfo(torch.int64).max),
        ]


def test_rows_say_what_to_do() -> None:
    image = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    inputs = (torch.ones(3, 4), image, torch.arange(3))
    with pytest.raises(UnsupportedError) as caught, imported(Unsupported(), *inputs):
        pass
    rows = {row.op.split(".")[1]: row for row in caught.value.rows}
    assert {op: text in rows[op].remedy for op, text in REMEDIES.items()} == dict.fromkeys(
        REMEDIES, True
    )


def test_a_branch_of_the_graph_is_chosen_by_values() -> None:
    assert "torch.where" in remedy_of("cond")


def test_an_op_of_another_namespace_has_the_general_remedy() -> None:
    assert remedy_of("mine.rand.default").startswith("rewrite it with supported ops")
