"""Which layout op is lowered by which function. The family files register; the pass looks up."""

from collections.abc import Callable
from typing import Any

from smartmem.passes.lower.builder import Lowering

Rule = Callable[[Lowering, Any], Any]

RULES: dict[str, Rule] = {}


def lowers(op_class: Any) -> Callable[[Rule], Rule]:
    """Register the decorated ``rule(lowering, op) -> physical result`` for an op class."""

    def register(rule: Rule) -> Rule:
        RULES[op_class.OPERATION_NAME] = rule
        return rule

    return register
