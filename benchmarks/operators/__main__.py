"""``python -m smartmem.benchmarks.operators``: judge smartmem by PyTorch's operator database."""

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from smartmem.benchmarks.operators import results
from smartmem.benchmarks.operators.claims import claims
from smartmem.benchmarks.operators.judge import Outcome
from smartmem.benchmarks.operators.results import Row
from smartmem.benchmarks.operators.samples import SampleId
from smartmem.errors import UserError
from smartmem.spelling import did_you_mean

RESULTS = Path(__file__).resolve().parents[1] / "results"

# Samples per model: starting iree-compile costs more than what it compiles here, but where a batch
# fails it is compiled again in halves.
BATCH = 64
PROGRESS = 500


def _batches(ids: Sequence[SampleId]) -> list[Sequence[SampleId]]:
    return [ids[first : first + BATCH] for first in range(0, len(ids), BATCH)]


def _chosen(names: Sequence[str], family: Sequence[str], claimed: bool) -> list[str]:
    """The entries asked for: by name (all variants of it), by family, all claimed, or all."""
    from smartmem.benchmarks.operators import samples

    known = samples.names()
    families = claims().family_of
    for name in family:
        if name not in families.values():
            raise UserError(f"no family '{name}'", hint=did_you_mean(name, families.values()))
    for name in names:
        if name not in known and not any(op.startswith(f"{name}.") for op in known):
            raise UserError(f"no entry '{name}'", hint=did_you_mean(name, known))
    if not names and not family:
        return [op for op in known if op in families or not claimed]
    return [
        op
        for op in known
        if families.get(op) in family or any(op == n or op.startswith(f"{n}.") for n in names)
    ]


def _ids(ops: Iterable[str], limit: int | None) -> list[SampleId]:
    from smartmem.benchmarks.operators.samples import samples_of, spread

    return [SampleId(op, i) for op in ops for i in spread(len(samples_of(op)), limit)]


def _collected(outcomes: Iterable[Outcome], total: int) -> list[Outcome]:
    """All outcomes, with a line of progress now and then."""
    found: list[Outcome] = []
    for outcome in outcomes:
        found.append(outcome)
        if len(found) % PROGRESS == 0:
            print(f"{len(found)} of {total}", file=sys.stderr, flush=True)
    return found


def _print(found: Sequence[Row]) -> None:
    families = claims().family_of
    for row in found:
        mark = "ok  " if row.passes else "FAIL" if row.op in families else "-   "
        counts = ", ".join(f"{count} {status}" for status, count in sorted(row.counts.items()))
        print(f"{mark} {row.op}: {counts or 'no samples'}")
        for reason, count in row.reasons.items():
            if not reason.startswith("outside"):
                print(f"       {count} x {reason}")
    good = sum(row.passes for row in found)
    samples, passed = sum(r.samples for r in found), sum(r.counts.get("passed", 0) for r in found)
    print(f"{good} of {len(found)} entries pass; {passed} of {samples} samples")


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=RESULTS, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


@click.command()
@click.option("--op", "ops", multiple=True, help="An entry, or all variants of a name.")
@click.option("--family", "families", multiple=True, help="All claimed entries of a family.")
@click.option("--claimed", is_flag=True, help="All claimed entries (default: all entries).")
@click.option("--samples", "limit", type=int, help="At most so many samples per entry.")
@click.option("--target", default="cpu", type=click.Choice(["cpu", "llvmpipe"]))
@click.option("--jobs", default=2, help="Processes.")
@click.option(
    "--record",
    "recording",
    is_flag=True,
    help="Write benchmarks/results/operators-*; with --op or --family, its rows there.",
)
def main(
    ops: tuple[str, ...],
    families: tuple[str, ...],
    claimed: bool,
    limit: int | None,
    target: str,
    jobs: int,
    recording: bool,
) -> None:
    """Give claimed entries' samples to smartmem and compare with eager. Exit 3 where one fails."""
    from smartmem.benchmarks.operators import workers

    try:
        chosen = _chosen(ops, families, claimed)
    except UserError as error:
        raise click.ClickException(str(error)) from error
    ids = _ids(chosen, limit)
    started = time.perf_counter()
    outcomes = _collected(workers.run(_batches(ids), target, jobs), len(ids))
    seconds = time.perf_counter() - started
    found = results.rows(outcomes, chosen)
    _print(found)
    print(f"{seconds:.0f} s")
    if recording:
        path = RESULTS / f"operators-{target}.json"
        how = {"target": target, "samples_per_entry": limit}
        write = results.amend if ops or families else results.record
        write(found, path, commit=_commit(), seconds=round(seconds), **how)
        print(f"written: {path}")
    sys.exit(3 if results.failures(found) else 0)


if __name__ == "__main__":
    main()
