"""How long a product takes by promoted tiles: a model of few numbers, fitted to a device.

    microseconds = launch + steps * (step + what a multiprocessor multiplies and fetches in one)

A workgroup walks its depth in steps: it fetches tiles of both operands, waits for them, multiplies.
Where a multiprocessor has little else to do the wait decides (``step``), else the products do. That
is why a product of few tiles gains by cutting its depth into parts that run side by side. The more
rows a thread keeps, the less it loads for each product.
"""

from dataclasses import dataclass
from math import ceil

_LANES = 4
_F32_BYTES = 4
# What a step's time is for.
_STEP_DEPTH = 32


@dataclass(frozen=True)
class ProductSpeeds:
    """A device's numbers; times are microseconds.

    multiprocessors: how many. launch: of any kernel. step: of 32 elements of depth. products:
    thousands that a multiprocessor makes in a microsecond. loads: what a load from shared memory
    takes, in products. fetch: of 1000 bytes into the shared memory of one. uneven: how much of the
    time is that of the fullest multiprocessor (the rest: of all together). finish: of a kernel that
    adds parts; add: for each MiB that it moves. walk: of one element of depth where nothing is
    promoted.
    """

    multiprocessors: int
    launch: float
    step: float
    products: float
    loads: float
    fetch: float
    uneven: float
    finish: float
    add: float
    walk: float


def product_us(
    tile: tuple[int, int, int], held: int, workgroups: int, depth: int, speeds: ProductSpeeds
) -> float:
    """Microseconds of ``workgroups`` that each sum ``depth`` products for a ``tile`` of rows,
    columns and depth, of which a thread holds ``held`` rows and four columns.
    """
    rows, columns, deep = tile
    share = workgroups / speeds.multiprocessors
    rounds = speeds.uneven * ceil(share) + (1 - speeds.uneven) * max(share, 1.0)
    made = held * _LANES
    rate = speeds.products * made / (made + speeds.loads * (held + _LANES))
    busy = rows * columns * deep / 1000 / rate
    fetched = (rows + columns) * deep * _F32_BYTES / 1000 * speeds.fetch
    step = speeds.step * deep / _STEP_DEPTH + rounds * (busy + fetched)
    return speeds.launch + depth // deep * step


def finish_us(numel: int, parts: int, speeds: ProductSpeeds) -> float:
    """Microseconds of adding ``parts`` of a product of so many f32."""
    return speeds.finish + speeds.add * 4 * numel * (parts + 1) / 2**20


def walk_us(depth: int, speeds: ProductSpeeds) -> float:
    """Microseconds of a small product that reads from memory what each thread needs."""
    return speeds.launch + speeds.walk * depth
