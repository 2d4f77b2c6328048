"""Which configurations of a contraction are tried, and how new ones come from those that were.

A candidate is a few genes: how many threads, rows and columns each keeps, and how deep; what they
express is a tile of ``rules/kernels.py``, so every candidate divides its loops and keeps the
target's limits. Random draws, then children of the fastest: each gene of one parent or the other,
or a neighbour of it (the genetic search at the end of SmartMem, section 3.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from random import Random

from smartmem.passes.rules.kernels import (
    Contraction,
    KernelConfig,
    KernelLimits,
    promoted,
    vectorised,
)

_VALUES = {
    "threads": (8, 16, 32, 64, 128, 256),
    "rows": (1, 2, 3, 4, 6, 7, 8, 12, 16),
    "columns": (4, 8, 12, 16),
    "depth": (1, 2, 4, 8, 16, 32),
}
# One thread's products are unrolled: with more, translating a kernel took longer than running the
# model, on the software device and on an H200.
_MOST_PRODUCTS = 1024
# How likely a gene of a child is a neighbour of its parent's.
_MUTATION = 0.3


@dataclass(frozen=True)
class Genes:
    """``promoted``: which of the promoted tiles, as a fraction of their number; None: none of
    them.
    """

    threads: int
    rows: int
    columns: int
    depth: int
    promoted: float | None


def drawn(random: Random) -> Genes:
    """Any genes; half of them for promoted tiles."""
    picked = {name: random.choice(values) for name, values in _VALUES.items()}
    return Genes(**picked, promoted=random.random() if random.random() < 0.5 else None)


def child(parents: Sequence[Genes], random: Random) -> Genes:
    """A child of two of ``parents``."""
    one, other = random.choice(parents), random.choice(parents)
    mixed = Genes(**{f.name: getattr(random.choice((one, other)), f.name) for f in fields(Genes)})
    for name, values in _VALUES.items():
        if random.random() < _MUTATION:
            place = values.index(getattr(mixed, name)) + random.choice((-1, 1))
            mixed = replace(mixed, **{name: values[min(max(place, 0), len(values) - 1)]})
    if mixed.promoted is not None and random.random() < _MUTATION:
        mixed = replace(mixed, promoted=min(max(random.gauss(mixed.promoted, 0.1), 0.0), 1.0))
    return mixed


def expressed(genes: Genes, op: Contraction, limits: KernelLimits) -> KernelConfig | None:
    """The tile that genes stand for; None where they stand for none of ``op``'s."""
    widest = replace(limits, threads=min(limits.most_threads, _VALUES["threads"][-1]))
    if genes.promoted is not None and limits.shared_bytes:
        tiles = promoted(op, widest)
        return tiles[min(int(genes.promoted * len(tiles)), len(tiles) - 1)] if tiles else None
    if genes.rows * genes.columns * genes.depth > _MOST_PRODUCTS:
        return None
    return vectorised(
        op,
        replace(
            limits,
            threads=min(genes.threads, limits.most_threads),
            least_threads=min(genes.threads, limits.least_threads),
            rows=genes.rows,
            columns=genes.columns,
            depth=genes.depth,
        ),
    )
