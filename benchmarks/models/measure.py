"""Parameters and multiply-accumulates of a model, counted without its data.

MACs are those of matrix products, convolutions and attention, as the papers count them.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from smartmem.benchmarks.models.registry import Inputs, Model, Size


@dataclass(frozen=True)
class Counts:
    """Parameters in millions and GMACs, as the papers print them."""

    parameters: float
    gmacs: float


def parameters(model: nn.Module) -> int:
    """How many parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, inputs: Inputs) -> int:
    """Multiply-accumulates of one run, counted on fake tensors.

    Not on plain meta tensors: of these, models try to check the values.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    counter = FlopCounterMode(display=False)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    state = {name: fake.from_tensor(tensor.detach().to("meta")) for name, tensor in tensors.items()}
    arguments = tuple(fake.from_tensor(tensor.to("meta")) for tensor in inputs)
    with fake, torch.device("meta"), torch.no_grad(), counter:
        functional_call(model, state, arguments)
    return counter.get_total_flops() // 2


def counts(model: Model, size: Size = "full") -> Counts:
    """What ``model`` counts at ``size``; needs no memory for its weights."""
    with torch.device("meta"):
        built, inputs = model.build(size)
    return Counts(parameters(built) / 1e6, macs(built, inputs) / 1e9)
