"""Arithmetic is written in the form with the fewest operations.

    %0 = layout.elementwise %a, %b {"mul"}
    %1 = layout.elementwise %a, %c {"mul"}        %0 = layout.elementwise %b, %c {"add"}
    %2 = layout.elementwise %0, %1 {"add"}   ==>  %2 = layout.elementwise %a, %0 {"mul"}

Equal ops of equal operands become one, a function of repeated elements is computed before they are
repeated, and the rules of ``rules/algebra.py`` are applied: those that are exact always, the others
(the one above, for floats) with ``fast_math``. As in DNNFusion (PLDI'21, section 4.2) what saves
most operations goes first, until nothing does; ``analysis/flops.py`` says how they are counted. A
form that would need more kernels is refused, however few its operations.

On entry and exit: valid layout dialect, row-major everywhere.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.dialects.layout.ops import ElementwiseOp, ViewOp, WeightOp, element_type, shape
from smartmem.passes.analysis.flops import flops
from smartmem.passes.analysis.joins import producer
from smartmem.passes.analysis.numbers import attributes_but_number
from smartmem.passes.analysis.terms import Match, Plan, constant_of, head_of, matches
from smartmem.passes.base import PassReport, block_ops, erase_unused, functions
from smartmem.passes.eliminate_views import index_map_of
from smartmem.passes.rules.algebra import RULES, Rule
from smartmem.passes.rules.classes import movement

# Sweeps over a function. Each applies all that do not touch each other; a chain of n terms takes
# about log n. No model of the suite takes more than 3.
_MOST_SWEEPS = 32


@dataclass(frozen=True)
class _Step:
    """A change that saves ``saved`` operations: ``plan`` in place of the first of ``ops``."""

    saved: int
    name: str
    ops: tuple[Any, ...]
    read: tuple[Any, ...]
    plan: Plan


def _dead(found: Sequence[Any]) -> list[Any]:
    """The ops of a match that nobody reads once the first is replaced."""
    dead = [found[0].operation]
    for op in found[1:]:
        if op.operation not in dead and all(u.owner in dead for u in op.operation.results[0].uses):
            dead.append(op.operation)
    return [op.opview for op in dead]


def _is_kernel(sizes: Sequence[int], root: Sequence[int], made_of: Iterable[bool]) -> bool:
    """Whether an elementwise op is a kernel of its own, not part of that of the ``root`` it leads
    to, nor of one of its operands.
    """
    return tuple(sizes) != tuple(root) and not any(made_of)


def _hosts(value: Any, sizes: Sequence[int], leaving: Sequence[Any] = ()) -> bool:
    """Whether the kernel that makes ``value`` can go on with an op of so many elements, once the
    ops ``leaving`` are gone: nobody else may read ``value``.
    """
    readers = [use.owner for use in value.uses]
    maker = producer(value)
    if shape(value) != tuple(sizes) or maker is None:
        return False
    if len(readers) > 1 and not all(reader in leaving for reader in readers):
        return False
    if isinstance(maker, ViewOp):
        return movement(maker) == "reshape" and _hosts(maker.input, shape(maker.input))
    return maker.operation.name.startswith("layout.") and not isinstance(maker, WeightOp)


def _kernels_before(dead: Sequence[Any], root: Sequence[int]) -> int:
    count = 0
    for op in dead:
        if isinstance(op, ElementwiseOp):
            hosts = [_hosts(v, shape(op.result)) for v in op.operands]
            count += _is_kernel(shape(op.result), root, hosts)
        else:
            count += 1
    return count


def _kernels_after(plan: Plan, dead: Sequence[Any], root: Sequence[int]) -> int:
    leaving = [op.operation for op in dead]
    count = 0
    for made in plan.made:
        if made.head in ("sum", "prod", "dot"):
            count += 1
        elif made.head != "reshape":
            hosts = [
                o.shape == made.shape if o.value is None else _hosts(o.value, made.shape, leaving)
                for o in made.operands
                if o.number is None
            ]
            count += _is_kernel(made.shape, root, hosts)
    return count


def _step(rule: Rule, op: Any, found: Match) -> _Step | None:
    """The change that ``rule`` makes of a match, if it pays."""
    result = op.operation.results[0]
    try:
        plan = Plan(rule.after, found, element_type(result))
    except ValueError:
        return None
    if plan.root.shape != shape(result) or plan.root.element != element_type(result):
        return None
    dead = _dead(found.ops)
    saved = sum(map(flops, dead)) - sum(made.flops for made in plan.made)
    root = shape(result)
    if saved <= 0 or _kernels_after(plan, dead, root) > _kernels_before(dead, root):
        return None
    return _Step(saved, rule.name, found.ops, tuple(found.letters.values()), plan)


_BY_HEAD = {
    head: [rule for rule in RULES if rule.before.head == head]
    for head in {rule.before.head for rule in RULES}
}


def _is_number(element: Any) -> bool:
    return not isinstance(element, ir.IntegerType) or ir.IntegerType(element).width > 1


def _steps(op: Any, *, fast_math: bool) -> Iterator[_Step]:
    """All changes that rules make at ``op``."""
    rules = _BY_HEAD.get(head_of(op) or "", ())
    if not rules or not _is_number(element_type(op.operation.results[0])):
        return
    is_float = not isinstance(element_type(op.operation.results[0]), ir.IntegerType)
    for rule in rules:
        if rule.applies(is_float=is_float, fast_math=fast_math):
            for found in matches(rule.before, op.operation.results[0]):
                if (step := _step(rule, op, found)) is not None:
                    yield step


def _sweep(function: Any, *, fast_math: bool) -> list[_Step]:
    """Apply, largest first, what does not touch each other; what was applied."""
    found = [s for op in block_ops(function) for s in _steps(op, fast_math=fast_math)]
    touched: set[Any] = set()
    applied: list[_Step] = []
    for step in sorted(found, key=lambda step: -step.saved):
        # By result: what replaces an operand changes what an operation is to a set.
        results = [op.operation.results[0] for op in step.ops]
        if touched.isdisjoint([*results, *step.read]):
            root = step.ops[0]
            with ir.InsertionPoint(root), root.location:
                value = step.plan.build()
            root.operation.results[0].replace_all_uses_with(value)
            touched.update(results)
            applied.append(step)
    erase_unused(function)
    return applied


def _merge_equal(function: Any) -> int:
    """Let equal ops of equal operands be one; the number of those that are gone."""
    known: dict[Any, Any] = {}
    gone = 0
    for op in block_ops(function):
        name = op.operation.name
        if not name.startswith("layout.") and name != "arith.constant":
            continue
        result = op.operation.results[0]
        key = (name, *op.operation.operands, *attributes_but_number(op), result.type)
        first = known.setdefault(key, op)
        if first.operation != op.operation:
            result.replace_all_uses_with(first.operation.results[0])
            op.operation.erase()
            gone += 1
    return gone


def _before_repeating(op: Any) -> bool:
    """Compute a function of repeated elements once for each; whether that was done."""
    if not isinstance(op, ElementwiseOp):
        return False
    views = [v for v in op.operands if constant_of(v) is None or shape(v)]
    makers = [m for m in map(producer, views) if isinstance(m, ViewOp)]
    if not makers or len(makers) < len(views):
        return False
    maps = [index_map_of(maker) for maker in makers]
    inner = [maker.input for maker in makers]
    fewer = prod(maps[0].codomain) < prod(shape(op.result))
    if not fewer or any(m != maps[0] for m in maps) or maps[0].domain != shape(op.result):
        return False
    if any(use.owner != op.operation for maker in makers for use in maker.result.uses):
        return False
    if not any(_hosts(v, maps[0].codomain) for v in inner):
        return False
    given = iter(inner)
    with ir.InsertionPoint(op), op.location:
        operands = [next(given) if v in views else v for v in op.operands]
        made = build.elementwise(
            ir.StringAttr(op.attributes["fn"]).value, *operands, element=element_type(op.result)
        )
        op.result.replace_all_uses_with(build.view(made, maps[0]))
    return True


@dataclass(frozen=True)
class RewriteAlgebraPass:
    """``fast_math``: whether rounding may change, and inputs may be asked something (the column
    "assumes" of the table of rules).
    """

    fast_math: bool = False
    name: ClassVar[str] = "smartmem-rewrite-algebra"

    def run(self, module: Any) -> PassReport:
        """Sweep until nothing is saved; a gain of its own for each rule that was applied."""
        before = after = merged = sweeps = 0
        applied: Counter[str] = Counter()
        for function in functions(module):
            before += sum(map(flops, block_ops(function)))
            for _ in range(_MOST_SWEEPS):
                merged += _merge_equal(function)
                repeated = sum(map(_before_repeating, block_ops(function)))
                erase_unused(function)
                steps = _sweep(function, fast_math=self.fast_math)
                applied.update(step.name for step in steps)
                applied.update({"before-repeating": repeated} if repeated else {})
                if not steps and not repeated:
                    break
            else:
                sweeps += 1
            after += sum(map(flops, block_ops(function)))
        return PassReport(
            self.name,
            {
                "rewrites": applied.total(),
                "equal_ops_merged": merged,
                "flops_before": before,
                "flops_after": after,
                "functions_left_unfinished": sweeps,
                **{f"rule {name}": count for name, count in sorted(applied.items())},
            },
        )
