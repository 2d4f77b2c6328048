"""The stock baseline: a transformer and a conv net compile and count; what IREE lacks is named."""

from typing import Any

import pytest
import torch
from torch import nn

from smartmem.benchmarks.stock import decomposed_attention, stock_stream_ir
from smartmem.errors import UnsupportedError
from smartmem.passes.iree.count import count

# Each compiles with stock IREE, torch importer included: too long for test-fast.
pytestmark = pytest.mark.slow

VULKAN = ("--iree-hal-target-device=vulkan", "--iree-vulkan-target=vp_android_baseline_2022")


class Block(nn.Module):
    """Attention with two heads and a feed-forward layer."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norms[0](x)).reshape(batch, tokens, 3, 2, width // 2)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        heads = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(heads.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.norms[1](x))


class SingularValues(nn.Module):
    """Uses an op that IREE's torch front end lacks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(x)


def test_transformer() -> None:
    model = nn.Sequential(nn.Embedding(50, 16), Block(), Block())
    text = stock_stream_ir(model, (torch.arange(7)[None],), VULKAN)
    counts = count(text)
    assert counts.unknown == ()
    softmaxes = [work for work in counts.table if work.computed_by == "linalg.softmax"]
    embeddings = [work for work in counts.table if work.kind == "layout"]
    assert len(softmaxes) == 2, "attention is decomposed"
    assert embeddings[0].read_bytes < 50 * 16 * 4, "a lookup reads rows, not the table"
    assert any(__file__ in (work.location or "") for work in counts.table)
    assert len(text) < 1_000_000, "weight data is elided"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": torch.tensor([[True, False, True], [True, True, True]])},
        {"attn_mask": torch.tensor([[0.0, -1.0, 2.0], [0.5, 0.0, 0.0]])},
        {"enable_gqa": True},
    ],
    ids=lambda options: next(iter(options), "plain"),
)
def test_attention_decomposition_is_exact(options: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    heads = 2 if "enable_gqa" in options else 4
    query = torch.randn(1, 4, 2, 8, generator=generator)
    key, value = (torch.randn(1, heads, 3, 8, generator=generator) for _ in range(2))
    expected = nn.functional.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(decomposed_attention(query, key, value, **options), expected)


def test_conv_net() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(2), nn.Flatten()
    )
    counts = count(stock_stream_ir(model, (torch.randn(1, 3, 6, 10),), VULKAN))
    assert counts.unknown == ()
    assert {work.kind for work in counts.table} >= {"compute", "fill"}
    pool = [work for work in counts.table if work.computed_by == "arith.maximumf"]
    assert len(pool) == 1


def test_an_op_iree_lacks_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"aten\.linalg_svdvals") as caught:
        stock_stream_ir(SingularValues(), (torch.randn(3, 3),), VULKAN)
    assert [row.op for row in caught.value.rows] == ["aten.linalg_svdvals"]
