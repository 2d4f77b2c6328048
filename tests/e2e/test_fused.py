"""What is fused into fewer kernels gives what eager gives."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Compile = Callable[..., Any]

TOKENS, WIDTH, REGIONS = 24, 32, 9


class Products(nn.Module):
    """Queries, keys and values of different widths, with biases and a function all have; beside
    them a product that is gated, and one without a bias.
    """

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(WIDTH, 16), nn.Linear(WIDTH, 16)
        self.value, self.out = nn.Linear(WIDTH, 40), nn.Linear(40, WIDTH)
        self.gate, self.plain = nn.Linear(WIDTH, 40), nn.Linear(WIDTH, 40, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (F.relu(f(x)) for f in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed + F.silu(self.gate(x)) * self.plain(x))


class Rows(nn.Module):
    """Norms written out: of rows before a product, and of what a product makes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.linear = nn.Parameter(torch.randn(WIDTH)), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        x = F.relu(self.linear(x)) + 0.1
        sharp = x**3
        x = sharp / sharp.norm(dim=-1, keepdim=True) * x.norm(dim=-1, keepdim=True)
        peak = x.amax(-1, keepdim=True)
        return (x - peak) / (peak + x.sum(-1, keepdim=True)) + x.mean(1, keepdim=True).sqrt()


class Routed(nn.Module):
    """The best regions of each, looked up in a table that is repeated for each of them."""

    def forward(self, x: Tensor) -> Tensor:
        table = x[:, : REGIONS * 2].unflatten(1, (REGIONS, 2))
        means = table.mean(2)
        best = (means @ means.transpose(1, 2)).topk(3, -1).indices
        repeated = table[..., 8:].unsqueeze(1).expand(-1, REGIONS, -1, -1, -1)
        index = best[..., None, None].expand(-1, -1, -1, 2, WIDTH - 8)
        return torch.gather(repeated, 2, index)


class Gated(nn.Module):
    """Squeeze and excitation: a channel's scale before a projection; functions of what others read,
    too, before a product.
    """

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(WIDTH, 4, 1), nn.Conv2d(4, WIDTH, 1)
        self.project, self.mix = nn.Conv2d(WIDTH, 24, 1), nn.Linear(WIDTH, 16, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        image = F.silu(x).transpose(1, 2).unflatten(2, (4, 6))
        scale = F.relu(self.squeeze(image.mean((2, 3), keepdim=True)))
        scaled = self.project(image * torch.sigmoid(self.excite(scale))) + 1
        rows = F.relu(x)
        return scaled, rows, self.mix(rows + 0.5), (rows * x[:, :1]) @ rows.transpose(1, 2)


class Grouped(nn.Module):
    """Grouped convolutions: with a residual sum, in steps, dilated, over rows, of two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.steps = nn.Conv2d(16, 24, 5, padding=2, groups=2, stride=2)
        self.wide = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=2, bias=False)
        self.rows = nn.Conv2d(16, 8, (3, 1), padding=(2, 0), groups=2)
        self.pairs = nn.Conv2d(16, 16, 3, groups=8)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        image = x.transpose(1, 2).unflatten(2, (4, 6))[:, :16]
        kept = F.relu(self.kept(image)) + image
        readers = (self.steps, self.wide, self.rows, self.pairs)
        return kept, *(F.silu(reader(kept)) for reader in readers)


class Shown(nn.Module):
    """Parts of a join, some with a border; a depthwise convolution whose result is renamed."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        image = x.transpose(1, 2).unflatten(2, (4, 6))
        near = self.near(image).permute(0, 2, 3, 1)
        first = F.gelu(near + image.permute(0, 2, 3, 1))
        joined = torch.cat((x, x.flip(1) * 2), 2).unflatten(2, (4, 16)).transpose(1, 2)
        left, right = joined.relu()[..., :8], F.pad(joined[..., 8:], (0, 1), value=1.0)
        return first, left.transpose(-2, -1) @ right


@pytest.mark.vulkan
@pytest.mark.parametrize("kind", [Products, Rows, Routed, Gated, Grouped, Shown])
@pytest.mark.parametrize("batch", [1, 2])
def test_fused_kernels(kind: type[nn.Module], batch: int, compile_and_load: Compile) -> None:
    torch.manual_seed(0)
    net, inputs = kind().eval(), (torch.randn(batch, TOKENS, WIDTH),)
    session = compile_and_load(net, inputs, target="llvmpipe")
    with torch.no_grad():
        eager = net(*inputs)
    theirs = eager if isinstance(eager, tuple) else (eager,)
    found = session(*inputs)
    ours = found if isinstance(found, tuple) else (found,)
    for mine, expected in zip(ours, theirs, strict=True):
        assert (mine - expected).norm() <= 1e-5 * expected.norm()
