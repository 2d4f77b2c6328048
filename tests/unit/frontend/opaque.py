"""An op that no import rule takes, now or later: what makes an eager island in tests."""

import torch
from torch import Tensor


@torch.library.custom_op("smartmem_tests::opaque", mutates_args=())
def opaque(x: Tensor) -> Tensor:
    """Half of x."""
    return x * 0.5


@opaque.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


NAME = "smartmem_tests.opaque.default"
