"""The nearest known spelling of a word a user gave: a leaf, imported from every room."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean 'x'?' with the nearest of ``known`` in any case, or nothing."""
    spelt = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word.lower(), spelt, n=1)
    return f" Did you mean {spelt[matches[0]]!r}?" if matches else ""
