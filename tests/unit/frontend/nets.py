"""A small model with one of everything that the frontend's tests look at, and how to import it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from smartmem.dialects import layout
from smartmem.frontend.export import export
from smartmem.frontend.importer import import_program
from smartmem.frontend.program import Program


class Block(nn.Module):
    """Attention over tokens that are rolled, cut into windows, and put back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.register_buffer("scale", torch.full((width,), 0.5), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, H, W, C]."""
        rolled = torch.roll(self.norm(x), (-1, -1), (1, 2))
        n, h, w, c = rolled.shape
        tokens = rolled.view(n, h * w, c)
        q, k, v = self.qkv(tokens).chunk(3, -1)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return x + torch.roll((mixed * self.scale).view(n, h, w, c), (1, 1), (1, 2))


class Net(nn.Module):
    """Stem, block, head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.norm = nn.BatchNorm2d(24)
        self.block = Block(24)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x: [N, 3, H, W]."""
        image = nn.functional.gelu(self.norm(self.stem(x)))
        image = self.block(image.permute(0, 2, 3, 1))
        positions = torch.arange(5).to(torch.float32) * 2
        return {"logits": self.head(image.mean((1, 2))) + positions}


def net() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The model with seeded weights, and its inputs."""
    torch.manual_seed(0)
    return Net().eval(), (torch.randn(1, 3, 6, 4),)


@contextmanager
def imported(module: nn.Module, *inputs: Any) -> Iterator[Program]:
    """``module`` in the layout dialect, in a context of its own."""
    exported = export(module.eval(), inputs)
    with layout.context():
        yield import_program(exported)


@cache
def _exported_net() -> ExportedProgram:
    return export(*net())


@contextmanager
def imported_net() -> Iterator[Program]:
    """``net`` in the layout dialect; exported once per process, which takes most of the time."""
    with layout.context():
        yield import_program(_exported_net())
