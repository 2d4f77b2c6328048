"""The order of a row's elements, and the first extreme one.

A row is sorted by merging: sorted runs of w elements become runs of 2w, one kernel per doubling.
Every element of the result finds by binary search how many of those before it come from the first
run (the "merge path" of Odeh, Green, Mwassi, Shmueli and Birk, 2012, section III), so all of them
work at once, and none writes to another's place. Equal elements keep their order.

On a GPU a short row is sorted by counting: how many elements go before each one is its place.

What is compared are integer keys in the order of the values: NaN has a place in it, and a key that
was stored is the same in every kernel that reads it, which a recomputed float need not be.
"""

from collections.abc import Callable
from typing import Any

from smartmem.dialects._mlir import arith, ir, linalg, tensor
from smartmem.dialects.layout.ops import ArgReduceOp, ArgsortOp, shape
from smartmem.passes.lower import scalars
from smartmem.passes.lower.builder import (
    Lowering,
    Operand,
    constant,
    dim,
    dims,
    filled,
    generic,
    index_constant,
    loop_number,
    numbers,
    pointwise,
)
from smartmem.passes.lower.reduction import stepwise
from smartmem.passes.lower.registry import lowers

# Rows up to this length are sorted by counting on a GPU: two kernels of as many steps per element
# as the row is long, where merging has one per doubling. Not measured.
_MOST_COUNTED = 256

_SMALLEST, _LARGEST = -(2**31), 2**31 - 1


def _integer() -> Any:
    return ir.IntegerType.get_signless(32)


def _key(item: Any, nan: int) -> Any:
    """int32 in the order of the numbers: of a negative float, all bits but the sign turn over."""
    integer = _integer()
    if not scalars.is_float(item):
        return scalars.cast(item, integer)
    item = scalars.cast(item, ir.F32Type.get())
    bits = arith.BitcastOp(integer, item).result
    turned = arith.XOrIOp(bits, constant(_LARGEST, integer)).result
    key = scalars.select(scalars.compare("lt", bits, constant(0, integer)), turned, bits)
    zero = scalars.compare("eq", item, constant(0, item.type))
    key = scalars.select(zero, constant(0, integer), key)
    return scalars.select(scalars.compare("ne", item, item), constant(nan, integer), key)


def _keys(low: Lowering, value: Any, nan: int) -> Any:
    held = low.value(value)
    read = Operand(held, dims(range(len(shape(held)))))
    return low.fenced(pointwise([read], shape(held), _integer(), lambda item: _key(item, nan)))


@lowers(ArgReduceOp)
def arg_reduce(low: Lowering, op: Any) -> Any:
    """The extreme key of each row, then the first place where it stands: the most elements from
    there to the end, so that the reduction is a maximum with the neutral element 0,
    signed or not (``goes_unsigned`` says why).
    """
    axis: int = ir.IntegerAttr(op.attributes["dim"]).value
    kind = ir.StringAttr(op.attributes["kind"]).value
    keys = _keys(low, op.input, _LARGEST if kind == "max" else _SMALLEST)
    best = low.fenced(stepwise(low, keys, [axis], kind))
    sizes, integer = shape(keys), _integer()
    rank, kept = len(sizes), [a for a in range(len(sizes)) if a != axis]

    def left(key: Any, wanted: Any, here: Any, most: Any) -> Any:
        count = scalars.sub(constant(sizes[axis], integer), here)
        found = scalars.compare("eq", key, wanted)
        return scalars.maximum(most, scalars.select(found, count, constant(0, integer)))

    remaining = generic(
        [
            Operand(keys, dims(range(rank))),
            Operand(best, dims(kept)),
            Operand(numbers(low, sizes[axis]), (dim(axis),)),
        ],
        filled(0, [sizes[a] for a in kept], integer),
        dims(kept),
        ["reduction" if a == axis else "parallel" for a in range(rank)],
        left,
    )
    return pointwise(
        [Operand(low.fenced(remaining), dims(range(len(kept))))],
        shape(op.result),
        integer,
        lambda most: scalars.sub(constant(sizes[axis], integer), most),
    )


@lowers(ArgsortOp)
def argsort(low: Lowering, op: Any) -> Any:
    """The positions are what is moved; keys are looked up by them."""
    axis: int = ir.IntegerAttr(op.attributes["dim"]).value
    order = "gt" if ir.BoolAttr(op.attributes["descending"]).value else "lt"
    keys, sizes = _keys(low, op.input, _LARGEST), shape(op.result)
    if low.device == "vulkan" and sizes[axis] <= _MOST_COUNTED:
        return _placed(low, _ranks(low, keys, axis, order), axis)
    places = low.fenced(pointwise([], sizes, _integer(), lambda: loop_number(axis)))
    width = 1
    while width < sizes[axis]:
        places = low.fenced(_merged(keys, places, axis, width, order))
        width *= 2
    return places


