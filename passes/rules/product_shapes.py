"""How many rows a product is given, and in how many parts its depth is summed: pure arithmetic.

49 rows have no factor 4: 64 are faster, and what the further ones hold is thrown away. A product of
196 x 384 with a depth of 1536 has 84 tiles for 132 multiprocessors: in four parts it is twice as
fast, the kernel that adds them included. What each choice takes says ``product_times.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from smartmem.passes.rules.kernels import TIMED_HEIGHTS, Contraction, KernelLimits, promoted_us
from smartmem.passes.rules.product_times import ProductSpeeds, finish_us, walk_us

# 64 for 49.
_MOST_PADDING = 1.35
# What adds them reads each as a tensor of its own.
_PARTS = (1, 2, 3, 4, 6, 8, 12)
# A shorter part is over before it is under way.
_LEAST_DEPTH = 64
# What is predicted to gain less is left as it is: the model errs by an eighth.
_CLEARLY = 0.88


@dataclass(frozen=True)
class Product:
    """Rows times a matrix. ``columns_last``: whether the matrix is [depth, columns] in memory.
    ``whole``: whether the dispatch that has it can have more rows.
    """

    rows: int
    columns: int
    depth: int
    columns_last: bool
    whole: bool


@dataclass(frozen=True)
class ProductShape:
    """The rows to give a product, and the parts of its depth; ``whole``: in one dispatch."""

    rows: int
    parts: int
    whole: bool


def shape_product(product: Product, limits: KernelLimits) -> ProductShape | None:
    """The shape that is clearly the fastest; None where that is the product's own."""
    speeds = limits.products
    if speeds is None:
        return None
    found = [(us, shape) for shape in _shapes(product) if (us := _us(product, shape, limits))]
    if not found:
        return None
    us, best = min(found, key=lambda row: (row[0], row[1].parts, row[1].rows))
    own = ProductShape(product.rows, 1, whole=True)
    return None if best == own or us > _CLEARLY * _own_us(product, limits, speeds) else best


def _shapes(product: Product) -> Iterator[ProductShape]:
    most = _MOST_PADDING * product.rows
    rows = {-(-product.rows // height) * height for height in TIMED_HEIGHTS} | {product.rows}
    for longer in sorted(n for n in rows if n <= most):
        for parts in _PARTS:
            long = product.depth % parts == 0 and product.depth // parts >= _LEAST_DEPTH
            if parts == 1 or long:
                yield ProductShape(longer, parts, whole=product.whole and parts == 1)


def _us(product: Product, shape: ProductShape, limits: KernelLimits) -> float | None:
    """Microseconds of a product in a shape; None where no tiles fit."""
    assert limits.products is not None
    depth = product.depth // shape.parts
    matrix = (0, 3, 2) if product.columns_last else (2, 0, 3)
    extents = (shape.parts, shape.rows, product.columns, depth)
    us = promoted_us(Contraction(extents, (1, 0, 3), matrix, (0, 1, 2)), limits)
    if us is None or shape.whole:
        return us
    return us + finish_us(product.rows * product.columns, shape.parts, limits.products)


def _own_us(product: Product, limits: KernelLimits, speeds: ProductSpeeds) -> float:
    own = _us(product, ProductShape(product.rows, 1, whole=True), limits)
    return own if own is not None and product.whole else walk_us(product.depth, speeds)
