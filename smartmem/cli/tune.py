"""`smartmem tune`: measure tiles of contractions on a device, for later compiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import json_option
from smartmem.cli.output import print_json, print_pairs, progress
from smartmem.errors import UserError

if TYPE_CHECKING:
    from smartmem.passes.tuning.database import Database


@click.command(name="tune")
@click.argument("specs", nargs=-1)
@click.option("--device", default="vulkan", show_default=True, help="vulkan, or a device's name.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    help="How long to search, about.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the search.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The database to add to; by default the user's, which every compile reads.",
)
@click.option(
    "--merge",
    "merged",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Take in this database, too; may be repeated, and without SPEC nothing is measured.",
)
@json_option
def command(
    specs: tuple[str, ...],
    device: str,
    seconds: float,
    seed: int,
    out: Path | None,
    merged: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Measure tiles for the contractions of SPECS: models as for `smartmem compile`, compiled
    folders, or shapes such as 197x768x192 (M x N x K) and 12x64x64x32 (batch first).
    """
    from smartmem.passes.tuning.database import load, merge_all, user_file

    if not specs and not merged:
        raise UserError(
            "nothing to measure and nothing to merge",
            hint="Write `smartmem tune SPEC...`, or give databases by --merge.",
        )
    parts = [load(path) for path in merged]
    facts: dict[str, Any] = {}
    if specs:
        measured, facts = _measured(specs, device, seconds, seed, as_json)
        parts.append(measured)
    family = parts[0].family
    file = out or user_file(family)
    if file is None:
        raise UserError(
            "SMARTMEM_CACHE is off, so there is no place for the user's database",
            hint="Name a file by --out.",
        )
    # What is measured now and what was given stand above what the file held.
    found = merge_all([*parts, *([load(file)] if file.is_file() else [])])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(found.to_json(), encoding="utf-8")
    summary = {"path": str(file), "family": family, "entries": len(found.entries), **facts}
    if as_json:
        print_json(summary)
        return
    print_pairs([(key, str(value)) for key, value in summary.items() if key != "contractions"])


def _measured(
    specs: tuple[str, ...], wish: str, seconds: float, seed: int, as_json: bool
) -> tuple[Database, dict[str, Any]]:
    from smartmem.passes.iree.cache import Cache
    from smartmem.passes.target import resolve
    from smartmem.runtime.devices import find
    from smartmem.tuning.tune import tune
    from smartmem.tuning.units import units

    device = find(wish)
    target = resolve(device.target)
    if target.kernels is None or target.kind != "vulkan":
        raise UserError(
            f"{device.name}: kernels of target {target.name} are IREE's own: nothing to tune",
            hint="Tune on a Vulkan device whose target has a [kernels] table.",
        )
    with progress(as_json) as show:
        found = units(specs, target, Cache.default(), show)
        if not found:
            raise UserError(f"{', '.join(specs)}: no contraction that tiles could be chosen for")
        tuned = tune(found, target, device, seconds=seconds, seed=seed, progress=show)
    entries = tuned.database.entries
    faster = [e.rule_us / e.us for e in entries.values() if e.rule_us and e.us < e.rule_us]
    return tuned.database, {
        "device": device.name,
        "seconds": round(tuned.seconds, 1),
        "measured": len(entries),
        "faster_than_the_rule": len(faster),
        "unmeasured": len(tuned.unmeasured),
        "contractions": {key: [e.iree_us, e.rule_us, e.us] for key, e in sorted(entries.items())},
    }
