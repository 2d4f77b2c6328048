"""Tiles for convolutions and row reductions that would leave most of a GPU idle: pure arithmetic.

IREE gives a thread four pixels of a convolution, and a row of 98 to one thread that reads it by
elements. Where that makes fewer threads than the device runs at once, each waits for memory most of
its time. With one pixel and four channels a thread, and a row read in pieces, such kernels took 0.3
to 0.9 of IREE's time on an H200, rows of 98 0.24 to 0.34 (``products-nvidia-h200.json`` in
benchmarks/results).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from smartmem.passes.rules.kernels import KernelLimits, largest_divisor

_LANES = 4
_CHANNELS = (64, 32, 128)
_MOST_THREADS = 64
# Elements of a row that are under way at once.
_PIECE = 16
# Threads of a multiprocessor that wait for memory together, and rows: with more than these IREE's
# tiles were as fast, or faster (9408 rows of 49 on 132 multiprocessors).
_BUSY_THREADS, _BUSY_ROWS = 1024, 32


@dataclass(frozen=True)
class IdleTiles:
    """Tile sizes by level, and invocations in x, y, z."""

    levels: tuple[tuple[int, ...], ...]
    threads: tuple[int, int, int]


def tile_convolution(
    result: Sequence[int], kernel: Sequence[int], limits: KernelLimits
) -> IdleTiles | None:
    """For a convolution that gives [batch, height, width, channels]; ``kernel`` is [height, width,
    channels] of a depthwise one, else [height, width, input channels, channels].
    """
    channels, width = result[-1], result[-2]
    # As many threads as IREE's tiles make.
    if (
        limits.products is None
        or prod(result) // 16 > _BUSY_THREADS * limits.products.multiprocessors
    ):
        return None
    dealt = ((n // _LANES, largest_divisor(width, _MOST_THREADS * _LANES // n)) for n in _CHANNELS)
    fitting = (
        (across, along)
        for across, along in dealt
        if channels % (across * _LANES) == 0 and across * along >= limits.least_threads
    )
    across, along = next(fitting, (0, 0))
    if not across:
        return None
    step = across * _LANES
    sums = (1, 1) if len(kernel) == 3 else (1, 1, largest_divisor(kernel[2], _LANES))
    levels = ((0, 1, along, step), (1, 1, 1, _LANES), (0, 0, 0, 0, *sums), (0, 1, 0, 0))
    return IdleTiles(levels, (across, along, 1))


def tile_rows(rows: int, length: int, limits: KernelLimits) -> IdleTiles | None:
    """For the reduction of each of ``rows`` that no vec4 divides, a thread each."""
    piece = largest_divisor(length, _PIECE)
    if limits.products is None or length % _LANES == 0 or piece == 1:
        return None
    if rows > _BUSY_ROWS * limits.products.multiprocessors:
        return None
    lanes = limits.least_threads
    return IdleTiles(((lanes,), (1,), (0, piece)), (lanes, 1, 1))
