"""Algebraic rewriting rules as data: what stands for what, and where that is exact.

A side of a rule is a term over the functions of ``layout.elementwise`` by their names, ``sum`` and
``prod`` (reductions) and ``dot`` (a contraction; all those of one rule have equal dims). Letters
stand for tensors, the same letter for the same one: ``r`` for one that does not vary along the
summed dims, ``s`` for one of a single element, ``k`` and ``l`` for constants without dims, any
other for any. Functions that commute match in both orders.

*Exact* rules give the same value for every input, NaN, infinities and zeros of either sign
included, and are always applied. Others change rounding or ask something of their inputs
(``assumes``); they need ``--fast-math``, but for integers, whose sums and products wrap around and
so obey the laws of a ring.

Sources: DNNFusion (PLDI'21), table 4, whose rows are instances of rules here. Two of its rows keep
the number of operations: ``A + A * B`` is applied where ``B + 1`` is for less or for nothing, and
``1/A * 1/(A * B)`` becomes ``1/((A * A) * B)``, which is one operation less than the paper's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# Functions of two operands whose order does not matter.
COMMUTATIVE = ("add", "mul", "maximum", "minimum")
REDUCTIONS = {"sum": "sum", "prod": "prod"}
CONTRACTION = "dot"


@dataclass(frozen=True)
class Call:
    """A function of terms."""

    head: str
    operands: tuple["Term", ...]


# Always; with fast math; never.
Floats = Literal["exact", "fast", "no"]

# A letter stands for a tensor, a number for a constant.
Term = Call | str | float


@dataclass(frozen=True)
class Rule:
    """``before`` may be written as ``after``: for floats by ``floats``, for integers where it says
    so, and then always.
    """

    name: str
    before: Call
    after: Term
    floats: Floats
    integers: bool
    assumes: str = ""

    def applies(self, *, is_float: bool, fast_math: bool) -> bool:
        """Whether the rule may be used for elements of a type."""
        if not is_float:
            return self.integers
        return self.floats == "exact" or (self.floats == "fast" and fast_math)


_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|-?\d+(?:\.\d+)?|[(),])")


def parse(text: str) -> Term:
    """The term written as ``mul(a, add(b, 1))``. Raises ValueError for other text."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != re.sub(r"\s", "", text):
        raise ValueError(f"cannot read the term {text!r}")
    term, rest = _parse(tokens)
    if rest:
        raise ValueError(f"{text!r} goes on after its end")
    return term


def _parse(tokens: list[str]) -> tuple[Term, list[str]]:
    head, *rest = tokens
    if rest[:1] != ["("]:
        return (head if head.isalpha() else float(head)), rest
    operands: list[Term] = []
    while rest[0] != ")":
        operand, rest = _parse(rest[1:])
        operands.append(operand)
    return Call(head, tuple(operands)), rest[1:]


def _rules(
    text: str, floats: Floats, *, integers: bool = False, assumes: str = ""
) -> Iterator[Rule]:
    """A rule from each line ``name: before -> after``."""
    for line in text.strip().splitlines():
        name, _, terms = line.strip().partition(": ")
        before, after = map(parse, terms.split(" -> "))
        if not isinstance(before, Call):
            raise ValueError(f"{line}: a rule begins with a function")
        yield Rule(name, before, after, floats, integers, assumes)


