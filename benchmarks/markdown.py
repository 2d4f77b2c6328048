"""What pages made of recorded results share: tables, and the place where they stand."""

from collections.abc import Iterable, Sequence

NONE = "-"
_START, _END = "<!-- tables: start -->", "<!-- tables: end -->"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"


def with_tables(page: str, tables: str) -> str:
    """The text ``page`` with ``tables`` between its marks, an empty line before and after."""
    before, rest = page.split(_START)
    _, after = rest.split(_END)
    return f"{before}{_START}\n\n{tables.strip()}\n\n{_END}{after}"
