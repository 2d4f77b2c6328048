"""Pages of docs/ whose tables are made of recorded results: what stands between two marks."""

_START, _END = "<!-- tables: start -->", "<!-- tables: end -->"


def with_tables(page: str, tables: str) -> str:
    """The text ``page`` with ``tables`` between its marks, an empty line before and after."""
    before, rest = page.split(_START)
    _, after = rest.split(_END)
    return f"{before}{_START}\n\n{tables.strip()}\n\n{_END}{after}"
