"""A budget as a user writes it: ``512MiB``, ``1.5GB``, ``50%`` of the weights, or ``auto``."""

import re
from dataclasses import dataclass

from smartmem.errors import UserError

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_FORM = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]*|%)", re.IGNORECASE)


class TooSmall(UserError):
    """A budget below the smallest feasible one on a device."""


@dataclass(frozen=True)
class Budget:
    """So many bytes, a share of all weights, or (neither) the smallest that costs little time."""

    size_bytes: int | None = None
    share: float | None = None

    @property
    def is_auto(self) -> bool:
        """Whether the planner chooses it."""
        return self.size_bytes is None and self.share is None

    def of(self, total_bytes: int) -> int:
        """The budget in bytes, for weights of so many bytes; all of them where it is ``auto``."""
        if self.size_bytes is not None:
            return self.size_bytes
        return round((1.0 if self.share is None else self.share) * total_bytes)


def parse_budget(text: str | float) -> Budget:
    """A text, bytes as an integer, or a share of the weights as a float from 0 to 1.

    Raises UserError for what is no size, no share from 0 to 100 %, and not ``auto``.
    """
    if isinstance(text, float):
        text = f"{100 * text:f}%"
    if str(text).strip().lower() == "auto":
        return Budget()
    match = _FORM.fullmatch(str(text).strip())
    unit = match["unit"].lower() if match else None
    if match is None or (unit != "%" and unit not in _UNITS):
        raise UserError(
            f"cannot read the budget {text!r}",
            hint="Give a size, such as 512MiB, a share of the weights, such as 50%, or auto.",
        )
    number = float(match["number"])
    if unit == "%":
        if number > 100:
            raise UserError(f"a budget of {text}: more than all weights", hint="Give at most 100%.")
        return Budget(share=number / 100)
    return Budget(size_bytes=round(number * _UNITS[unit or ""]))
