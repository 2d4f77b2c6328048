"""Interpolation: one spatial dim after the other, which all modes allow.

Each output position along a dim is a weighted sum of a few input positions, all known at compile
time. Nearest neighbours are views where the sizes divide; else positions are looked up. With
antialias, a sum may take in any number of positions: that is a product with a banded matrix.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smartmem.frontend.decompositions.registry import decomposes

# Along one dim: the tensor, the dim, its new size, input positions per output position, and whether
# the corners of both sides lie on one another.
_Along = Callable[[Tensor, int, int, float, bool], Tensor]


def _resampled(
    x: Tensor,
    along: _Along,
    output_size: Sequence[int] | None,
    factors: Sequence[float | None] | None,
    aligned: bool,
) -> Tensor:
    """``x`` [N, C, *spatial], the dims that shrink most first."""
    own = x.shape[2:]
    given = factors or [None] * len(own)
    wanted = output_size or [int(n * (f or 1)) for n, f in zip(own, given, strict=True)]
    for i in sorted(range(len(own)), key=lambda i: wanted[i] / own[i]):
        step = _step(own[i], wanted[i], given[i], aligned)
        if (wanted[i], step) != (own[i], 1):
            x = along(x, 2 + i, wanted[i], step, aligned)
    return x


def _step(own: int, wanted: int, factor: float | None, aligned: bool) -> float:
    """Input positions from one output position to the next, in f32 as in eager."""
    if aligned:
        return float(np.float32(own - 1) / np.float32(wanted - 1)) if wanted > 1 else 0.0
    return float(np.float32(1 / factor) if factor else np.float32(own) / np.float32(wanted))


def _positions(like: Tensor, count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float32, device=like.device)


def _by_centre(x: Tensor, count: int, step: float, aligned: bool) -> Tensor:
    """Where each output position lies among the input positions."""
    positions = _positions(x, count)
    return positions * step if aligned else (positions + 0.5) * step - 0.5


def _weighted(x: Tensor, dim: int, taps: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Sum of the elements at each tap's positions, times its weights."""
    total: Tensor | None = None
    for positions, weights in taps:
        limited = positions.long().clamp(0, x.shape[dim] - 1)
        spread = weights.to(x.dtype)[(..., *[None] * (x.dim() - 1 - dim))]
        part = x.index_select(dim, limited) * spread
        total = part if total is None else total + part
    assert total is not None
    return total


# -------------------------------------------------------------------------------------------- modes


def _nearest(shift: float) -> _Along:
    def along(x: Tensor, dim: int, count: int, step: float, aligned: bool) -> Tensor:
        own = x.shape[dim]
        every = np.arange(count)
        read = np.floor((every + np.float32(shift)).astype(np.float32) * np.float32(step))
        read = read.clip(max=own - 1)
        if count % own == 0 and (read == every // (count // own)).all():
            shape = [*x.shape[: dim + 1], count // own, *x.shape[dim + 1 :]]
            return x.unsqueeze(dim + 1).expand(shape).flatten(dim, dim + 1)
        apart = int(read[1] - read[0]) if count > 1 else 1
        if apart > 0 and (read == read[0] + every * apart).all():
            return torch.ops.aten.slice(x, dim, int(read[0]), int(read[-1]) + 1, apart)
        positions = ((_positions(x, count) + shift) * step).floor()
        return x.index_select(dim, positions.long().clamp(max=own - 1))

    return along


def _linear(x: Tensor, dim: int, count: int, step: float, aligned: bool) -> Tensor:
    place = _by_centre(x, count, step, aligned).clamp(min=0)
    low = place.floor()
    share = place - low
    return _weighted(x, dim, [(low, 1 - share), (low + 1, share)])


def _cubic_near(distance: Tensor, a: float) -> Tensor:
    """Keys' kernel up to a distance of 1."""
    return ((a + 2) * distance - (a + 3)) * distance * distance + 1


def _cubic_far(distance: Tensor, a: float) -> Tensor:
    """Keys' kernel from a distance of 1 to 2."""
    return ((distance - 5) * distance + 8) * distance * a - 4 * a


def _cubic(x: Tensor, dim: int, count: int, step: float, aligned: bool) -> Tensor:
    place = _by_centre(x, count, step, aligned)
    low = place.floor()
    return _weighted(
        x,
        dim,
        [(low + i, w) for i, w in zip((-1, 0, 1, 2), cubic_weights(place - low), strict=True)],
    )


def cubic_weights(share: Tensor) -> list[Tensor]:
    """Weights of the four positions around one that lies ``share`` after the second of them."""
    a = -0.75
    return [
        _cubic_far(share + 1, a),
        _cubic_near(share, a),
        _cubic_near(1 - share, a),
        _cubic_far(2 - share, a),
    ]


def _triangle(distance: Tensor) -> Tensor:
    return (1 - distance).clamp(min=0)


def _wide_cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with the constant that antialiasing uses."""
    far = torch.where(distance < 2, _cubic_far(distance, -0.5), 0.0)
    return torch.where(distance < 1, _cubic_near(distance, -0.5), far)


def _antialiased(kernel: Callable[[Tensor], Tensor], reach: int) -> _Along:
    """Every output position sums the input under ``kernel``, widened where the input is finer."""

    def along(x: Tensor, dim: int, count: int, step: float, aligned: bool) -> Tensor:
        own, widen = x.shape[dim], max(step, 1.0)
        centre = (_positions(x, count) + 0.5)[:, None] * step
        first = (centre - reach * widen + 0.5).long().clamp(min=0)
        last = (centre + reach * widen + 0.5).long().clamp(max=own)
        places = _positions(x, own)
        weights = kernel(((places + 0.5 - centre) / widen).abs())
        weights = torch.where((places >= first) & (places < last), weights, 0.0)
        weights = (weights / weights.sum(1, keepdim=True)).to(x.dtype)
        return (x.transpose(dim, -1) @ weights.T).transpose(dim, -1)

    return along


# ---------------------------------------------------------------------------------------------- ops


def _register_nearest(name: str, shift: float) -> None:
    along = _nearest(shift)

    @decomposes(f"{name}.vec")
    def by_factors(x: Tensor, output_size: Any, factors: Any) -> Tensor:
        return _resampled(x, along, output_size, factors, False)

    @decomposes(f"{name}.default")
    def by_size(x: Tensor, output_size: Any, *factors: float | None) -> Tensor:
        return _resampled(x, along, output_size, factors, False)


def _register_weighted(name: str, along: _Along) -> None:
    @decomposes(f"{name}.vec")
    def by_factors(x: Tensor, output_size: Any, aligned: bool, factors: Any) -> Any:
        if not x.is_floating_point():
            return NotImplemented
        return _resampled(x, along, output_size, factors, aligned)

    @decomposes(f"{name}.default")
    def by_size(x: Tensor, output_size: Any, aligned: bool, *factors: float | None) -> Any:
        if not x.is_floating_point():
            return NotImplemented
        return _resampled(x, along, output_size, factors, aligned)


for _spatial in (1, 2, 3):
    _register_nearest(f"upsample_nearest{_spatial}d", 0.0)
    _register_nearest(f"_upsample_nearest_exact{_spatial}d", 0.5)
for _name in ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"):
    _register_weighted(_name, _linear)
_register_weighted("upsample_bicubic2d", _cubic)
_register_weighted("_upsample_bilinear2d_aa", _antialiased(_triangle, 1))
_register_weighted("_upsample_bicubic2d_aa", _antialiased(_wide_cubic, 2))
