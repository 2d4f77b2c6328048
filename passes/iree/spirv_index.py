"""Integers of a kernel as sums of what varies: affine forms with ranges, over SPIR-V's ops.

Where a kernel reads an element, its index is a chain of multiplications, additions, divisions and
remainders of thread and loop numbers:

    %k = loop 0 to 48 step 4;  %51 = IMul %k, 12;  %53 = IAdd %51, %thread   (0 to 11)
    ==>
    12 * k + thread,  k in 0..44 and a multiple of 4, thread in 0..11

So an index splits into a row and a column of a known width (``row_and_column``), without dividing
at run time: here, of width 12, row k and column thread. Divisions whose remainder is known are
resolved; a value of another op stands for itself, with what is known of its range.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op, Value, ir

Range = tuple[int, int]

QUOTIENTS = ("spirv.UDiv", "spirv.SDiv")
_REMAINDERS = ("spirv.UMod", "spirv.SMod", "spirv.SRem")
DIVISIONS = (*QUOTIENTS, *_REMAINDERS)
_LESSER = ("spirv.GL.SMin", "spirv.GL.UMin")
_GREATER = ("spirv.GL.SMax", "spirv.GL.UMax")
LESS = ("spirv.SLessThan", "spirv.ULessThan")


@dataclass(frozen=True)
class Atom:
    """A value that stands for itself: its range where known, and what it is a multiple of."""

    value: Value
    range: Range | None = None
    multiple: int = 1


@dataclass(frozen=True)
class Form:
    """``constant`` and a sum of ``terms``: factor times atom. Every term is an integer, since a
    factor's denominator divides what its atom is a multiple of.
    """

    constant: int = 0
    terms: Mapping[Atom, Fraction] = field(default_factory=dict[Atom, Fraction])

    def __add__(self, other: "Form") -> "Form":
        terms = dict(self.terms)
        for atom, factor in other.terms.items():
            terms[atom] = terms.get(atom, Fraction(0)) + factor
        return Form(self.constant + other.constant, {a: f for a, f in terms.items() if f})

    def scaled(self, factor: int) -> "Form":
        """``factor`` times this."""
        terms = {atom: own * factor for atom, own in self.terms.items()} if factor else {}
        return Form(self.constant * factor, terms)

    @property
    def range(self) -> Range | None:
        """The least and the greatest value; None where a part's are not known."""
        low = high = self.constant
        for atom, factor in self.terms.items():
            if atom.range is None:
                return None
            ends = sorted(int(factor * end) for end in atom.range)
            low, high = low + ends[0], high + ends[1]
        return low, high


def row_and_column(form: Form, width: int) -> tuple[Form, Form] | None:
    """``form`` as row * width + column with 0 <= column < width; None where that is not certain."""
    rows = {a: f / width for a, f in form.terms.items() if _step(a, f) % width == 0}
    rest = Form(form.constant, {a: f for a, f in form.terms.items() if a not in rows})
    if rest.range is None:
        return None
    first = rest.range[0] // width
    column = rest + Form(-first * width)
    if column.range is None or column.range[1] >= width:
        return None
    return Form(first, rows), column


def _step(atom: Atom, factor: Fraction) -> int:
    """What the term is a multiple of."""
    return int(factor * atom.multiple)


