"""Which ops may share a kernel: DNNFusion's table of combinations (PLDI'21, table 3), as data.

Rows are the mapping type of the first op, columns that of the second, which reads it. Green: they
are fused wherever the constraints hold. Yellow: legal, but it may cost more than it gains (a read
that is no longer contiguous, elements computed again), so it is judged. Red: never: what is read
many times over would be computed as often, or the sums of two ops would share registers. The type
of a cell is that of the fused op; a block of several ops is combined from left to right.

The paper's text does not say the colour of One-to-Many after One-to-Many; it counts as yellow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from smartmem.passes.rules.classes import Mapping

Colour = Literal["green", "yellow", "red"]

TYPES: tuple[Mapping, ...] = (
    "One-to-One",
    "One-to-Many",
    "Many-to-Many",
    "Reorganize",
    "Shuffle",
)


@dataclass(frozen=True)
class Combination:
    """A cell: its colour, and the mapping type of both ops as one; None where they never are."""

    colour: Colour
    mapping: Mapping | None

    def __str__(self) -> str:
        """``yellow, Many-to-Many``."""
        return self.colour if self.mapping is None else f"{self.colour}, {self.mapping}"


_SHORT: dict[str, Mapping] = {
    "1-1": "One-to-One",
    "1-n": "One-to-Many",
    "n-n": "Many-to-Many",
    "reorg": "Reorganize",
    "shuf": "Shuffle",
}
# Rows and columns in the order of TYPES.
_CELLS = """
    1-1 green    1-n green    n-n green    reorg green   shuf green
    1-n green    1-n yellow   red          1-n yellow    1-n yellow
    n-n green    n-n yellow   red          n-n yellow    n-n yellow
    reorg green  1-n yellow   n-n yellow   reorg green   reorg green
    shuf green   1-n yellow   n-n yellow   reorg green   shuf green
"""


def _parsed(text: str) -> dict[tuple[Mapping, Mapping], Combination]:
    words = iter(text.split())
    table: dict[tuple[Mapping, Mapping], Combination] = {}
    for first in TYPES:
        for second in TYPES:
            word = next(words)
            if word == "red":
                table[first, second] = Combination("red", None)
            else:
                colour: Colour = "green" if next(words) == "green" else "yellow"
                table[first, second] = Combination(colour, _SHORT[word])
    return table


TABLE = _parsed(_CELLS)


def combine(first: Mapping | None, second: Mapping) -> Combination:
    """The cell of an op of type ``first`` (None: of ops that never are one) and its reader."""
    return Combination("red", None) if first is None else TABLE[first, second]


def table() -> Iterator[str]:
    """The table as rows of Markdown."""
    yield f"| first, then | {' | '.join(TYPES)} |"
    yield "|---" * (len(TYPES) + 1) + "|"
    for first in TYPES:
        yield f"| **{first}** | {' | '.join(str(TABLE[first, second]) for second in TYPES)} |"
