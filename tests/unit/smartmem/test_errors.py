"""Errors: exit codes, hints, and the table of unsupported ops."""

from __future__ import annotations

from pathlib import Path

from smartmem.errors import (
    CompileError,
    DeviceError,
    MismatchError,
    SmartmemError,
    UnsupportedError,
    UnsupportedOp,
    UserError,
    not_supported,
)


def test_exit_codes() -> None:
    kinds = (UserError, CompileError, UnsupportedError, MismatchError, DeviceError)
    assert [kind.exit_code for kind in kinds] == [1, 1, 2, 3, 4]
    assert all(issubclass(kind, SmartmemError) for kind in kinds)


def test_hints_are_shown_and_kept_apart() -> None:
    error = UserError("what", hint="do this")
    assert str(error) == "what\ndo this"
    assert (error.message, error.hint) == ("what", "do this")
    assert str(UserError("what")) == "what"


def test_table_of_unsupported_ops() -> None:
    rows = [
        UnsupportedOp("aten.foo.default", "model.py:8 (a)", "no importer", "rewrite it"),
        UnsupportedOp("aten.x", "model.py:123 (b.c)", "dynamic", "export it with fixed shapes"),
    ]
    error = UnsupportedError("2 unsupported ops", rows)
    assert error.rows == rows
    assert str(error).splitlines() == [
        "2 unsupported ops",
        "  op                where               why          what to do",
        "  aten.foo.default  model.py:8 (a)      no importer  rewrite it",
        "  aten.x            model.py:123 (b.c)  dynamic      export it with fixed shapes",
    ]


def test_one_thing_is_not_things() -> None:
    assert not_supported(1) == "1 thing that the model needs is not supported"
    assert not_supported(2) == "2 things that the model needs are not supported"


def test_the_reproducer_is_named() -> None:
    error = CompileError("iree-compile failed", reproducer=Path("/tmp/r"), hint="report it")
    assert str(error) == "iree-compile failed\nreproducer: /tmp/r\nreport it"
