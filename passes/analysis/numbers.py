"""Numbers of the ops that only move elements, by which ``moves.py`` knows them after the passes."""

from typing import Any

from smartmem.dialects._mlir import ir

_NUMBER = "move"


def number_of(op: Any) -> int | None:
    """The number ``op`` was given before the passes; None for an op that a pass made."""
    attributes = op.operation.attributes
    return ir.IntegerAttr(attributes[_NUMBER]).value if _NUMBER in attributes else None


def set_number(op: Any, value: int) -> None:
    """Give ``op`` a number."""
    i64 = ir.IntegerType.get_signless(64)
    op.operation.attributes[_NUMBER] = ir.IntegerAttr.get(i64, value)


def pass_on(old: Any, new: Any) -> None:
    """Let ``new``, which takes the place of ``old``, have its number."""
    value = number_of(old)
    if value is not None:
        set_number(new, value)


def attributes_but_number(op: Any) -> list[tuple[str, Any]]:
    """What an op is beside its operands and type, by name: two with the same differ in nothing but
    their number.
    """
    attributes = op.operation.attributes
    return [(name, attributes[name]) for name in attributes if name != _NUMBER]
