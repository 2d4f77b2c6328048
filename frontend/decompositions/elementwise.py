"""Common divisors of integers: Euclid's algorithm, written out for 32 bits."""

import torch
from torch import Tensor

from smartmem.frontend.decompositions.registry import decomposes

# Two numbers below 2**31 need the most steps where they follow each other in Fibonacci's sequence.
_STEPS = 45


@decomposes("gcd.default")
def gcd(left: Tensor, right: Tensor) -> Tensor:
    """The greatest number that divides both; 0 of two zeros."""
    dtype = torch.promote_types(left.dtype, right.dtype)
    a, b = torch.broadcast_tensors(left.to(dtype).abs(), right.to(dtype).abs())
    for _ in range(_STEPS):
        done = b == 0
        a, b = torch.where(done, a, b), torch.where(done, b, a % torch.where(done, 1, b))
    return a


@decomposes("lcm.default")
def lcm(left: Tensor, right: Tensor) -> Tensor:
    """The least number that both divide; 0 where one of them is 0."""
    divisor = gcd(left, right)
    return (left // torch.where(divisor == 0, 1, divisor) * right).abs()
