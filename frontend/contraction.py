"""Import of contractions: linear, matmul in all its ranks, bmm, addmm, baddbmm, mm."""

from typing import Any

from smartmem.dialects.layout import build, shapes
from smartmem.frontend.registry import imports

Value = Any


def _plus(value: Value, bias: Value | None) -> Value:
    return value if bias is None else build.elementwise("add", value, bias)


@imports("linear.default")
def linear(ctx: Any, input: Value, weight: Value, bias: Value | None) -> Value:
    """input [..., K] by weight [N, K]."""
    lead = len(build.shape(input)) - 1
    if len(build.shape(weight)) == 1:
        return _plus(build.contract(input, weight, [range(lead + 1), [lead], range(lead)]), bias)
    n, k = lead, lead + 1
    return _plus(
        build.contract(input, weight, [[*range(lead), k], [n, k], [*range(lead), n]]), bias
    )


@imports("matmul.default", "bmm.default", "mm.default")
def matmul(ctx: Any, self: Value, other: Any = None, mat2: Any = None) -> Value:
    """NumPy's matmul: vectors are promoted, batch dims broadcast (a batch dim of size 1 is dropped
    from its operand).
    """
    return _matmul(self, mat2 if other is None else other)


def _matmul(left: Value, right: Value) -> Value:
    left_batch, right_batch = build.shape(left)[:-2], build.shape(right)[:-2]
    batch = shapes.broadcast([left_batch, right_batch])
    left, left_dims = _batched(left, batch)
    right, right_dims = _batched(right, batch)
    row, column, k = len(batch), len(batch) + 1, len(batch) + 2
    left_rows = [] if len(build.shape(left)) == len(left_dims) + 1 else [row]
    right_columns = [] if len(build.shape(right)) == len(right_dims) + 1 else [column]
    maps = [
        [*left_dims, *left_rows, k],
        [*right_dims, k, *right_columns],
        [*range(len(batch)), *left_rows, *right_columns],
    ]
    return build.contract(left, right, _dense(maps))


def _dense(maps: list[list[int]]) -> list[list[int]]:
    """The maps with loop dims renumbered so that none is missing."""
    used = sorted({d for dims in maps for d in dims})
    return [[used.index(d) for d in dims] for dims in maps]


def _batched(value: Value, batch: tuple[int, ...]) -> tuple[Value, list[int]]:
    """``value`` without the batch dims it broadcasts along, and the loop dims of those it keeps."""
    own = build.shape(value)
    lead = max(len(own) - 2, 0)
    offset = len(batch) - lead
    kept = [i for i in range(lead) if own[i] == batch[offset + i]]
    if len(kept) < lead:
        value = build.reshape(value, (*[own[i] for i in kept], *own[lead:]))
    return value, [offset + i for i in kept]


def _scaled(value: Value, factor: float) -> Value:
    if factor == 1:
        return value
    return build.elementwise("mul", value, build.splat(factor, build.element_type(value)))


def _added(product: Value, bias: Value, beta: float, alpha: float) -> Value:
    """beta * bias + alpha * product; with a beta of 0 the bias is not looked at, NaN or not."""
    scaled = _scaled(product, alpha)
    if beta == 0:
        return scaled
    return build.elementwise("add", scaled, _scaled(bias, beta))


@imports("addmm.default")
def addmm(ctx: Any, self: Value, mat1: Value, mat2: Value, beta: float, alpha: float) -> Value:
    """beta * self + alpha * mat1 . mat2."""
    return _added(_matmul(mat1, mat2), self, beta, alpha)


@imports("addmv.default")
def addmv(ctx: Any, self: Value, mat: Value, vec: Value, beta: float, alpha: float) -> Value:
    """beta * self + alpha * mat . vec."""
    return _added(_matmul(mat, vec), self, beta, alpha)


@imports("baddbmm.default")
def baddbmm(
    ctx: Any, self: Value, batch1: Value, batch2: Value, beta: float, alpha: float
) -> Value:
    """beta * self + alpha * batch1 . batch2."""
    return _added(_matmul(batch1, batch2), self, beta, alpha)


@imports("addbmm.default")
def addbmm(ctx: Any, self: Value, batch1: Value, batch2: Value, beta: float, alpha: float) -> Value:
    """beta * self + alpha * batch1 . batch2, summed over the batch."""
    b, row, column, k = 0, 1, 2, 3
    product = build.contract(batch1, batch2, [[b, row, k], [b, k, column], [row, column]])
    return _added(product, self, beta, alpha)
