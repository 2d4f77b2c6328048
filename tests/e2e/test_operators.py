"""A fixed slice of PyTorch's operator database: a few samples of every claimed entry, against
eager.

The whole of it is run by ``python -m smartmem.benchmarks.operators --claimed --record``.
"""

import pytest

from smartmem.benchmarks.operators import samples, workers
from smartmem.benchmarks.operators.claims import claims
from smartmem.benchmarks.operators.judge import Outcome
from smartmem.benchmarks.operators.results import failures, rows
from smartmem.benchmarks.operators.samples import SampleId

# Every so-manieth entry of a family, and so many samples of each: a minute or two in all.
EVERY = 6
SAMPLES_PER_ENTRY = 2
FAMILIES = sorted(set(claims().family_of.values()))


def test_every_entry_is_claimed_or_not() -> None:
    """A new PyTorch brings new entries: each needs a place in benchmarks/data/operators.toml."""
    held = claims()
    assert {*held.family_of, *held.reason_of} == set(samples.names())


@pytest.mark.parametrize("family", FAMILIES)
def test_claimed_entries_give_what_eager_gives(family: str) -> None:
    ops = [op for op, its in claims().family_of.items() if its == family][::EVERY]
    ids = [
        SampleId(op, index)
        for op in ops
        for index in samples.spread(len(samples.samples_of(op)), SAMPLES_PER_ENTRY)
    ]
    outcomes = list(workers.run([ids], "cpu", jobs=1))
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
