"""The nearest known spelling of a word a user gave: a leaf, imported from every room."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean 'x'?' with the nearest of ``known``, or nothing where none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
