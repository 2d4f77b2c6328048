"""How the kernel of a contraction is tiled: a pure function of its loops and the target's numbers.

Left alone, IREE's SPIR-V code generator gives a contraction whose loops are not those of a plain
matmul (a head split off in the store, window rows kept apart, 49 columns) one workgroup per result
element, 10 to 40 times slower than tiles; and plain ones tiles that a GPU cannot fill itself with.

**Promoted** tiles, through shared memory, for products with one row loop and one column loop (loops
outside them become the grid). All copies must be whole vec4 per thread, or everything turns scalar:
that, the device's shared memory and enough workgroups to fill it decide among the divisors.

**Vectorised** tiles straight from memory, for everything else:

* The innermost result loop is the *column* loop; its threads read vec4 where the operand is
  contiguous along it. Where it cannot be split by 4 (49 keys), the reduction is read in vec4.
* A thread keeps several *rows*: the last result loop that the column's operand does not have. A
  row loop is cut into equal parts only: tiles that do not divide are scalar, and slow.
* Everything else is one iteration per workgroup; IREE deals the last three result loops to threads.

What each rule gains stands in docs/kernels.md, measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from smartmem.passes.rules.product_times import ProductSpeeds, product_us
from smartmem.passes.rules.workgroups import Dealt, Shape, redeal

Pipeline = Literal["BaseVectorize", "MatmulPromoteVectorize"]

_LANES = 4
_THREAD_LOOPS = 3
# Rows one thread keeps of a promoted tile, the preferred number first, and rows of the whole tile.
_PROMOTED_ROWS = (2, 4, 7)
_MOST_PROMOTED_ROWS = 64
# The same where a device's speeds are known. With 7 rows or more, or tiles of fewer than 16 rows,
# products took twice as long as with the best on an H200.
_TIMED_ROWS = (4, 5, 2, 6, 3)
TIMED_HEIGHTS = (16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96)
_TIMED_THREADS = 256
_PROMOTED_DEPTHS = (32, 16)
_PROMOTED_COLUMNS = (128, 96, 64, 48, 32, 16)
# Rows with a batch between them and the columns: with 32 IREE's own tiles were twice as fast.
_LEAST_APART_ROWS = 64
# Promoted rows lie this many elements further apart, against bank conflicts.
_ROW_PADDING = 4
_F32_BYTES = 4
# Tiles that ops of one kernel may hold where the registers are not known: residual sums and gates
# need two or three. Not measured: no model of the suite comes near it.
_MOST_TILES = 16


@dataclass(frozen=True)
class Contraction:
    """A sum of products: trip counts of its loops, and the loop that indexes each axis of the two
    operands and of the result, outermost axis first. Loops that are not the result's are summed.
    """

    extents: tuple[int, ...]
    lhs: tuple[int, ...]
    rhs: tuple[int, ...]
    result: tuple[int, ...]
    element_bits: int = 32

    @property
    def reductions(self) -> tuple[int, ...]:
        """The summed loops."""
        return tuple(d for d in range(len(self.extents)) if d not in self.result)

    def reordered(self, order: Sequence[int]) -> "Contraction":
        """The same sum, loop ``i`` of which is loop ``order[i]`` of this one."""
        places = [order.index(d) for d in range(len(order))]
        lhs, rhs, result = (
            tuple(places[d] for d in axes) for axes in (self.lhs, self.rhs, self.result)
        )
        return Contraction(
            tuple(self.extents[d] for d in order), lhs, rhs, result, self.element_bits
        )


@dataclass(frozen=True)
class KernelLimits:
    """Numbers of a target that bound the tiles.

    threads: invocations a workgroup should not exceed; least_threads: fewer leave lanes of a
    subgroup idle. rows, columns, depth: what one thread holds at most of the result's rows and
    columns, and of the reduction at a time. shared_bytes: shared memory a workgroup may use (0: no
    promotion). workgroups: how many fill the device. plain: whether vectorised tiles are used for
    plain matmuls too, which else are left to IREE. row_lanes: how many lanes must share a row
    equally for its softmax or norm to be one kernel (1: it always is). registers: 32-bit ones of a
    thread (0: not known, or what does not fit costs little). most_threads: invocations a
    workgroup can have at all (128: the least that Vulkan allows), for what is measured.
    avoided_workgroups: shapes (x, y, z) that drivers are known to break.
    products: what predicts how long promoted tiles take, by which they and the shapes of products
    are chosen (``product_shapes.py``); None: the tile that reuses most.
    """

    threads: int
    least_threads: int
    rows: int
    columns: int
    depth: int
    shared_bytes: int
    workgroups: int
    plain: bool
    row_lanes: int = 1
    registers: int = 0
    most_threads: int = 128
    avoided_workgroups: tuple[Shape, ...] = ()
    products: ProductSpeeds | None = None

    @property
    def tiles(self) -> int:
        """How many tiles of rows by columns a thread can hold at once."""
        held = self.registers // (self.rows * self.columns)
        return held if self.registers else _MOST_TILES


@dataclass(frozen=True)
class KernelConfig:
    """Tile sizes per loop (0: not tiled at that level) for workgroups, threads and the reduction;
    invocations per workgroup in x, y, z. ``store_stage``: of promoted tiles, 0 where the next ones
    are fetched into a second buffer, 1 where they wait in registers.
    """

    pipeline: Pipeline
    workgroup: tuple[int, ...]
    thread: tuple[int, ...]
    reduction: tuple[int, ...]
    threads: Shape
    store_stage: int = 0


@dataclass(frozen=True)
class _Roles:
    """Which loop is what: the operand that has the columns, the column, row and innermost summed
    loop.
    """

    source: tuple[int, ...]
    column: int
    row: int
    deep: int


def tile_contraction(op: Contraction, limits: KernelLimits) -> KernelConfig | None:
    """Tiles for ``op``, or None where IREE's own choice is the better one: a product with a single
    row, or one in which both operands run along the columns.
    """
    roles = _roles(op)
    if roles is None:
        return None
    best = _promoted(op, roles, limits)
    if best is not None:
        return best
    if not limits.plain and _is_plain(op, roles):
        return None
    return _vectorised(op, roles, limits)


def rows_inside(op: Contraction) -> tuple[int, ...] | None:
    """The order of loops in which the rows stand next to the columns, innermost but for the sum;
    None where they do, or there are none.

    IREE deals promoted tiles to two dims of threads. What lies in a loop further out each of them
    computes whole: with heads between rows and columns, attention's second product was four times
    the work it is.
    """
    roles = _roles(op)
    if roles is None:
        return None
    outer = [d for d in sorted(op.result) if d not in (roles.row, roles.column)]
    order = (*outer, roles.row, roles.column, *op.reductions)
    return None if order == tuple(range(len(op.extents))) else order


def vectorised(op: Contraction, limits: KernelLimits) -> KernelConfig | None:
    """The vectorised tiles within ``limits``, whether or not they are the best choice."""
    roles = _roles(op)
    return None if roles is None else _vectorised(op, roles, limits)


def promoted(op: Contraction, limits: KernelLimits) -> list[KernelConfig]:
    """All promoted tiles within ``limits``."""
    roles = _roles(op)
    if roles is None or not _may_promote(op, roles, limits):
        return []
    return [_promoted_config(op, roles, tile) for tile in _promoted_tiles(op, roles, limits)]


def promoted_us(op: Contraction, limits: KernelLimits) -> float | None:
    """Microseconds of ``op`` by the promoted tiles that ``tile_contraction`` chooses, as the
    target's speeds predict; None where it has none, or the target no speeds.
    """
    roles = _roles(op)
    if roles is None or limits.products is None:
        return None
    best = _best_promoted(op, roles, limits)
    return None if best is None else _tile_us(op, best, limits.products, op.extents[roles.deep])


def accepts(op: Contraction, config: KernelConfig, limits: KernelLimits) -> bool:
    """Whether a configuration from elsewhere is one for ``op`` that keeps the target's limits: a
    tile for each loop, that divides it, no more threads or shared memory than there are, and no
    shape that is avoided.
    """
    loops = len(op.extents)
    tiles = (config.workgroup, config.thread, config.reduction)
    if any(len(tile) != loops for tile in tiles) or prod(config.threads) > limits.most_threads:
        return False
    if config.threads in limits.avoided_workgroups:
        return False
    # A loop is cut by the first level that tiles it, each level by the next.
    for extent, outer, inner in zip(op.extents, config.workgroup, config.thread, strict=True):
        if outer and (extent % outer or (inner and outer % inner)):
            return False
    if config.pipeline == "BaseVectorize":
        depths = zip(op.extents, config.reduction, strict=True)
        return all(not depth or extent % depth == 0 for extent, depth in depths)
    roles = _roles(op)
    if roles is None or not _may_promote(op, roles, limits):
        return False
    rows, columns, depth = (config.workgroup[d] for d in (roles.row, roles.column, roles.deep))
    tile = _Promoted(rows, columns, depth, config.thread[roles.row], config.store_stage)
    return tile.copies_in_vectors and tile.shared_bytes <= limits.shared_bytes


def _roles(op: Contraction) -> _Roles | None:
    if not op.result or not op.reductions:
        return None
    column = op.result[-1]
    sources = [operand for operand in (op.lhs, op.rhs) if column in operand]
    if len(sources) != 1:
        return None
    rows = [d for d in op.result if d not in sources[0] and op.extents[d] > 1]
    return _Roles(sources[0], column, rows[-1], op.reductions[-1]) if rows else None


def _is_plain(op: Contraction, roles: _Roles) -> bool:
    """Whether IREE sees a matmul, or a batch of them, with contiguous columns. A sum over several
    loops is none to it, and one of its pipelines is wrong there (docs/iree-miscompiles.md).
    """
    loops = [d for d in op.result if op.extents[d] > 1]
    contiguous = roles.source[-1] == roles.column
    return len(loops) <= _THREAD_LOOPS and contiguous and len(op.reductions) == 1


# ----------------------------------------------------------------------------------- vectorised


def _vectorised(op: Contraction, roles: _Roles, limits: KernelLimits) -> KernelConfig | None:
    """None where the loops divide into too few threads, as primes do."""
    contiguous = roles.source[-1] == roles.column
    columns = _vector(op.extents[roles.column], limits.columns) if contiguous else 1
    # Several rows pay where each brings whole vec4 of the reduction.
    rows = limits.rows if op.extents[roles.deep] % _LANES == 0 else 1
    held = {roles.column: columns, roles.row: largest_divisor(op.extents[roles.row], rows)}
    dealt = _deal(op, held, limits.threads)
    if _workgroup_size(op.result, dealt) in limits.avoided_workgroups:
        others = _dealt_otherwise(op, held, dealt, limits)
        if others is None:
            return None
        held |= {d: loop.held for d, loop in others.items()}
        dealt = {d: loop.threads for d, loop in others.items()}
    if prod(dealt.values()) < limits.least_threads // _LANES:
        return None
    loops = range(len(op.extents))
    tile = {d: held.get(d, 1) * dealt.get(d, 1) for d in op.result}
    depth = {d: limits.depth if d == roles.deep else 1 for d in op.reductions}
    return KernelConfig(
        pipeline="BaseVectorize",
        workgroup=tuple(tile.get(d, 0) for d in loops),
        thread=tuple(held.get(d, 1) if d in op.result else 0 for d in loops),
        reduction=tuple(
            largest_divisor(op.extents[d], depth[d]) if d in depth else 0 for d in loops
        ),
        threads=_workgroup_size(op.result, dealt),
    )


def _deal(op: Contraction, held: dict[int, int], most: int) -> dict[int, int]:
    """Threads per result loop: the columns first, then rows, as many as a workgroup may have."""
    threads: dict[int, int] = {}
    left = most
    for loop in reversed(op.result[-_THREAD_LOOPS:]):
        if loop in held:
            threads[loop] = largest_divisor(op.extents[loop] // held[loop], left)
            left //= threads[loop]
    return threads


def _dealt_otherwise(
    op: Contraction, held: dict[int, int], dealt: dict[int, int], limits: KernelLimits
) -> dict[int, Dealt] | None:
    """The loops that are dealt to threads, in a workgroup that is not avoided."""
    inner = op.result[: -_THREAD_LOOPS - 1 : -1]
    loops = [Dealt(op.extents[d], held.get(d, 1), dealt.get(d, 1)) for d in inner]
    others = redeal(loops, limits.avoided_workgroups)
    return None if others is None else dict(zip(inner, others, strict=True))


def _workgroup_size(result: Sequence[int], threads: dict[int, int]) -> Shape:
    """Invocations in x, y, z: the result's loops from the innermost out."""
    inner = [threads.get(d, 1) for d in reversed(result[-_THREAD_LOOPS:])]
    x, y, z = (*inner, 1, 1, 1)[:_THREAD_LOOPS]
    return x, y, z