class Indices:
    """The forms of one kernel's values. ``workgroups`` are those of each call."""

    def __init__(self, shader: Op, workgroups: tuple[int, int, int]) -> None:
        (mode,) = phase_ir.named(shader, "spirv.ExecutionMode")
        sizes = phase_ir.int_array(mode, "values")
        self._built_in = {"LocalInvocationId": sizes, "WorkgroupId": list(workgroups)}
        self._names = {
            phase_ir.symbol(op): str(op.attributes["built_in"].value)
            for op in phase_ir.body_ops(shader)
            if op.name == "spirv.GlobalVariable" and "built_in" in op.attributes
        }
        self._forms: dict[Value, Form] = {}

    def form(self, value: Value) -> Form:
        """What ``value`` is."""
        if value not in self._forms:
            self._forms[value] = self._made(value)
        return self._forms[value]

    def _made(self, value: Value) -> Form:
        op = phase_ir.defining_op(value)
        if op is None:
            return _loop_form(value)
        operands = list(op.operands)
        match op.name:
            case "spirv.Constant":
                attribute = op.attributes["value"]
                if isinstance(attribute, ir.IntegerAttr):
                    return Form(int(attribute.value))
            case "spirv.IAdd":
                return self.form(operands[0]) + self.form(operands[1])
            case "spirv.ISub":
                return self.form(operands[0]) + self.form(operands[1]).scaled(-1)
            case "spirv.IMul":
                left, right = map(self.form, operands)
                if not left.terms:
                    return right.scaled(left.constant)
                if not right.terms:
                    return left.scaled(right.constant)
            case "spirv.CompositeExtract":
                return self._component(value)
            case "spirv.Select":
                return _atom(value, _joined(self.form(v).range for v in operands[1:]))
            case name if name in DIVISIONS:
                return self._division(value, name in QUOTIENTS, *map(self.form, operands))
            case name if name in _LESSER or name in _GREATER:
                ranges = [self.form(v).range for v in operands]
                return _atom(value, _bounded(ranges, min if name in _LESSER else max))
            case _:
                pass
        return _atom(value)

    def threads(self) -> list[tuple[str, int]]:
        """The numbers of threads and workgroups that have more than one value."""
        return [
            (name, component)
            for name, counts in self._built_in.items()
            for component, count in enumerate(counts)
            if count > 1
        ]

    def thread(self, value: Value) -> tuple[str, int] | None:
        """Which of a thread's or a workgroup's numbers ``value`` is; None where it is none."""
        op = phase_ir.defining_op(value)
        if op is None or op.name != "spirv.CompositeExtract":
            return None
        source = phase_ir.defining_op(op.operands[0])
        address = (
            source and source.name == "spirv.Load" and phase_ir.defining_op(source.operands[0])
        )
        if not address or address.name != "spirv.mlir.addressof":
            return None
        (name,) = phase_ir.symbol_ref(address.attributes["variable"])
        built_in = self._names.get(name, "")
        (component,) = (int(i.value) for i in op.attributes["indices"])
        return (built_in, component) if built_in in self._built_in else None

    def _component(self, value: Value) -> Form:
        """A thread's or a workgroup's number."""
        found = self.thread(value)
        return _atom(value, found and (0, self._built_in[found[0]][found[1]] - 1))

    def _division(self, value: Value, is_quotient: bool, form: Form, divisor: Form) -> Form:
        """A quotient or a remainder, resolved where the remainder's range is known to fit."""
        by, known = divisor.constant, form.range
        if divisor.terms or by <= 0:
            return _atom(value)
        if known is None or known[0] < 0:
            return _atom(value, None if is_quotient else (0, by - 1))
        parts = row_and_column(form, by)
        if parts is not None:
            return parts[0] if is_quotient else parts[1]
        return _atom(value, (known[0] // by, known[1] // by) if is_quotient else (0, by - 1))


def emit(form: Form, made: dict[Any, Value]) -> Value:
    """Ops at the insertion point that compute ``form``; ``made`` holds what is there already."""
    total: Value | None = None
    for atom, factor in form.terms.items():
        term = _emit_term(atom, factor, made)
        total = term if total is None else _op("IAdd", made, total, term)
    if total is None:
        return _literal(form.constant, made)
    if form.constant:
        return _op("IAdd", made, total, _literal(form.constant, made))
    return total


def _emit_term(atom: Atom, factor: Fraction, made: dict[Any, Value]) -> Value:
    value, divisor = atom.value, factor.denominator
    if divisor > 1:
        # Exact, and a shift where it can be one.
        shift = divisor.bit_length() - 1
        name, by = ("ShiftRightLogical", shift) if 1 << shift == divisor else ("UDiv", divisor)
        value = _op(name, made, value, _literal(by, made))
    if factor.numerator == 1:
        return value
    return _op("IMul", made, value, _literal(factor.numerator, made))


def _op(name: str, made: dict[Any, Value], *operands: Value) -> Value:
    key = (name, *operands)
    if key not in made:
        made[key] = ir.Operation.create(
            f"spirv.{name}", results=[operands[0].type], operands=list(operands)
        ).result
    return made[key]


def _literal(number: int, made: dict[Any, Value]) -> Value:
    if number not in made:
        attribute = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), number)
        made[number] = ir.Operation.create(
            "spirv.Constant", results=[attribute.type], attributes={"value": attribute}
        ).result
    return made[number]


def _atom(value: Value, known: Range | None = None, multiple: int = 1) -> Form:
    if known is not None and known[0] == known[1]:
        return Form(known[0])
    return Form(0, {Atom(value, known, multiple): Fraction(1)})


def _joined(ranges: Any) -> Range | None:
    found = list(ranges)
    if None in found:
        return None
    return min(low for low, _ in found), max(high for _, high in found)


def _bounded(ranges: list[Range | None], choose: Any) -> Range | None:
    if None in ranges:
        return None
    lows, highs = zip(*(r for r in ranges if r is not None), strict=True)
    return choose(lows), choose(highs)


def _loop_form(value: Value) -> Form:
    """An argument of a loop's header that counts from a constant to another in constant steps."""
    block, position = value.owner, value.arg_number
    starts: list[Value] = []
    for other in block.region:
        last = list(other.operations)[-1].operation
        if last.name == "spirv.Branch" and last.successors[0] == block:
            starts.append(last.operands[position])
    ops = [op.operation for op in block.operations]
    if len(starts) != 2 or len(ops) != 2 or ops[0].name not in LESS:
        return _atom(value)
    first, last, step = _number(starts[0]), _number(ops[0].operands[1]), _step_of(starts[1], value)
    if first is None or last is None or step is None or ops[0].operands[0] != value:
        return _atom(value)
    if last <= first:
        return _atom(value)
    greatest = first + (last - 1 - first) // step * step
    return _atom(value, (first, greatest), step if first % step == 0 else 1)


def _step_of(following: Value, value: Value) -> int | None:
    """The constant that is added to ``value``; None where it is anything else."""
    op = phase_ir.defining_op(following)
    if op is None or op.name != "spirv.IAdd" or op.operands[0] != value:
        return None
    step = _number(op.operands[1])
    return step if step is not None and step > 0 else None


def _number(value: Value) -> int | None:
    op = phase_ir.defining_op(value)
    if op is None or op.name != "spirv.Constant":
        return None
    attribute = op.attributes["value"]
    return int(attribute.value) if isinstance(attribute, ir.IntegerAttr) else None
