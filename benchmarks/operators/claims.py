"""Which entries of PyTorch's operator database smartmem claims, and why it leaves the others.

The lists are data: ``benchmarks/data/operators.toml``.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Claims:
    """``family_of`` holds the claimed entries by name, ``reason_of`` all others."""

    family_of: dict[str, str]
    reason_of: dict[str, str]


def _by_name(groups: dict[str, str]) -> dict[str, str]:
    """The group of each name. Raises ValueError where a name stands twice."""
    found: dict[str, str] = {}
    for group, names in groups.items():
        for name in names.split():
            if name in found:
                raise ValueError(f"{name} stands twice: '{found[name]}' and '{group}'")
            found[name] = group
    return found


@cache
def claims() -> Claims:
    """The lists. Raises ValueError where an entry is both claimed and not."""
    text = (files("smartmem.benchmarks") / "data" / "operators.toml").read_text(encoding="utf-8")
    groups = tomllib.loads(text)
    found = Claims(_by_name(groups["claimed"]), _by_name(groups["unclaimed"]))
    both = sorted(set(found.family_of) & set(found.reason_of))
    if both:
        raise ValueError(f"claimed and unclaimed at once: {', '.join(both)}")
    return found
