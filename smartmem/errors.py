"""The errors users of smartmem can meet, and the exit code each one gives the command line.

A leaf module: it imports nothing but the standard library, so that every room may import it.
Messages are for users: what failed, where, why, and what to do about it.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

_OS_HINTS = {
    errno.ENOSPC: "The disk is full: free some space, or choose another place.",
    errno.EDQUOT: "The quota is used up: free some space, or choose another place.",
    errno.EROFS: "The file system is read-only: choose another place.",
    errno.EACCES: "Permission is missing: choose another place, or change its permissions.",
}


class SmartmemError(Exception):
    """Base of every error raised on purpose; `hint` says what to do, where there is something."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UserError(SmartmemError):
    """Something the caller gave is wrong: a path, an option, a shape, a damaged file."""


@dataclass(frozen=True)
class UnsupportedOp:
    """One row of the table of an `UnsupportedError`: an op, an input or control flow."""

    op: str
    location: str
    reason: str
    remedy: str


class UnsupportedError(SmartmemError):
    """The model needs something smartmem does not do; `rows` lists all of it at once."""

    exit_code = 2

    def __init__(
        self, message: str, rows: Sequence[UnsupportedOp] = (), *, hint: str | None = None
    ) -> None:
        super().__init__(f"{message}\n{table(rows)}" if rows else message, hint=hint)
        self.rows: list[UnsupportedOp] = list(rows)


class MismatchError(SmartmemError):
    """Compiled and eager outputs differ by more than the tolerance."""

    exit_code = 3


class DeviceError(SmartmemError):
    """A device is missing, unknown, or failed while running."""

    exit_code = 4


class CompileError(SmartmemError):
    """A compiler stage failed; `reproducer` is the folder or file that shows it, where written."""

    def __init__(
        self, message: str, *, reproducer: Path | None = None, hint: str | None = None
    ) -> None:
        super().__init__(
            f"{message}\nreproducer: {reproducer}" if reproducer else message, hint=hint
        )
        self.reproducer = reproducer


def os_error(error: OSError, doing: str | None = None) -> UserError:
    """What the system refused, in its own words: a full or read-only disk, a missing folder."""
    place = error.filename if doing is None else doing
    reason = error.strerror or str(error) or type(error).__name__
    hint = _OS_HINTS.get(error.errno or 0)
    return UserError(f"{place}: {reason}" if place else reason, hint=hint)


def counted(count: int, noun: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def not_supported(rows: int) -> str:
    """The line above a table of that many rows."""
    verb = "is" if rows == 1 else "are"
    return f"{counted(rows, 'thing')} that the model needs {verb} not supported"


def table(rows: Sequence[UnsupportedOp]) -> str:
    """Aligns the rows under the headings op, where, why, what to do."""
    cells = [("op", "where", "why", "what to do")]
    cells += [(row.op, row.location, row.reason, row.remedy) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    return "\n".join(
        "  " + "  ".join([*(text.ljust(w) for text, w in zip(row, widths, strict=False)), row[3]])
        for row in cells
    )
