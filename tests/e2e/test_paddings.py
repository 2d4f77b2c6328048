"""Lengths that are stored longer change no result."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Compile = Callable[..., Any]

TOKENS, STEPS, WIDTH, HEADS = 69, 77, 32, 2


def heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class Attends(nn.Module):
    """Attention from x to y, and a feed-forward layer, with their norms and residuals."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.query, self.pair = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2 * WIDTH)
        self.out, self.wide = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        key, value = self.pair(self.norms[1](y)).chunk(2, -1)
        query = self.query(self.norms[0](x))
        mixed = F.scaled_dot_product_attention(
            *(heads(t) for t in (query, key, value)), attn_mask=mask, is_causal=causal
        )
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norms[2](x))))


class Net(nn.Module):
    """A class token before the tokens; self-attention, plain, causal and masked; then attention to
    a sequence of another length.
    """

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, TOKENS, WIDTH))
        self.blocks = nn.ModuleList(Attends() for _ in range(4))

    def forward(self, x: Tensor, y: Tensor, keep: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        plain, causal, masked, across = self.blocks
        x = torch.cat([self.start.expand(len(x), -1, -1), x], 1) + self.places
        x = plain(x, x, bias)
        x = causal(x, x, None, causal=True)
        x = masked(x, x, keep[:, None, None, :])
        x = across(x, y, None)
        return x[:, 0], x.mean(1), x


@pytest.mark.vulkan
def test_padded_attention_gives_what_eager_gives(compile_and_load: Compile) -> None:
    torch.manual_seed(0)
    net = Net().eval()
    inputs = (
        torch.randn(2, TOKENS - 1, WIDTH),
        torch.randn(2, STEPS, WIDTH),
        torch.rand(2, TOKENS) > 0.3,
        torch.randn(HEADS, TOKENS, TOKENS),
    )
    session = compile_and_load(net, inputs, target="llvmpipe")
    with torch.no_grad():
        eager = net(*inputs)
    for ours, theirs in zip(session(*inputs), eager, strict=True):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()
