"""`smartmem`: finds the verb, runs it, and turns errors into messages and exit codes.

Exit codes: 0 ok, 1 user error, 2 unsupported, 3 mismatch, 4 device. A verb's module is imported
when the verb is used, so that `--help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import import_module
from typing import Any

import click

from smartmem.cli.output import print_json
from smartmem.debug import is_debug
from smartmem.errors import SmartmemError, UnsupportedError, UserError, os_error
from smartmem.spelling import did_you_mean

# Each verb with its line of help: showing the help must not import the verbs.
VERBS = {
    "check": "Say what compiling a model would give, before it is done.",
    "compile": "Compile a model for one or more targets.",
    "run": "Run a compiled model and time it.",
    "verify": "Compare a compiled model with eager PyTorch.",
    "stats": "Show what compiling a model gained.",
    "report": "Show what became of each layout transformation, and why.",
    "explain": "Show all that is known of one op or tensor of a compiled model.",
    "plan": "Show how a model's weights move under a memory budget, or change the budget.",
    "pool": "Run several models together under one memory budget, with deadlines.",
    "tune": "Measure tiles of kernels on a device, for later compiles.",
    "predict": "Predict how long a model takes on a target, without running it.",
    "bench": "Measure models of the suite, smartmem against its peers.",
    "deploy": "Run and measure a compiled model on an Android device.",
    "devices": "List the devices of this machine.",
}

INTERRUPTED = 130


class _Verbs(click.Group):
    """The group of verbs, each loaded on use from the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        return import_module(f"smartmem.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            raise UserError(
                f"unknown verb {args[0]!r}.{did_you_mean(args[0], VERBS)}",
                hint=f"Verbs: {', '.join(VERBS)}.",
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Verbs,
    name="smartmem",
    epilog="Set SMARTMEM_DEBUG=1 to see the trace of an error. Keys of --json: docs/cli.md.",
)
@click.version_option(package_name="smartmem")
def group() -> None:
    """Compile PyTorch models for Vulkan GPUs and the CPU, run them, and check them."""


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    try:
        with _libraries_silent():
            code = group.main(arguments, prog_name="smartmem", standalone_mode=False)
            sys.stdout.flush()
    except SmartmemError as error:
        return _fail(error, as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return UserError.exit_code
    except click.ClickException as error:
        return _fail(UserError(error.format_message(), hint=_usage(error)), as_json)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): the rest of it has nowhere to go.
        _discard_stdout()
        return 1
    except OSError as error:
        return _fail(os_error(error), as_json)
    except Exception as error:
        wrapped = SmartmemError(
            f"internal error: {type(error).__name__}: {error}",
            hint="This is a bug in smartmem. SMARTMEM_DEBUG=1 shows where it happened.",
        )
        return _fail(wrapped, as_json)
    return code if isinstance(code, int) else 0


@contextmanager
def _libraries_silent() -> Generator[None]:
    """Keeps the log of torch, which tells of errors that become messages, off a user's screen."""
    before = logging.root.manager.disable
    if not is_debug():
        logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _discard_stdout() -> None:
    """Sends what is left in stdout's buffer nowhere: Python flushes it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: SmartmemError, as_json: bool) -> int:
    """Reports the error to a person on stderr, and to a program on stdout."""
    if is_debug():
        traceback.print_exc()
    click.echo(f"error: {error}", err=True)
    if as_json:
        report: dict[str, Any] = {
            "kind": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        if isinstance(error, UnsupportedError):
            report["unsupported"] = [asdict(row) for row in error.rows]
        with suppress(OSError):
            print_json({"error": report})
    try:
        sys.stdout.flush()
    except OSError:
        # It may be stdout itself that failed: the message on stderr stands.
        _discard_stdout()
    return error.exit_code


def _usage(error: click.ClickException) -> str | None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"See `{context.command_path} --help`." if context else None
