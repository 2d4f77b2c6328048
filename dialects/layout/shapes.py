"""Result shapes of the layout dialect's ops, as plain functions: builders call them, verifiers
check against them.

Every function raises ValueError with a sentence for the user where the operands do not fit.
"""

from collections.abc import Sequence

Shape = tuple[int, ...]


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """NumPy's broadcast of ``shapes``."""
    rank = max((len(s) for s in shapes), default=0)
    result: list[int] = []
    for axis in range(rank):
        sizes = {s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0} - {1}
        if len(sizes) > 1:
            raise ValueError(f"shapes {list(shapes)} do not broadcast")
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def pad(shape: Shape, low: Shape, high: Shape) -> Shape:
    """Shape after adding ``low`` and ``high`` elements on each side of each dim."""
    if not len(shape) == len(low) == len(high):
        raise ValueError(f"pad amounts {low}, {high} do not match rank {len(shape)}")
    if min((*low, *high), default=0) < 0:
        raise ValueError("pad amounts are never negative: crop with layout.view")
    return tuple(a + s + b for a, s, b in zip(low, shape, high, strict=True))


def concat(shapes: Sequence[Shape], dim: int) -> Shape:
    """Shape of joining ``shapes`` along ``dim``."""
    if not shapes:
        raise ValueError("nothing to concatenate")
    first = shapes[0]
    if not 0 <= dim < len(first):
        raise ValueError(f"dim {dim} is outside rank {len(first)}")
    for shape in shapes:
        if len(shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(shape, first, strict=True)) if i != dim
        ):
            raise ValueError(f"shapes {list(shapes)} differ outside dim {dim}")
    return (*first[:dim], sum(s[dim] for s in shapes), *first[dim + 1 :])


def window(size: int, kernel: int, stride: int, dilation: int, low: int, high: int) -> int:
    """Number of window positions along one dim."""
    span = size + low + high - dilation * (kernel - 1) - 1
    if span < 0:
        raise ValueError(
            f"window of {kernel} (dilation {dilation}) is larger than {size}+{low}+{high}"
        )
    return span // stride + 1


def windows(
    spatial: Shape, kernel: Shape, strides: Shape, dilations: Shape, low: Shape, high: Shape
) -> Shape:
    """Spatial result shape of a convolution or a pooling."""
    lengths = {len(v) for v in (spatial, kernel, strides, dilations, low, high)}
    if len(lengths) != 1:
        raise ValueError(
            f"strides, dilations and padding must have one entry per spatial dim ({len(spatial)})"
        )
    if min((*kernel, *strides, *dilations), default=1) < 1 or min((*low, *high), default=0) < 0:
        raise ValueError("kernel, strides and dilations are at least 1, padding is never negative")
    return tuple(
        window(*args) for args in zip(spatial, kernel, strides, dilations, low, high, strict=True)
    )


def conv(
    x: Shape, weight: Shape, strides: Shape, dilations: Shape, low: Shape, high: Shape, groups: int
) -> Shape:
    """Shape of a convolution of ``x`` [N, C, *spatial] with ``weight`` [O, C/groups, *kernel]."""
    if len(x) != len(weight) or len(x) < 3:
        raise ValueError(f"input {x} and weight {weight} must have one rank of at least 3")
    if groups < 1 or x[1] != weight[1] * groups or weight[0] % groups:
        raise ValueError(f"channels of input {x} and weight {weight} do not fit {groups} groups")
    return (x[0], weight[0], *windows(x[2:], weight[2:], strides, dilations, low, high))


def pool(
    x: Shape, kernel: Shape, strides: Shape, dilations: Shape, low: Shape, high: Shape
) -> Shape:
    """Shape of pooling ``x`` [N, C, *spatial]."""
    if len(x) != len(kernel) + 2:
        raise ValueError(f"input {x} does not have two dims more than kernel {kernel}")
    return (*x[:2], *windows(x[2:], kernel, strides, dilations, low, high))


