"""How the kernel of a chain of sums of products is tiled, as a grouped convolution is one
(``lower/taps.py``): on any target, since IREE has no tiles for it at all.
"""

from collections.abc import Collection

from smartmem.passes.rules.kernels import Contraction, KernelConfig, largest_divisor
from smartmem.passes.rules.workgroups import Dealt, Shape, redeal, shape_of

_LANES = 4
_THREAD_LOOPS = 3
# Invocations of a workgroup: two subgroups of most GPUs.
_THREADS = 64


def tile_chain(op: Contraction, avoided: Collection[Shape] = ()) -> KernelConfig | None:
    """Tiles for each of a chain of sums that add up in one result, all of them ``op``; workgroups
    are of no ``avoided`` shape.

    A thread makes four columns of one row, so that IREE asks for a border once per vec4 that it
    reads: it cannot build two rows with a border. None where columns or the sum are no whole vec4.
    """
    *_, deep = op.reductions
    column = op.result[-1]
    if op.extents[column] % _LANES or op.extents[deep] != _LANES:
        return None
    inner = op.result[: -_THREAD_LOOPS - 1 : -1]
    loops: list[Dealt] = []
    left = _THREADS
    for loop in inner:
        held = _LANES if loop == column else 1
        threads = largest_divisor(op.extents[loop] // held, left)
        loops.append(Dealt(op.extents[loop], held, threads))
        left //= threads
    others = redeal(loops, avoided) if shape_of(loops) in avoided else tuple(loops)
    if others is None:
        return None
    dealt = dict(zip(inner, others, strict=True))
    once = Dealt(1, 1, 1)
    tiles = [dealt.get(d, once) if d in op.result else None for d in range(len(op.extents))]
    return KernelConfig(
        pipeline="BaseVectorize",
        workgroup=tuple(tile.held * tile.threads if tile else 0 for tile in tiles),
        thread=tuple(tile.held if tile else 0 for tile in tiles),
        reduction=tuple(_LANES if d == deep else 0 for d in range(len(op.extents))),
        threads=shape_of(others),
    )
