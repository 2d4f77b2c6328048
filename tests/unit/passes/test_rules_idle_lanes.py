"""Convolutions and rows get more threads where IREE's tiles leave a GPU idle, and only there."""

from dataclasses import replace
from math import prod

import pytest

from smartmem.passes.rules.idle_lanes import tile_convolution, tile_rows
from smartmem.passes.target import known_targets

LIMITS = known_targets()["nvidia"].kernels
assert LIMITS is not None


@pytest.mark.parametrize(
    ("result", "kernel"),
    [
        ((1, 14, 14, 384), (7, 7, 384)),
        ((1, 7, 7, 768), (7, 7, 768)),
        ((1, 56, 56, 64), (7, 7, 3, 64)),
    ],
)
def test_convolutions(result: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    tiles = tile_convolution(result, kernel, LIMITS)
    assert tiles is not None
    workgroup, thread, sums, _ = tiles.levels
    assert all(n % w == 0 for n, w in zip(result, workgroup, strict=True) if w)
    assert LIMITS.least_threads <= prod(tiles.threads) <= LIMITS.threads
    assert tiles.threads == (workgroup[3] // thread[3], workgroup[2] // thread[2], 1)
    assert len(sums) == 3 + len(kernel)


def test_a_large_convolution_and_odd_channels_are_left() -> None:
    assert tile_convolution((8, 224, 224, 64), (3, 3, 64), LIMITS) is None
    assert tile_convolution((1, 14, 14, 90), (3, 3, 90), LIMITS) is None
    # Eight threads across, and nothing along: fewer than a warp.
    assert tile_convolution((56, 56, 1, 32), (3, 3, 32), LIMITS) is None


def test_rows_are_read_in_pieces() -> None:
    tiles = tile_rows(784, 98, LIMITS)
    assert tiles is not None
    assert tiles.levels[2] == (0, 14)


@pytest.mark.parametrize(("rows", "length"), [(784, 96), (784, 97), (9408, 49)])
def test_rows_in_vec4_of_a_prime_or_many_are_left(rows: int, length: int) -> None:
    assert tile_rows(rows, length, LIMITS) is None


def test_other_targets_are_left() -> None:
    others = replace(LIMITS, products=None)
    assert tile_rows(784, 98, others) is None
    assert tile_convolution((1, 14, 14, 384), (7, 7, 384), others) is None
