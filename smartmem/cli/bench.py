"""`smartmem bench`: models of the suite, ours against peers, side by side in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartmem.cli.options import devices_option, executor_option, json_option, storage_option
from smartmem.cli.output import print_json, progress
from smartmem.errors import MismatchError, UserError

if TYPE_CHECKING:
    from smartmem.benchmarks.bench.results import Row
    from smartmem.passes.target import Storage
    from smartmem.runtime.manifest import Precision
    from smartmem.runtime.session import Executor

SIZES = ("full", "bench", "tiny")


@click.command(name="bench")
@click.argument("names", nargs=-1, required=True, metavar="NAME...|all")
@click.option("--size", type=click.Choice(SIZES), default="bench", show_default=True)
@devices_option
@executor_option
@click.option(
    "--weights-budget",
    metavar="SIZE",
    help="The most device memory for the weights of smartmem's own models, as --budget of "
    "`smartmem run`; peers have no such bound.",
)
@click.option(
    "--against",
    default="eager,iree",
    show_default=True,
    help="Contenders besides smartmem, with commas: smartmem-fp16, iree, eager, inductor, ncnn, "
    "ncnn-fp16, mnn, ort, ort-webgpu.",
)
@click.option("--runs", type=click.IntRange(min=1), default=20, show_default=True)
@click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="Seconds of timed runs per model; three runs of each contender are always made.",
)
@click.option(
    "--time-limit",
    "call_s",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds that loading, or one run, may take.",
)
@click.option(
    "--build-limit",
    "build_s",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds that building may take, all variants together.",
)
@click.option(
    "--memory-limit",
    "memory_mib",
    type=click.IntRange(min=1),
    default=8192,
    show_default=True,
    help="MiB that a contender may hold.",
)
@click.option("--again", is_flag=True, help="Run smartmem in a second process, too: the noise.")
@click.option("--out", type=click.Path(path_type=Path), help="The document of rows, as JSON.")
@click.option("--resume", is_flag=True, help="Go on with --out: finished rows are kept.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Measure nothing: write a folder that a machine without a compiler runs.",
)
@click.option(
    "--target", "targets", multiple=True, help="What --bundle compiles for; may be repeated."
)
@storage_option
@click.option(
    "--precision",
    type=click.Choice(("fp32", "fp16")),
    default="fp32",
    show_default=True,
    help="What smartmem's own models are held in; with fp16 their contender is smartmem-fp16.",
)
@json_option
def command(
    names: tuple[str, ...],
    size: str,
    devices: tuple[str, ...],
    executor: Executor,
    weights_budget: str | None,
    against: str,
    runs: int,
    budget_s: float,
    call_s: float,
    build_s: float,
    memory_mib: int,
    again: bool,
    out: Path | None,
    resume: bool,
    bundle: Path | None,
    targets: tuple[str, ...],
    storage: Storage,
    precision: Precision,
    as_json: bool,
) -> int:
    """Measure models of the suite. A wrong answer is told as WRONG, never as a time."""
    from smartmem.benchmarks.bench import peers, runner
    from smartmem.benchmarks.bench.harness import Limits, Plan
    from smartmem.benchmarks.bench.results import Document
    from smartmem.benchmarks.bench.table import line
    from smartmem.runtime.devices import find

    if resume and out is None:
        raise UserError("--resume needs the document to go on with", hint="Name it with --out.")
    if bool(targets) != (bundle is not None):
        raise UserError("--bundle and --target belong together: what to compile, and where to")
    if storage != "buffer" and bundle is None:
        raise UserError("--storage is for --bundle: other runs compile for buffers")
    contenders = peers.find([peers.ours(precision), *(n for n in against.split(",") if n)])
    models = chosen_models(names)
    if bundle is not None:
        from smartmem.benchmarks.bench.bundle import write_bundle

        with progress(as_json) as show:
            written = write_bundle(
                bundle,
                models,
                size,
                targets,
                storage=storage,
                precision=precision,
                progress=show,
            )
        if as_json:
            print_json(written)
        else:
            click.echo(f"{bundle}: {written['bytes'] / 1e6:.1f} MB; there: python3 run.py")
        return 0
    request = runner.Request(
        models=tuple(models),
        size=size,
        devices=tuple({d.uri: d for d in (find(wish) for wish in devices)}.values()),
        peers=tuple(contenders),
        executor=executor,
        weights_budget=weights_budget,
        plan=Plan(runs, budget_s, again),
        limits=Limits(build_s, call_s, memory_mib << 20),
    )
    document = Document.start(out, resume=resume)

    def tell(row: Row) -> None:
        if not as_json:
            click.echo(line(row))

    with progress(as_json) as show:
        runner.run(request, document, show=tell, progress=show)
    if as_json:
        print_json(document.to_json())
    ours = [row for row in document.rows if row.contender in (peers.OURS, peers.OURS_FP16)]
    return MismatchError.exit_code if any(row.status == "wrong" for row in ours) else 0


def chosen_models(names: tuple[str, ...]) -> list[str]:
    """The suite's models of these names, each once; UserError for an unknown one."""
    from smartmem.benchmarks.models import suite

    if "all" in names:
        return suite.names()
    return [suite.find(name).name for name in dict.fromkeys(names)]
