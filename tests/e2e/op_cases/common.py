"""The ops under test: families of small expressions, each family compiled as one model.

A case is a label and a function of the family's namespace: ``t.x`` and so on are run-time inputs,
``t.w`` and so on are constants of the model. Shapes are odd on purpose: channels of 1, 3, 5, 24, 40
and 144 (the last three are not multiples of a subgroup, which IREE's Vulkan kernels stumble over),
height unlike width, batches of 1 and 2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

Case = Callable[[Any], Any]
aten = torch.ops.aten
inf, nan = float("inf"), float("nan")
_generator = torch.Generator().manual_seed(20240607)


@dataclass(frozen=True)
class Family:
    """``tolerance`` is a relative L2 distance per output from eager in f32; integers are exact.

    ``vulkan``: whether the family runs on Vulkan too, or the labels of those cases that do (of
    many elementwise ones: the same code is generated for all that are alike).
    """

    inputs: Mapping[str, Tensor]
    cases: Mapping[str, Case]
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    vulkan: bool | frozenset[str] = False
    tolerance: float = 1e-5
    # Of these types, where eager in f32 is the reference.
    half: torch.dtype | None = None

    def on(self, target: str) -> "Family":
        """What of the family runs on ``target``; KeyError where ``vulkan`` names no case."""
        if target == "cpu" or isinstance(self.vulkan, bool):
            return self
        return replace(self, cases={label: self.cases[label] for label in sorted(self.vulkan)})

    def sampled(self) -> "Family":
        """Every second case of a long family: neighbours in a list are alike."""
        return replace(
            self, cases=dict(list(self.cases.items())[:: 2 if len(self.cases) > 24 else 1])
        )


class FamilyModel(torch.nn.Module):
    """All cases of a family as one model: a dict of their results by label."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self._names = list(family.inputs)
        self._cases = family.cases
        self._constants = list(family.constants)
        for name, value in family.constants.items():
            self.register_buffer(name, value.clone())

    def forward(self, *inputs: Tensor) -> dict[str, Any]:
        given = dict(zip(self._names, inputs, strict=True))
        held = {name: getattr(self, name) for name in self._constants}
        space = SimpleNamespace(**given, **held)
        return {label: case(space) for label, case in self._cases.items()}


def rand(*shape: int, scale: float = 1.0) -> Tensor:
    """Normal numbers, the same in every run."""
    return torch.randn(shape, generator=_generator) * scale


def ints(*shape: int, low: int = -9, high: int = 10) -> Tensor:
    """int64 in [low, high)."""
    return torch.randint(low, high, shape, generator=_generator)


def bools(*shape: int, share: float = 0.5) -> Tensor:
    """True with the probability ``share``."""
    return torch.rand(shape, generator=_generator) < share


def nonzero(*shape: int) -> Tensor:
    """int64 of both signs without 0."""
    value = ints(*shape, low=1, high=6)
    return torch.where(bools(*shape), value, -value)
