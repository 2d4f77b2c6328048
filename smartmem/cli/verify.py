"""`smartmem verify`: a compiled model against the eager one; exit code 3 on mismatch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import devices_option, executor_option, json_option, load_budget_option
from smartmem.cli.output import print_json, print_pairs, progress
from smartmem.errors import MismatchError, SmartmemError, UserError

if TYPE_CHECKING:
    from smartmem.dispatches import DispatchReport
    from smartmem.locate import Search
    from smartmem.runtime.session import Executor
    from smartmem.verify import VerifyReport


@click.command(name="verify")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("spec", required=False)
@click.option("--source", help="The model, as SPEC.")
@devices_option
@executor_option
@load_budget_option
@click.option(
    "--rtol",
    type=click.FloatRange(min=0, min_open=True),
    help="Relative L2 allowed; by default 1e-4 for float32, 1e-2 float16, 5e-2 bfloat16.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the second input.")
@click.option(
    "--per-op", is_flag=True, help="Compare op by op, even where the outputs agree with eager."
)
@click.option(
    "--per-dispatch",
    is_flag=True,
    help="Compare each Vulkan kernel of PATH with the CPU, alone and on random content; no SPEC.",
)
@json_option
def command(
    path: Path,
    spec: str | None,
    source: str | None,
    devices: tuple[str, ...],
    executor: Executor,
    budget: str | None,
    rtol: float | None,
    seed: int,
    per_op: bool,
    per_dispatch: bool,
    as_json: bool,
) -> int:
    """Compare the compiled model at PATH with SPEC, given as for `smartmem compile`.

    Where they differ, the model is compiled again to find the first op that goes wrong.
    """
    if per_dispatch:
        if spec or source or per_op:
            raise UserError(
                "--per-dispatch compares with the CPU, not with a model",
                hint="Leave SPEC, --source and --per-op out, or verify twice.",
            )
        return _per_dispatch(path, devices, rtol, seed, as_json)
    if (spec is None) == (source is None):
        raise UserError(
            "verify needs the model it compares with, once",
            hint="Write `smartmem verify PATH SPEC` or `smartmem verify PATH --source SPEC`.",
        )
    from smartmem.locate import Search, locate
    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.session import Session
    from smartmem.verify import verify, verify_cases

    # What is wrong with the bundle or a device is told before the model is loaded, which is slow.
    bundle = Bundle.open(path)
    sessions = [Session(bundle, device, executor=executor, budget=budget) for device in devices]
    from smartmem.frontend.loader import load_source

    reports: list[VerifyReport] = []
    searches: list[Search | None] = []
    with progress(as_json) as show:
        show("loading the eager model")
        model, example_inputs, example_kwargs = load_source(spec or source or "")
        for session in sessions:
            show(f"comparing on {session.device.name}")
            report = verify(session, model, example_inputs, example_kwargs, rtol=rtol, seed=seed)
            reports.append(report)
            wrong = [row.case for row in report.outputs if row.differs]
            search = None
            if wrong or per_op:
                case = verify_cases(example_inputs, example_kwargs, seed)[min(wrong, default=0)]
                try:
                    search = locate(session, model, case, rtol=rtol, progress=show)
                except SmartmemError as error:
                    # The verdict stands, whatever keeps us from saying more.
                    search = Search(None, 0, 0, f"no op could be named: {error.message}")
            searches.append(search)
    ok = all(report.ok for report in reports) and not any(s and s.wrong for s in searches)
    if as_json:
        rows = [_json(*pair) for pair in zip(reports, searches, strict=True)]
        print_json({"path": str(path), "ok": ok, "devices": rows})
    else:
        for report, search in zip(reports, searches, strict=True):
            _print_report(report, search)
    return 0 if ok else MismatchError.exit_code


def _per_dispatch(
    path: Path, devices: tuple[str, ...], rtol: float | None, seed: int, as_json: bool
) -> int:
    from smartmem.dispatches import verify_dispatches
    from smartmem.runtime.bundle import Bundle

    bundle = Bundle.open(path)
    with progress(as_json) as show:
        reports = [
            verify_dispatches(bundle, device=device, rtol=rtol, seed=seed, progress=show)
            for device in devices
        ]
    ok = not any(report.wrong for report in reports)
    if as_json:
        rows = [report.as_json() for report in reports]
        print_json({"path": str(path), "ok": ok, "devices": rows})
    else:
        for report in reports:
            _print_dispatches(report)
    return 0 if ok else MismatchError.exit_code


def _print_dispatches(report: DispatchReport) -> None:
    print_pairs([("device", report.device), ("target", report.target)])
    worst = max((row.relative_l2 for row in report.dispatches), default=0.0)
    print_pairs(
        (
            row.dispatch,
            f"BAD relative L2 {row.relative_l2:.3g} (allowed {row.tolerance:g}) at "
            f"{row.location or 'an unknown line'}",
        )
        for row in report.wrong
    )
    print_pairs((row.dispatch, f"not compared: {row.reason}") for row in report.unchecked)
    total = len(report.dispatches)
    if report.wrong:
        click.echo(f"MISMATCH: {len(report.wrong)} of {total} distinct dispatches differ")
    else:
        click.echo(f"{total} distinct dispatches match the CPU, relative L2 {worst:.3g} at most")


def _json(report: VerifyReport, search: Search | None) -> dict[str, Any]:
    return report.as_json() | ({"per_op": search.as_json()} if search else {})


def _print_report(report: VerifyReport, search: Search | None) -> None:
    print_pairs([("device", report.device), ("target", report.target)])
    print_pairs(
        (
            f"{row.name}, input {row.case + 1}",
            f"{'ok ' if row.ok else 'BAD'} relative L2 {row.relative_l2:.3g} "
            f"(allowed {row.tolerance:g}), max abs {row.max_abs:.3g}, cosine {row.cosine:.6f}, "
            f"changes by {row.change:.3g}",
        )
        for row in report.outputs
    )
    click.echo("matches eager" if report.ok else f"MISMATCH: {report.reason}")
    if search:
        click.echo(search.explanation)
