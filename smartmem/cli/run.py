"""`smartmem run`: runs a compiled model on given or random inputs; cold and warm times apart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import executor_option, json_option
from smartmem.cli.output import milliseconds, print_json, print_pairs, progress
from smartmem.errors import UserError, os_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smartmem.runtime.manifest import TensorSpec
    from smartmem.runtime.session import Executor


@click.command(name="run")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--device", default="auto", show_default=True, help="auto, cpu, vulkan, or a name.")
@executor_option
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
    inputs: tuple[Path, ...],
    seed: int,
    repeat: int,
    output_dir: Path | None,
    as_json: bool,
) -> None:
    """Run the compiled model at PATH."""
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
        session = Session(bundle, device, executor=executor)
        load_s = time.perf_counter() - start
        show(f"running on {session.device.name}")
        times_s: list[float] = []
        results: list[NDArray[Any]] = []
        for _ in range(repeat + 1):
            start = time.perf_counter()
            results = session.run_flat(arrays)
            times_s.append(time.perf_counter() - start)
    first_s, warm_s = times_s[0], times_s[1:]
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
            *(
                (spec.name, f"{result.dtype}{list(result.shape)}")
                for spec, result in _pairs(bundle.manifest.outputs, results)
            ),
            *(("written", str(file)) for file in files),
        ]
    )


def read_inputs(files: Sequence[Path], specs: Sequence[TensorSpec]) -> list[NDArray[Any]]:
    """The arrays of the .npy files; one for each input of the model."""
    import numpy as np

    if len(files) != len(specs):
        names = ", ".join(spec.name for spec in specs)
        raise UserError(f"the model takes {len(specs)} inputs ({names}), got {len(files)} files")
    arrays: list[NDArray[Any]] = []
    for file in files:
        try:
            array = np.load(file, allow_pickle=False)
        except (OSError, EOFError) as error:
            raise UserError(f"{file}: cannot be read as .npy ({error})") from error
        except ValueError as error:
            raise UserError(
                f"{file}: cannot be read as .npy (it is another kind of file, damaged, or holds "
                "more than numbers)"
            ) from error
        if not isinstance(array, np.ndarray):
            raise UserError(f"{file}: an archive of arrays; give one .npy file for each input")
        arrays.append(array)
    return arrays


def random_inputs(specs: Sequence[TensorSpec], seed: int) -> list[NDArray[Any]]:
    """Normal floats, and integers and bools of 0 and 1: valid as indices and as masks."""
    import numpy as np

    from smartmem.runtime.dtypes import dtype_of

    generator = np.random.default_rng(seed)
    arrays: list[NDArray[Any]] = []
    for spec in specs:
        dtype = dtype_of(spec.source_dtype)
        if dtype.kind in "iub":
            values = generator.integers(0, 2, spec.shape)
        else:
            values = generator.standard_normal(spec.shape)
        arrays.append(np.asarray(values).astype(dtype))
    return arrays


def save_outputs(
    folder: Path, specs: Sequence[TensorSpec], results: Sequence[NDArray[Any]]
) -> list[Path]:
    """Writes output I as I_NAME.npy; bfloat16, which .npy does not know, as float32."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for position, (spec, result) in enumerate(_pairs(specs, results)):
        file = folder / f"{position}_{spec.name.replace('/', '_')}.npy"
        array = result.astype(np.float32) if spec.source_dtype == "bfloat16" else result
        try:
            np.save(file, array)
        except OSError as error:
            file.unlink(missing_ok=True)
            raise os_error(error, f"cannot write {file}") from error
        files.append(file)
    return files


def _pairs(
    specs: Sequence[TensorSpec], results: Sequence[NDArray[Any]]
) -> list[tuple[TensorSpec, NDArray[Any]]]:
    return list(zip(specs, results, strict=True))


def _describe(spec: TensorSpec, result: NDArray[Any]) -> dict[str, Any]:
    return {"name": spec.name, "dtype": str(result.dtype), "shape": list(result.shape)}
