"""A fixed slice of PyTorch's operator database: a few samples of every claimed entry, against
eager.

The whole of it is run by ``python -m smartmem.benchmarks.operators --claimed --record``.
"""

from smartmem.benchmarks.operators import samples, workers
from smartmem.benchmarks.operators.claims import claims
from smartmem.benchmarks.operators.judge import Outcome
from smartmem.benchmarks.operators.results import failures, rows
from smartmem.benchmarks.operators.samples import SampleId

# Evenly spaced, the first and the last among them.
SAMPLES_PER_ENTRY = 2
BATCH = 64
JOBS = 2


def test_every_entry_is_claimed_or_not() -> None:
    """A new PyTorch brings new entries: each needs a place in benchmarks/data/operators.toml."""
    held = claims()
    assert {*held.family_of, *held.reason_of} == set(samples.names())


def test_claimed_entries_have_samples() -> None:
    assert [op for op in claims().family_of if not samples.samples_of(op)] == []


def test_claimed_entries_give_what_eager_gives() -> None:
    ops = list(claims().family_of)
    ids = [
        SampleId(op, index)
        for op in ops
        for index in samples.spread(len(samples.samples_of(op)), SAMPLES_PER_ENTRY)
    ]
    batches = [ids[first : first + BATCH] for first in range(0, len(ids), BATCH)]
    outcomes = list(workers.run(batches, "cpu", JOBS))
    assert sorted(outcome.sample for outcome in outcomes) == sorted(ids)
    wrong = [f"{row.op}: {dict(row.reasons)}" for row in failures(rows(outcomes, ops))]
    assert not wrong, "\n".join(wrong)


def test_what_is_wrong_fails() -> None:
    """The judge tells a refused, a wrong and a missing result from a right one."""
    op = next(iter(claims().family_of))
    good = Outcome(SampleId(op, 0), "passed")
    assert failures(rows([good], [op])) == []
    for status in ("refused", "wrong", "error"):
        bad = Outcome(SampleId(op, 1), status, "a reason")
        assert [row.op for row in failures(rows([good, bad], [op]))] == [op]
    for outcomes in ([], [Outcome(SampleId(op, 0), "outside", "float64 tensors")]):
        assert [row.op for row in failures(rows(outcomes, [op]))] == [op]