def reduce(shape: Shape, dims: Shape) -> Shape:
    """Shape with ``dims`` removed."""
    if len(set(dims)) != len(dims) or any(not 0 <= d < len(shape) for d in dims):
        raise ValueError(f"reduction dims {dims} do not fit rank {len(shape)}")
    return tuple(s for i, s in enumerate(shape) if i not in dims)


def gather(table: Shape, indices: Shape, dim: int) -> Shape:
    """``table`` with dim ``dim`` replaced by the shape of ``indices``."""
    if not 0 <= dim < len(table):
        raise ValueError(f"dim {dim} is outside rank {len(table)}")
    return (*table[:dim], *indices, *table[dim + 1 :])


def gather_elements(table: Shape, indices: Shape, dim: int) -> Shape:
    """Shape of ``indices``, which reach beyond ``table`` along ``dim`` at most."""
    if not 0 <= dim < len(table):
        raise ValueError(f"dim {dim} is outside rank {len(table)}")
    pairs = list(zip(indices, table, strict=False))
    if len(indices) != len(table) or any(i > t for a, (i, t) in enumerate(pairs) if a != dim):
        raise ValueError(f"indices {indices} do not fit table {table} outside dim {dim}")
    return indices


def scatter(x: Shape, indices: Shape, updates: Shape, dim: int) -> Shape:
    """Shape of ``x``, from which ``updates`` differ along ``dim`` only; ``indices`` are as long as
    them, or of their shape.
    """
    if not 0 <= dim < len(x):
        raise ValueError(f"dim {dim} is outside rank {len(x)}")
    if (*updates[:dim], x[dim], *updates[dim + 1 :]) != x:
        raise ValueError(f"updates {updates} differ from input {x} outside dim {dim}")
    if indices not in (updates, (updates[dim],)):
        raise ValueError(f"indices {indices} do not fit updates {updates} along dim {dim}")
    return x


def attention(query: Shape, key: Shape, value: Shape, mask: Shape | None) -> Shape:
    """Shape of attention over ``query`` [*batch, L, E], ``key`` [*batch, S, E], ``value`` [*batch,
    S, V].
    """
    if len(query) < 2 or not len(query) == len(key) == len(value):
        raise ValueError(f"query {query}, key {key} and value {value} need one rank of at least 2")
    if not query[:-2] == key[:-2] == value[:-2]:
        raise ValueError(f"batch dims of query {query}, key {key} and value {value} differ")
    if query[-1] != key[-1] or key[-2] != value[-2]:
        raise ValueError(f"query {query}, key {key} and value {value} do not contract")
    scores = (*query[:-1], key[-2])
    if mask is not None and broadcast([mask, scores]) != scores:
        raise ValueError(f"mask {mask} does not broadcast to scores {scores}")
    return (*query[:-1], value[-1])


def contract(operands: Sequence[Shape], maps: Sequence[tuple[int, ...]], rank: int) -> Shape:
    """Shape of a contraction: ``maps`` give, per operand and last for the result, the loop dim of
    each axis.
    """
    if len(maps) != len(operands) + 1:
        raise ValueError(f"{len(operands)} operands need {len(operands) + 1} maps, got {len(maps)}")
    extents: dict[int, int] = {}
    for shape, dims in zip(operands, maps, strict=False):
        if len(shape) != len(dims) or len(set(dims)) != len(dims):
            raise ValueError(f"map {dims} is no projected permutation for operand {shape}")
        for dim, size in zip(dims, shape, strict=True):
            if extents.setdefault(dim, size) != size:
                raise ValueError(f"loop dim {dim} is both {extents[dim]} and {size} long")
    if len(set(maps[-1])) != len(maps[-1]):
        raise ValueError(f"the result's map {maps[-1]} is no projected permutation")
    if set(extents) != set(range(rank)) or not set(maps[-1]) <= set(extents):
        raise ValueError(f"the operands' maps do not give the extent of all {rank} loop dims")
    return tuple(extents[d] for d in maps[-1])