def _ranks(low: Lowering, keys: Any, axis: int, order: str) -> Any:
    """How many elements of its row go before each one."""
    sizes, integer = shape(keys), _integer()
    rank = len(sizes)
    count = Operand(numbers(low, sizes[axis]), (dim(axis),))
    others = Operand(numbers(low, sizes[axis]), (dim(rank),))
    at = tuple(dim(rank if a == axis else a) for a in range(rank))

    def counted(key: Any, here: Any, other: Any, there: Any, total: Any) -> Any:
        equal = scalars.compare("eq", other, key)
        earlier = scalars.compare("lt", there, here)
        before = scalars.compare(order, other, key)
        first = scalars.select(equal, earlier, before)
        return scalars.add(total, scalars.select(first, constant(1, integer), constant(0, integer)))

    return low.fenced(
        generic(
            [Operand(keys, dims(range(rank))), count, Operand(keys, at), others],
            filled(0, sizes, integer),
            dims(range(rank)),
            ["parallel"] * rank + ["reduction"],
            counted,
        )
    )


def _placed(low: Lowering, ranks: Any, axis: int) -> Any:
    """Which element of its row has each rank."""
    sizes, integer = shape(ranks), _integer()
    rank = len(sizes)
    at = tuple(dim(rank if a == axis else a) for a in range(rank))

    def found(wanted: Any, other: Any, there: Any, total: Any) -> Any:
        here = scalars.compare("eq", other, wanted)
        return scalars.add(total, scalars.select(here, there, constant(0, integer)))

    return low.fenced(
        generic(
            [
                Operand(numbers(low, sizes[axis]), (dim(axis),)),
                Operand(ranks, at),
                Operand(numbers(low, sizes[axis]), (dim(rank),)),
            ],
            filled(0, sizes, integer),
            dims(range(rank)),
            ["parallel"] * rank + ["reduction"],
            found,
        )
    )


def _merged(keys: Any, places: Any, axis: int, width: int, order: str) -> Any:
    """Neighbouring sorted runs of ``width`` merged along ``axis``."""
    sizes = shape(places)
    last = sizes[axis] - 1

    def body() -> Any:
        loops = [linalg.IndexOp(a).result for a in range(len(sizes))]

        def at(value: Any, place: Any) -> Any:
            safe = scalars.minimum(scalars.maximum(place, index_constant(0)), index_constant(last))
            return tensor.ExtractOp(value, [*loops[:axis], safe, *loops[axis + 1 :]]).result

        def key(place: Any) -> Any:
            return at(keys, arith.IndexCastOp(ir.IndexType.get(), at(places, place)).result)

        source = _merge_path(
            loops[axis],
            sizes[axis],
            width,
            lambda second, first: scalars.compare(order, key(second), key(first)),
        )
        return at(places, source)

    return pointwise([], sizes, _integer(), body)


def _merge_path(here: Any, size: int, width: int, precedes: Callable[[Any, Any], Any]) -> Any:
    """Where element ``here`` of the merged runs stands before the merge.

    ``precedes(second, first)`` says whether the element at ``second``, in the second run, goes
    before the one at ``first``. Its arguments may be out of range where the answer is not used.
    """
    add, sub, both = scalars.add, scalars.sub, scalars.SCALARS["bit_and"]
    offset = arith.RemUIOp(here, index_constant(2 * width)).result
    first = sub(here, offset)
    second = add(first, index_constant(width))
    left = scalars.minimum(index_constant(width), sub(index_constant(size), first))
    right = scalars.minimum(
        index_constant(width),
        scalars.maximum(sub(index_constant(size), second), index_constant(0)),
    )
    # Of the first ``offset`` merged elements, between ``least`` and ``most`` are the first run's.
    least = scalars.maximum(sub(offset, right), index_constant(0))
    most = scalars.minimum(offset, left)
    for _ in range(width.bit_length()):
        middle = arith.DivUIOp(add(least, most), index_constant(2)).result
        behind = add(middle, index_constant(1))
        undecided = scalars.compare("lt", least, most)
        fewer = precedes(add(second, sub(offset, behind)), add(first, middle))
        more = scalars.SCALARS["logical_not"](fewer)
        most = scalars.select(both(undecided, fewer), middle, most)
        least = scalars.select(both(undecided, more), behind, least)
    from_first, from_second = add(first, least), add(second, sub(offset, least))
    exhausted = scalars.compare("ge", least, left)
    remains = scalars.compare("lt", sub(offset, least), right)
    takes_second = scalars.SCALARS["bit_or"](
        exhausted, both(remains, precedes(from_second, from_first))
    )
    return scalars.select(takes_second, from_second, from_first)