RULES: tuple[Rule, ...] = (
    *_rules(
        """
        negated-twice: neg(neg(a)) -> a
        add-negated: add(a, neg(b)) -> sub(a, b)
        subtract-negated: sub(a, neg(b)) -> add(a, b)
        product-of-negated: mul(neg(a), neg(b)) -> mul(a, b)
        negated-by-constant: mul(neg(a), k) -> mul(a, neg(k))
        negated-product: neg(mul(a, k)) -> mul(a, neg(k))
        times-one: mul(a, 1) -> a
        minus-zero: sub(a, 0) -> a
        maximum-of-one: maximum(a, a) -> a
        minimum-of-one: minimum(a, a) -> a
        chosen-from-one: where(c, a, a) -> a
        """,
        "exact",
        integers=True,
    ),
    *_rules(
        """
        quotient-of-negated: div(neg(a), neg(b)) -> div(a, b)
        negated-quotient: div(neg(a), k) -> div(a, neg(k))
        over-one: div(a, 1) -> a
        absolute-twice: abs(abs(a)) -> abs(a)
        absolute-negated: abs(neg(a)) -> abs(a)
        absolute-square: abs(mul(a, a)) -> mul(a, a)
        absolute-exponential: abs(exp(a)) -> exp(a)
        absolute-product: mul(abs(a), abs(b)) -> abs(mul(a, b))
        absolute-quotient: div(abs(a), abs(b)) -> abs(div(a, b))
        square-of-absolute: mul(abs(a), abs(a)) -> mul(a, a)
        relu-twice: relu(relu(a)) -> relu(a)
        relu-absolute: relu(abs(a)) -> abs(a)
        relu-exponential: relu(exp(a)) -> exp(a)
        relu-sigmoid: relu(sigmoid(a)) -> sigmoid(a)
        floor-twice: floor(floor(a)) -> floor(a)
        ceil-twice: ceil(ceil(a)) -> ceil(a)
        round-twice: round(round(a)) -> round(a)
        trunc-twice: trunc(trunc(a)) -> trunc(a)
        """,
        "exact",
    ),
    *_rules(
        """
        sum-of-shifted: sum(shift_left(a, r)) -> shift_left(sum(a), r)
        """,
        "no",
        integers=True,
    ),
    *_rules(
        """
        plus-zero: add(a, 0) -> a
        negated-difference: neg(sub(a, b)) -> sub(b, a)
        sum-of-negated: sum(neg(a)) -> neg(sum(a))
        """,
        "fast",
        integers=True,
        assumes="a zero's sign does not matter",
    ),
    *_rules(
        """
        common-factor: add(mul(a, b), mul(a, c)) -> mul(a, add(b, c))
        common-factor-minus: sub(mul(a, b), mul(a, c)) -> mul(a, sub(b, c))
        factor-and-itself: add(a, mul(a, b)) -> mul(a, add(b, 1))
        factor-less-itself: sub(mul(a, b), a) -> mul(a, sub(b, 1))
        itself-less-factor: sub(a, mul(a, b)) -> mul(a, sub(1, b))
        products-of-one: add(dot(a, b), dot(a, c)) -> dot(a, add(b, c))
        products-of-one-minus: sub(dot(a, b), dot(a, c)) -> dot(a, sub(b, c))
        products-by-one: add(dot(a, c), dot(b, c)) -> dot(add(a, b), c)
        products-by-one-minus: sub(dot(a, c), dot(b, c)) -> dot(sub(a, b), c)
        sum-of-sums: add(sum(a), sum(b)) -> sum(add(a, b))
        sum-of-scaled: sum(mul(a, r)) -> mul(sum(a), r)
        product-of-scaled: dot(mul(a, s), b) -> mul(dot(a, b), s)
        product-by-scaled: dot(a, mul(b, s)) -> mul(dot(a, b), s)
        factors-together: mul(mul(a, b), c) -> mul(a, mul(b, c))
        factors-of-both: mul(mul(a, b), mul(c, d)) -> mul(mul(a, c), mul(b, d))
        terms-together: add(add(a, b), c) -> add(a, add(b, c))
        terms-of-both: add(add(a, b), add(c, d)) -> add(add(a, c), add(b, d))
        difference-then-sum: add(sub(a, b), c) -> add(a, sub(c, b))
        sum-then-difference: sub(add(a, b), c) -> add(a, sub(b, c))
        difference-then-difference: sub(sub(a, b), c) -> sub(a, add(b, c))
        added-and-taken: sub(add(a, b), b) -> a
        taken-and-added: add(sub(a, b), b) -> a
        """,
        "fast",
        integers=True,
        assumes="nothing over- or underflows; rounding changes",
    ),
    *_rules(
        """
        product-over: div(mul(a, b), c) -> mul(a, div(b, c))
        quotient-times: mul(div(a, b), c) -> mul(a, div(c, b))
        quotient-over: div(div(a, b), c) -> div(a, mul(b, c))
        common-divisor: add(div(a, c), div(b, c)) -> div(add(a, b), c)
        common-divisor-minus: sub(div(a, c), div(b, c)) -> div(sub(a, b), c)
        reciprocals: mul(reciprocal(a), reciprocal(b)) -> reciprocal(mul(a, b))
        times-reciprocal: mul(a, reciprocal(b)) -> div(a, b)
        over-reciprocal: div(a, reciprocal(b)) -> mul(a, b)
        reciprocal-twice: reciprocal(reciprocal(a)) -> a
        multiplied-and-divided: div(mul(a, b), b) -> a
        divided-and-multiplied: mul(div(a, b), b) -> a
        sum-of-quotients: sum(div(a, r)) -> div(sum(a), r)
        reciprocal-of-root: reciprocal(sqrt(a)) -> rsqrt(a)
        one-over-root: div(1, sqrt(a)) -> rsqrt(a)
        reciprocal-of-rsqrt: reciprocal(rsqrt(a)) -> sqrt(a)
        rsqrt-squared: mul(rsqrt(a), rsqrt(a)) -> reciprocal(a)
        root-of-square: sqrt(mul(a, a)) -> abs(a)
        absolutes-apart: mul(mul(abs(a), b), abs(c)) -> mul(abs(mul(a, c)), b)
        """,
        "fast",
        assumes="nothing over- or underflows, no divisor is 0; rounding changes",
    ),
    *_rules(
        """
        root-squared: mul(sqrt(a), sqrt(a)) -> a
        root-twice: mul(mul(a, sqrt(b)), sqrt(b)) -> mul(a, b)
        root-in-both: mul(mul(a, sqrt(b)), mul(sqrt(b), c)) -> mul(mul(a, b), c)
        roots: mul(sqrt(a), sqrt(b)) -> sqrt(mul(a, b))
        quotient-of-roots: div(sqrt(a), sqrt(b)) -> sqrt(div(a, b))
        over-its-root: div(a, sqrt(a)) -> sqrt(a)
        times-its-rsqrt: mul(a, rsqrt(a)) -> sqrt(a)
        exponential-of-logarithm: exp(log(a)) -> a
        sum-of-logarithms: add(log(a), log(b)) -> log(mul(a, b))
        """,
        "fast",
        assumes="what stands under a root or a logarithm is positive; rounding changes",
    ),
    *_rules(
        """
        logarithm-of-exponential: log(exp(a)) -> a
        exponentials: mul(exp(a), exp(b)) -> exp(add(a, b))
        quotient-of-exponentials: div(exp(a), exp(b)) -> exp(sub(a, b))
        product-of-exponentials: prod(exp(a)) -> exp(sum(a))
        """,
        "fast",
        assumes="no exponential over- or underflows; rounding changes",
    ),
)


def table() -> Iterator[str]:
    """The rules as rows of a Markdown table, for docs/rewriting.md."""
    yield "| rule | before | after | floats | integers | assumes |"
    yield "|---|---|---|---|---|---|"
    for rule in RULES:
        cells = [
            rule.name,
            f"`{_shown(rule.before)}`",
            f"`{_shown(rule.after)}`",
            {"exact": "always", "fast": "`--fast-math`", "no": "no"}[rule.floats],
            "always" if rule.integers else "no",
            rule.assumes,
        ]
        yield f"| {' | '.join(cells)} |"


def _shown(term: Term) -> str:
    if isinstance(term, Call):
        return f"{term.head}({', '.join(map(_shown, term.operands))})"
    return term if isinstance(term, str) else f"{term:g}"
