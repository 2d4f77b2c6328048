"""Import of what depends on the order of elements: argmax, sort, topk, median, mode, search."""

from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend.elementwise import value_of
from smartmem.frontend.registry import imports

Value = Any


def _integer() -> Any:
    return ir.IntegerType.get_signless(32)


def _is_float(value: Value) -> bool:
    return not isinstance(build.element_type(value), ir.IntegerType)


def _rows(value: Value, dim: int | None) -> tuple[Value, int]:
    """``value`` with at least one dim, flattened where ``dim`` is None; and the dim."""
    own = build.shape(value)
    if dim is None or not own:
        count = 1
        for size in own:
            count *= size
        return build.reshape(value, (count,)), 0
    return value, dim % len(own)


def _kept(value: Value, dim: int) -> Value:
    """``value`` with a dim of size 1 at ``dim``."""
    own = build.shape(value)
    return build.reshape(value, (*own[:dim], 1, *own[dim:]))


def _at(rows: Value, dim: int, start: int, size: int) -> Value:
    """A range of ``rows`` along ``dim``."""
    own = build.shape(rows)
    starts = [start if a == dim else 0 for a in range(len(own))]
    sizes = [size if a == dim else s for a, s in enumerate(own)]
    return build.slice_(rows, starts, sizes, [1] * len(own))


def _register_arg(kind: str) -> None:
    @imports(f"arg{kind}.default")
    def arg(ctx: Any, self: Value, dim: int | None, keepdim: bool) -> Value:
        rows, axis = _rows(self, dim)
        return build.reshape(build.arg_reduce(rows, kind, axis), ctx.result.shape)

    @imports(f"{kind}.dim")
    def extreme(ctx: Any, self: Value, dim: int, keepdim: bool) -> tuple[Value, Value]:
        rows, axis = _rows(self, dim)
        place = _kept(build.arg_reduce(rows, kind, axis), axis)
        return _picked(ctx, rows, place, axis)


def _picked(ctx: Any, rows: Value, places: Value, axis: int) -> tuple[Value, Value]:
    """The elements at ``places``, and ``places``, in the shape of the node's result."""
    values = build.gather_elements(rows, places, axis)
    size = ctx.result.shape
    return build.reshape(values, size), build.reshape(places, size)


for _kind in ("max", "min"):
    _register_arg(_kind)


@imports("sort.default", "sort.stable")
def sort(
    ctx: Any, self: Value, dim: int, descending: bool, stable: bool | None = None
) -> tuple[Value, Value]:
    """Sorted values and where they come from; always stable."""
    rows, axis = _rows(self, dim)
    return _picked(ctx, rows, build.argsort(rows, axis, descending=descending), axis)


@imports("topk.default")
def topk(
    ctx: Any, self: Value, k: int, dim: int, largest: bool, sorted: bool
) -> tuple[Value, Value]:
    """The first ``k`` in order, whether order was asked for or not."""
    rows, axis = _rows(self, dim)
    order = build.argsort(rows, axis, descending=largest)
    return _picked(ctx, rows, _at(order, axis, 0, k), axis)


@imports("kthvalue.default")
def kthvalue(ctx: Any, self: Value, k: int, dim: int, keepdim: bool) -> tuple[Value, Value]:
    """Number ``k`` of the ascending order, counted from 1."""
    rows, axis = _rows(self, dim)
    return _picked(ctx, rows, _at(build.argsort(rows, axis), axis, k - 1, 1), axis)


