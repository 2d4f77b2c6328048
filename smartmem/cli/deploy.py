"""`smartmem deploy`: a compiled model on an Android device, compared and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartmem.cli.options import chosen_target, json_option
from smartmem.cli.output import milliseconds, print_json, print_pairs, progress, size
from smartmem.errors import DeviceError, MismatchError, UserError

if TYPE_CHECKING:
    from smartmem.deploy.cases import Case
    from smartmem.deploy.deploy import Deployed
    from smartmem.deploy.programs import Program
    from smartmem.runtime.bundle import Bundle


@click.command(name="deploy")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--serial", metavar="S", help="Which device, as `adb devices` names it.")
@click.option("--target", metavar="NAME", help="Which target; needed where there are several.")
@click.option("--source", metavar="SPEC", help="Compare with this model in eager PyTorch.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A .npy file for each input, in order; with --expect.",
)
@click.option(
    "--expect",
    "expected",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A .npy file for each output, in order: what must come out for --input.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of drawn inputs.")
@click.option(
    "--program",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="smartmem-run for the device; by default the one that its CMake preset builds.",
)
@click.option(
    "--iree",
    "iree_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Run the vmfb by IREE's own programs for the device, which lie in this folder.",
)
@click.option("--runs", default=20, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--replays",
    default=10,
    show_default=True,
    type=click.IntRange(min=0),
    help="Further runs whose results must have the same bits.",
)
@click.option(
    "--drift",
    "drift_s",
    default=0.0,
    type=click.FloatRange(min=0),
    help="Keep running for so many seconds, to see the device grow warm; 60 says most.",
)
@click.option(
    "--time-limit",
    "limit_s",
    default=600.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Seconds that a program may take on the device.",
)
@click.option("--output-dir", type=click.Path(path_type=Path), help="Where outputs go, as .npy.")
@click.option("--remove", is_flag=True, help="Leave nothing of it on the device.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the report goes, as JSON.")
@json_option
def command(
    path: Path,
    serial: str | None,
    target: str | None,
    source: str | None,
    inputs: tuple[Path, ...],
    expected: tuple[Path, ...],
    seed: int,
    program: Path | None,
    iree_folder: Path | None,
    runs: int,
    replays: int,
    drift_s: float,
    limit_s: float,
    output_dir: Path | None,
    remove: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Run the compiled model at PATH on an Android device over adb."""
    from smartmem.deploy import adb
    from smartmem.deploy.deploy import deploy
    from smartmem.deploy.programs import Effort
    from smartmem.deploy.report import document
    from smartmem.runtime.bundle import Bundle

    if bool(inputs) != bool(expected) or (inputs and source):
        raise UserError(
            "what must come out is not clear",
            hint="Give --source alone, or --input and --expect together.",
        )
    bundle = Bundle.open(path)
    chosen = chosen_program(bundle, target, program, iree_folder)
    device = adb.choose(serial)
    with progress(as_json) as show:
        show("computing what must come out")
        cases = _cases(bundle, source, inputs, expected, seed)
        effort = Effort(runs, replays, drift_s, limit_s)
        done = deploy(
            device, chosen, cases, effort, results=output_dir, remove=remove, progress=show
        )
    report = document(done)
    if out is not None:
        from smartmem.benchmarks.bench.results import write

        write(out, report)
    if as_json:
        print_json(report)
    else:
        _print(done)
    codes = {"ok": 0, "wrong": MismatchError.exit_code}
    return codes.get(done.row.status, DeviceError.exit_code)


def chosen_program(
    bundle: Bundle, wish: str | None, program: Path | None, iree_folder: Path | None
) -> Program:
    """What runs the bundle's target ``wish``: a program of the user's, or our own as it is built.

    Raises UserError where there is none, or no such target.
    """
    from smartmem.deploy.programs import PRESET, OurProgram, StockProgram
    from smartmem.runtime.native_api import LIBRARY

    known = [name for name, entry in bundle.manifest.targets.items() if entry.kind == "vulkan"]
    target = chosen_target(bundle, wish, known)
    if iree_folder is not None:
        return StockProgram(bundle, target, iree_folder)
    chosen = program or LIBRARY.parent / PRESET / "smartmem-run"
    if not chosen.is_file():
        raise UserError(
            f"{chosen}: smartmem-run is not built for Android",
            hint=f"Build it: `cmake --preset {PRESET}` in runtime/native (docs/android.md), or "
            "name one with --program, or IREE's programs with --iree.",
        )
    return OurProgram(bundle, target, chosen)


def _cases(
    bundle: Bundle,
    source: str | None,
    inputs: tuple[Path, ...],
    expected: tuple[Path, ...],
    seed: int,
) -> list[Case]:
    from smartmem.deploy import cases

    if inputs:
        return cases.from_files(bundle, inputs, expected)
    if source is not None:
        return cases.from_source(bundle, source, seed)
    if any(entry.kind == "cpu" for entry in bundle.manifest.targets.values()):
        return cases.from_cpu(bundle, seed)
    raise UserError(
        f"{bundle.path}: nothing to compare the device's results with",
        hint="Give --source with the model, or --input and --expect, or compile it for cpu, too.",
    )


def _print(done: Deployed) -> None:
    from smartmem.benchmarks.bench.table import verdict

    phone = done.checked.phone
    print_pairs(
        [
            ("device", f"{phone.model} ({phone.serial}, Android {phone.android}, {phone.abi})"),
            ("gpu", _gpu(done)),
            ("pushed", size(done.checked.pushed_bytes)),
            *_measured(done),
            ("result", verdict(done.row)),
        ]
    )


def _gpu(done: Deployed) -> str:
    gpu = done.checked.gpu
    if not gpu:
        return f"Vulkan {done.checked.phone.vulkan}"
    return f"{gpu['name']} ({gpu['driver']} {gpu['driver_info']}, Vulkan {gpu['api']})"


def _measured(done: Deployed) -> list[tuple[str, str]]:
    """What a row of `smartmem bench` has no line for."""
    details = done.details
    lines: list[tuple[str, str]] = []
    for load in details.get("loads", ()):
        cached = ", pipelines from the cache" if load["cache_hit"] else ""
        lines.append(("load", f"{milliseconds(load['load_ms'] / 1e3)}{cached}"))
    if "pss_bytes" in details:
        device = size(details["device_peak_bytes"])
        lines.append(
            ("memory", f"{size(details['pss_bytes'])} PSS at the end, {device} of the GPU")
        )
    if details.get("replays"):
        lines.append(("replays", f"{details['differing_replays']} of {details['replays']} differ"))
    drift = details.get("drift", ())
    if drift:
        first, last = drift[0], drift[-1]
        lines.append(
            (
                "drift",
                f"{milliseconds(first['median_ms'] / 1e3)} at first, "
                f"{milliseconds(last['median_ms'] / 1e3)} after {last['at_s']:.0f} s",
            )
        )
    return lines
