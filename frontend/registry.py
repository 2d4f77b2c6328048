"""Which ATen op is imported by which function. The family files register; the importer looks up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Handler = Callable[..., Any]


class Refusal(Exception):
    """Raised by a handler for a variant it does not take: the reason, and what the user can do."""

    def __init__(
        self, reason: str, remedy: str = "rewrite this call, or run it outside the compiled model"
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Import:
    """``handler`` builds the op; ``moves_only`` marks ops whose every output element is an input
    element.
    """

    handler: Handler
    moves_only: bool


HANDLERS: dict[str, Import] = {}


def imports(*names: str, moves_only: bool = False) -> Callable[[Handler], Handler]:
    """Register the decorated function for the ATen ops ``names`` (``relu.default``).

    It is called as ``handler(ctx, **arguments)`` with the schema's argument names and all defaults
    filled in; tensors are MLIR values. It returns a value, or a tuple of values for an op with
    several results.
    """

    def register(handler: Handler) -> Handler:
        for name in names:
            if name in HANDLERS:
                raise ValueError(f"aten.{name} is registered twice")
            HANDLERS[name] = Import(handler, moves_only)
        return handler

    return register