def _vector(extent: int, most: int) -> int:
    """Columns per thread: the largest multiple of 4 up to ``most`` that divides ``extent``; else
    1.
    """
    return next((n for n in range(most, 0, -_LANES) if extent % n == 0), 1)


def largest_divisor(extent: int, most: int) -> int:
    """The largest divisor of ``extent`` that is at most ``most``."""
    return next(n for n in range(min(extent, most), 0, -1) if extent % n == 0)


# ------------------------------------------------------------------------------------- promoted


@dataclass(frozen=True)
class _Promoted:
    """Rows, columns and depth of a workgroup's tile, and the rows one thread keeps of it."""

    rows: int
    columns: int
    depth: int
    held: int
    store_stage: int = 0

    @property
    def threads(self) -> int:
        return self.rows // self.held * (self.columns // _LANES)

    @property
    def shared_bytes(self) -> int:
        """Both operand tiles; twice where the next ones are stored while these are used."""
        padded = self.depth + _ROW_PADDING, self.columns + _ROW_PADDING
        buffers = 1 if self.store_stage else 2
        return buffers * _F32_BYTES * (self.rows * padded[0] + self.depth * padded[1])

    @property
    def copies_in_vectors(self) -> bool:
        """Whether every thread copies the same number of vec4 of both operands."""
        lhs, rhs = self.rows * self.depth // _LANES, self.depth * self.columns // _LANES
        return lhs % self.threads == 0 and rhs % self.threads == 0

    @property
    def reuse(self) -> float:
        """Products per element loaded."""
        return self.rows * self.columns / (self.rows + self.columns)


