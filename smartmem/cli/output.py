"""What the verbs share in printing: JSON on stdout, progress on stderr, aligned lines and units."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import click


def print_json(data: dict[str, Any]) -> None:
    click.echo(json.dumps(data, indent=2, allow_nan=False))


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Prints `label  value` lines with the values aligned."""
    rows = list(pairs)
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        click.echo(f"{label.ljust(width)}  {value}")


@contextmanager
def progress(as_json: bool) -> Generator[Callable[[str], None]]:
    """A function that shows what is being done: a spinner on a terminal, lines elsewhere."""
    if as_json:
        yield lambda message: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda message: click.echo(message, err=True)
        return
    with console.status("") as status:
        yield status.update


def size(size_bytes: int) -> str:
    """Bytes in the largest binary unit that leaves at least one: `1.5 MiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def milliseconds(time_s: float) -> str:
    return f"{time_s * 1e3:.2f} ms"
