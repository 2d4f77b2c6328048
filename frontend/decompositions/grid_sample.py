"""grid_sample: positions that are only known at run time.

The image is laid out as a table with a row of all channels per pixel, so that a position is worked
out once, and each neighbour of it is one row.
"""

from collections.abc import Sequence
from itertools import product
from math import prod

import torch
from torch import Tensor

from smartmem.frontend.decompositions.registry import decomposes
from smartmem.frontend.decompositions.resample import cubic_weights

_BILINEAR, _NEAREST, _BICUBIC = 0, 1, 2
_ZEROS, _BORDER, _REFLECTION = 0, 1, 2


@decomposes("grid_sampler_2d.default", "grid_sampler_3d.default")
def grid_sampler(
    x: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """x [N, C, *spatial] at grid [N, *out, spatial], whose last dim names the innermost first."""
    sizes = list(x.shape[2:])
    places = [
        _in_pixels(place.float(), size, align_corners)
        for place, size in zip(reversed(grid.unbind(-1)), sizes, strict=True)
    ]
    if interpolation_mode != _BICUBIC:
        places = [
            _kept_inside(p, n, padding_mode, align_corners)
            for p, n in zip(places, sizes, strict=True)
        ]
    taps = [_TAPS[interpolation_mode](place) for place in places]
    if interpolation_mode == _BICUBIC:
        taps = [
            [(_kept_inside(p, n, padding_mode, align_corners), w) for p, w in of_dim]
            for of_dim, n in zip(taps, sizes, strict=True)
        ]
    table = x.movedim(1, -1).flatten(0, -2)
    total: Tensor | None = None
    for corner in product(*taps):
        weight = prod([w for _, w in corner[1:]], start=corner[0][1])
        part = _looked_up(table, [p for p, _ in corner], sizes, weight)
        total = part if total is None else total + part
    assert total is not None
    return total.movedim(-1, 1)


def _in_pixels(place: Tensor, size: int, aligned: bool) -> Tensor:
    """-1 to 1 spans the centres of the outer pixels, or their outer edges."""
    if aligned:
        return (place + 1) * ((size - 1) / 2)
    return ((place + 1) * size - 1) / 2


def _kept_inside(place: Tensor, size: int, padding: int, aligned: bool) -> Tensor:
    if padding == _ZEROS:
        return place
    if padding == _REFLECTION:
        place = _reflected(place, 0.0 if aligned else -0.5, size - 1.0 if aligned else size - 0.5)
    return place.clamp(0, size - 1)


def _reflected(place: Tensor, low: float, high: float) -> Tensor:
    """``place`` between two mirrors."""
    span = high - low
    if span == 0:
        return torch.zeros_like(place)
    far = (place - low).abs()
    turns = (far / span).floor()
    rest = far - turns * span
    return low + torch.where(torch.remainder(turns, 2) == 0, rest, span - rest)


def _looked_up(
    table: Tensor, places: Sequence[Tensor], sizes: Sequence[int], weight: Tensor
) -> Tensor:
    """Rows at whole ``places`` [N, *out] times ``weight``; nothing outside the image."""
    batch = torch.arange(places[0].shape[0], device=table.device)
    row = batch[(..., *[None] * (places[0].dim() - 1))]
    for place, size in zip(places, sizes, strict=True):
        weight = torch.where((place >= 0) & (place < size), weight, 0.0)
        row = row * size + place.clamp(0, size - 1).long()
    return torch.embedding(table, row) * weight.to(table.dtype).unsqueeze(-1)


# ------------------------------------------- per dim: the neighbours of a position, with weights


def _bilinear_taps(place: Tensor) -> list[tuple[Tensor, Tensor]]:
    low = place.floor()
    return [(low, low + 1 - place), (low + 1, place - low)]


def _nearest_taps(place: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(place.round(), torch.ones_like(place))]


def _bicubic_taps(place: Tensor) -> list[tuple[Tensor, Tensor]]:
    low = place.floor()
    weights = cubic_weights(place - low)
    return [(low + i, w) for i, w in zip((-1, 0, 1, 2), weights, strict=True)]


_TAPS = {_BILINEAR: _bilinear_taps, _NEAREST: _nearest_taps, _BICUBIC: _bicubic_taps}