def _promoted(op: Contraction, roles: _Roles, limits: KernelLimits) -> KernelConfig | None:
    best = _best_promoted(op, roles, limits)
    return None if best is None else _promoted_config(op, roles, best)


def _best_promoted(op: Contraction, roles: _Roles, limits: KernelLimits) -> _Promoted | None:
    """The tile that is predicted to be the fastest. Without speeds, the one that reuses most among
    those that fill the device; the most workgroups where none does.
    """
    if not _may_promote(op, roles, limits):
        return None
    speeds = limits.products
    tiles = _promoted_tiles(op, roles, limits)
    if speeds is not None:
        depth = op.extents[roles.deep]
        return min(tiles, key=lambda t: _tile_us(op, t, speeds, depth), default=None)
    grid = prod(op.extents[d] for d in op.result)

    def worth(tile: _Promoted) -> tuple[float, ...]:
        workgroups = min(grid // (tile.rows * tile.columns), limits.workgroups)
        return workgroups, tile.reuse, -_PROMOTED_ROWS.index(tile.held), tile.depth

    return max(tiles, key=worth, default=None)


def _tile_us(op: Contraction, tile: _Promoted, speeds: ProductSpeeds, depth: int) -> float:
    workgroups = prod(op.extents[d] for d in op.result) // (tile.rows * tile.columns)
    sizes = (tile.rows, tile.columns, tile.depth)
    return product_us(sizes, tile.held, workgroups, depth, speeds)


def _promoted_config(op: Contraction, roles: _Roles, best: _Promoted) -> KernelConfig:
    loops = range(len(op.extents))
    tile = {roles.row: best.rows, roles.column: best.columns, roles.deep: best.depth}
    held = {roles.row: best.held, roles.column: _LANES, roles.deep: 0}
    return KernelConfig(
        pipeline="MatmulPromoteVectorize",
        workgroup=tuple(tile.get(d, 1) for d in loops),
        thread=tuple(held.get(d, 1) for d in loops),
        reduction=tuple(_LANES if d == roles.deep else 0 for d in loops),
        threads=_promoted_shape(op, roles, best),
        store_stage=best.store_stage,
    )


def _promoted_shape(op: Contraction, roles: _Roles, tile: _Promoted) -> Shape:
    dealt = {roles.column: tile.columns // _LANES, roles.row: tile.rows // tile.held}
    return _workgroup_size(sorted(op.result), dealt)


def _may_promote(op: Contraction, roles: _Roles, limits: KernelLimits) -> bool:
    is_f32 = op.element_bits == 8 * _F32_BYTES
    if not limits.shared_bytes or not is_f32 or not _promotable(op, roles):
        return False
    # Rows of the other operand, too, where no speeds say how long anything takes.
    return roles.source[-1] == roles.column or limits.products is not None


def _promotable(op: Contraction, roles: _Roles) -> bool:
    """One summed loop; rows among the loops that are dealt to threads; both operands contiguous
    along their vec4; no second row loop; enough rows where a batch stands between them and the
    columns.
    """
    other = op.lhs if roles.source is op.rhs else op.rhs
    loops = sorted(op.result)
    return (
        len(op.reductions) == 1
        and roles.row in loops[-_THREAD_LOOPS:]
        and roles.source[-1] in (roles.column, roles.deep)
        and other[-1] == roles.deep
        and all(d in roles.source for d in op.result if d != roles.row)
        and (loops[-2] == roles.row or op.extents[roles.row] >= _LEAST_APART_ROWS)
    )


def _promoted_tiles(op: Contraction, roles: _Roles, limits: KernelLimits) -> Iterator[_Promoted]:
    rows, columns, deep = (op.extents[d] for d in (roles.row, roles.column, roles.deep))
    timed = limits.products is not None
    threads = min(limits.most_threads, _TIMED_THREADS) if timed else limits.threads
    heights = TIMED_HEIGHTS if timed else range(1, min(rows, _MOST_PROMOTED_ROWS) + 1)
    for depth in _PROMOTED_DEPTHS:
        for width in _PROMOTED_COLUMNS:
            for held in _TIMED_ROWS if timed else _PROMOTED_ROWS:
                for height in (n for n in heights if n % held == 0):
                    tile = _Promoted(height, width, depth, held, int(timed))
                    if (
                        rows % height == 0
                        and columns % width == 0
                        and deep % depth == 0
                        and limits.least_threads <= tile.threads <= threads
                        and tile.copies_in_vectors
                        and tile.shared_bytes <= limits.shared_bytes
                        and _promoted_shape(op, roles, tile) not in limits.avoided_workgroups
                    ):
                        yield tile
