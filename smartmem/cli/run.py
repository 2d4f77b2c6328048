"""`smartmem run`: runs a compiled model on given or random inputs; cold and warm times apart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import executor_option, json_option, load_budget_option
from smartmem.cli.output import milliseconds, print_json, print_pairs, progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smartmem.runtime.manifest import TensorSpec
    from smartmem.runtime.session import Executor


@click.command(name="run")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--device", default="auto", show_default=True, help="auto, cpu, vulkan, or a name.")
@executor_option
@load_budget_option
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A .npy file for each input, in order; random without it.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random inputs.")
@click.option(
    "--repeat", default=10, show_default=True, type=click.IntRange(min=1), help="Warm runs."
)
@click.option("--output-dir", type=click.Path(path_type=Path), help="Where outputs go, as .npy.")
@json_option
def command(
    path: Path,
    device: str,
    executor: Executor,
    budget: str | None,
    inputs: tuple[Path, ...],
    seed: int,
    repeat: int,
    output_dir: Path | None,
    as_json: bool,
) -> None:
    """Run the compiled model at PATH."""
    from smartmem.arrays import random_inputs, read_inputs, save_outputs
    from smartmem.runtime import streaming
    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.bundle_writer import check_writable
    from smartmem.runtime.session import Session

    bundle = Bundle.open(path)
    if output_dir:
        check_writable(output_dir / "0.npy")
    specs = bundle.manifest.inputs
    arrays = read_inputs(inputs, specs) if inputs else random_inputs(specs, seed)
    with progress(as_json) as show:
        show(f"loading {path}")
        start = time.perf_counter()
        session = Session(bundle, device, executor=executor, budget=budget)
        load_s = time.perf_counter() - start
        show(f"running on {session.device.name}")
        times_s: list[float] = []
        results: list[NDArray[Any]] = []
        for _ in range(repeat + 1):
            start = time.perf_counter()
            results = session.run_flat(arrays)
            times_s.append(time.perf_counter() - start)
    first_s, warm_s = times_s[0], times_s[1:]
    moved = streaming.summary(session.module) if streaming.is_told(session.module) else None
    files = save_outputs(output_dir, bundle.manifest.outputs, results) if output_dir else []
    if as_json:
        print_json(
            {
                "path": str(path),
                "device": vars(session.device),
                "target": session.target,
                "executor": session.executor,
                "load_seconds": load_s,
                "first_run_seconds": first_s,
                "warm_seconds": warm_s,
                "warm_median_seconds": median(warm_s),
                **({"streaming": moved} if moved else {}),
                "outputs": [_describe(*pair) for pair in _pairs(bundle.manifest.outputs, results)],
                "files": [str(file) for file in files],
            }
        )
        return
    chosen = session.device
    print_pairs(
        [
            ("device", f"{chosen.name} ({chosen.kind}, {chosen.driver}, {chosen.api})"),
            ("target", session.target),
            ("executor", session.executor),
            ("inputs", "from files" if inputs else f"random, seed {seed}"),
            ("cold", f"load {milliseconds(load_s)}, first run {milliseconds(first_s)}"),
            (
                "warm",
                f"median {milliseconds(median(warm_s))}, fastest {milliseconds(min(warm_s))} "
                f"of {repeat} runs",
            ),
            *(streaming.lines(moved) if moved else ()),
            *(
                (spec.name, f"{result.dtype}{list(result.shape)}")
                for spec, result in _pairs(bundle.manifest.outputs, results)
            ),
            *(("written", str(file)) for file in files),
        ]
    )


def _pairs(
    specs: Sequence[TensorSpec], results: Sequence[NDArray[Any]]
) -> list[tuple[TensorSpec, NDArray[Any]]]:
    return list(zip(specs, results, strict=True))


def _describe(spec: TensorSpec, result: NDArray[Any]) -> dict[str, Any]:
    return {"name": spec.name, "dtype": str(result.dtype), "shape": list(result.shape)}
