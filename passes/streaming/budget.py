"""A budget as a user writes it: ``512MiB``, ``1.5GB``, ``50%`` of the weights."""

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


@dataclass(frozen=True)
class Budget:
    """So many bytes, or a share of all weights."""

    size_bytes: int | None = None
    share: float | None = None

    def of(self, total_bytes: int) -> int:
        """The budget in bytes, for weights of so many bytes."""
        if self.size_bytes is not None:
            return self.size_bytes
        return round((self.share or 0.0) * total_bytes)


def parse_budget(text: str | int) -> Budget:
    """Raises UserError for what is neither a size nor a share from 0 to 100 %."""
    match = _FORM.fullmatch(str(text).strip())
    unit = match["unit"].lower() if match else None
    if match is None or (unit != "%" and unit not in _UNITS):
        raise UserError(
            f"cannot read the budget {text!r}",
            hint="Give a size, such as 512MiB or 1.5GB, or a share of the weights, such as 50%.",
        )
    number = float(match["number"])
    if unit == "%":
        if number > 100:
            raise UserError(f"a budget of {text}: more than all weights", hint="Give at most 100%.")
        return Budget(share=number / 100)
    return Budget(size_bytes=round(number * _UNITS[unit or ""]))