def _middle(rows: Value, axis: int, skip_nan: bool) -> Value:
    """Positions of the lower medians. NaN stands last in order: skipped, or the first one taken."""
    order = build.argsort(rows, axis)
    size = build.shape(rows)[axis]
    if not _is_float(rows):
        return _at(order, axis, (size - 1) // 2, 1)
    number = build.elementwise("logical_not", build.elementwise("isnan", rows))
    count = _kept(build.reduce(build.cast(number, _integer()), "sum", [axis]), axis)
    if skip_nan:
        before = build.elementwise("sub", count, build.splat(1, _integer()))
        half = build.elementwise("div", before, build.splat(2, _integer()))
        return build.gather_elements(order, half, axis)
    complete = build.elementwise("eq", count, build.splat(size, _integer()))
    middle = build.splat((size - 1) // 2, _integer())
    return build.gather_elements(order, build.elementwise("where", complete, middle, count), axis)


def _register_median(name: str, skip_nan: bool) -> None:
    @imports(f"{name}.dim")
    def median_of_rows(ctx: Any, self: Value, dim: int, keepdim: bool) -> tuple[Value, Value]:
        rows, axis = _rows(self, dim)
        return _picked(ctx, rows, _middle(rows, axis, skip_nan), axis)

    @imports(f"{name}.default")
    def median(ctx: Any, self: Value) -> Value:
        rows, axis = _rows(self, None)
        return _picked(ctx, rows, _middle(rows, axis, skip_nan), axis)[0]


_register_median("median", skip_nan=False)
_register_median("nanmedian", skip_nan=True)


@imports("mode.default")
def mode(ctx: Any, self: Value, dim: int, keepdim: bool) -> tuple[Value, Value]:
    """The smallest of the most frequent values, at its last place.

    In sorted order equal values are neighbours: the first with the highest count is it.
    """
    rows, axis = _rows(self, dim)
    order = build.argsort(rows, axis)
    values = build.gather_elements(rows, order, axis)
    own = build.shape(values)
    others = build.reshape(values, (*own[:axis], 1, *own[axis:]))
    each = build.reshape(values, (*own[: axis + 1], 1, *own[axis + 1 :]))
    equal = build.cast(build.elementwise("eq", each, others), _integer())
    one = build.splat(1, _integer())
    # NaN, which equals nothing, counts as one.
    count = build.elementwise("maximum", build.reduce(equal, "sum", [axis + 1]), one)
    first = _kept(build.arg_reduce(count, "max", axis), axis)
    most = build.gather_elements(count, first, axis)
    final = build.elementwise("sub", build.elementwise("add", first, most), one)
    return _picked(ctx, rows, build.gather_elements(order, final, axis), axis)


def _rank(bounds: Value, value: Value, right: bool) -> Value:
    """How many of ``bounds`` [*rows, n] stand before each element of ``value`` [*rows, m]."""
    own, wanted = build.shape(bounds), build.shape(value)
    pairs = build.elementwise(
        "gt" if right else "ge",
        build.reshape(bounds, (*own[:-1], 1, own[-1])),
        build.reshape(value, (*wanted, 1)),
    )
    # Not "le": nothing is beyond NaN, so it belongs at the end.
    before = build.cast(build.elementwise("logical_not", pairs), _integer())
    return build.reduce(before, "sum", [len(wanted)])


def _searched(ctx: Any, bounds: Value, value: Any, right: bool) -> Value:
    element = build.element_type(bounds)
    if isinstance(value, ir.Value) and _is_float(value):
        element = build.element_type(value)
    elif isinstance(value, float) and isinstance(element, ir.IntegerType):
        element = ir.F32Type.get()
    value = value_of(value, element)
    bounds = build.cast(bounds, element)
    if len(build.shape(bounds)) == 1:
        value = _rows(value, None)[0]
    return build.reshape(_rank(bounds, value, right), ctx.result.shape)


@imports("searchsorted.Tensor", "searchsorted.Scalar")
def searchsorted(
    ctx: Any,
    sorted_sequence: Value,
    self: Any,
    out_int32: bool,
    right: bool,
    side: str | None,
    sorter: Value | None,
) -> Value:
    """Where values belong in sorted rows, by counting: n comparisons each, but no dependent
    look-ups.
    """
    if sorter is not None:
        last = len(build.shape(sorted_sequence)) - 1
        sorted_sequence = build.gather_elements(sorted_sequence, sorter, last)
    return _searched(ctx, sorted_sequence, self, right or side == "right")


@imports("bucketize.Tensor", "bucketize.Scalar")
def bucketize(ctx: Any, self: Any, boundaries: Value, out_int32: bool, right: bool) -> Value:
    """``searchsorted`` with one row of boundaries."""
    return _searched(ctx, boundaries, self, right)
