"""What is computed at compile time, what is left in the graph, and how constants are kept."""

import numpy as np
import torch
from torch import Tensor, nn
from unit.frontend.nets import imported

from smartmem.passes.base import block_ops, functions


def look(module: nn.Module, *inputs: Tensor) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the ops of the imported module, its return left out, and its weights."""
    with imported(module, *inputs) as program:
        names = [op.operation.name for op in block_ops(next(functions(program.module)))]
        return [name.removeprefix("layout.") for name in names[:-1]], program.weights


class PositionIds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(64, 8))

    def forward(self, x: Tensor) -> Tensor:
        positions = torch.arange(32).unsqueeze(0) + 1
        return x + self.table[positions]


def test_what_depends_on_no_input_is_folded() -> None:
    ops, weights = look(PositionIds(), torch.randn(1, 32, 8))
    assert ops == ["weight", "elementwise"]
    (name, value), *rest = weights.items()
    assert not rest
    assert name.startswith("constant.")
    assert value.shape == (1, 32, 8)


def test_a_broadcast_is_not_folded() -> None:
    """It would only make the archive larger."""

    class Broadcast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.randn(1, 1, 24))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.token.expand(4, 1, 24), x], 1)

    ops, weights = look(Broadcast(), torch.randn(4, 3, 24))
    assert ops == ["weight", "view", "concat"]
    assert weights["token"].shape == (1, 1, 24)


def test_random_numbers_are_not_folded() -> None:
    from smartmem.frontend.constants import fold

    class Noise(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.rand(3)

    exported = torch.export.export(Noise(), (torch.zeros(3),))
    drawn = [n for n in exported.graph.nodes if "rand" in str(n.target)]
    assert drawn
    assert not set(drawn) & set(fold(exported.graph, {}))


def test_small_constants_stand_in_the_ir() -> None:
    class Scale(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.arange(size, dtype=torch.float32))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    assert look(Scale(16), torch.zeros(2, 16))[0] == ["arith.constant", "elementwise"]
    assert look(Scale(17), torch.zeros(2, 17))[0] == ["weight", "elementwise"]


def test_equal_content_is_kept_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(8, 8, bias=False)
            self.second = nn.Linear(8, 8, bias=False)
            self.second.weight.data.copy_(self.first.weight.data)
            self.third = nn.Linear(8, 8, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.third(self.second(self.first(x)))

    _, kept = look(Tied(), torch.zeros(2, 8))
    assert sorted(kept) == ["first.weight", "third.weight"]


def test_equal_bytes_of_another_shape_are_not_the_same() -> None:
    class Zeros(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.arange(32.0).reshape(4, 8))
            self.b = nn.Parameter(torch.arange(32.0).reshape(8, 4))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.a @ self.b

    _, kept = look(Zeros(), torch.zeros(2, 4))
    assert {name: value.shape for name, value in kept.items()} == {"a": (4, 8), "b": (8, 4)}


def test_booleans_are_kept_as_bytes() -> None:
    class Mask(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("keep", torch.arange(32) % 3 == 0)

        def forward(self, x: Tensor) -> Tensor:
            return torch.where(self.keep, x, 0.0)

    _, kept = look(Mask(), torch.zeros(2, 32))
    assert kept["keep"].dtype == np.int8
    assert kept["keep"].sum() == 11
