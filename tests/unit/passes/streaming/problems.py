"""Streaming problems for the tests: one to read, and random ones."""

from hypothesis import strategies as st

from smartmem.passes.streaming.problem import Problem, Step, Weight

KINDS = ("elemental", "reusable", "hierarchical")


def chain(sizes: list[int], *, time_us: float = 100.0, capacity_bytes: int = 1 << 20) -> Problem:
    """One weight for each step; 1 MB/ms arrive, in chunks of 1 KiB."""
    steps = tuple(Step(f"s{i}", "reusable", time_us, capacity_bytes) for i in range(len(sizes)))
    weights = tuple(Weight(f"w{i}", size, (i,)) for i, size in enumerate(sizes))
    return Problem(steps, weights, 1e9, 1024)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Up to 12 steps and 16 weights, some read often, some that must stay."""
    count = draw(st.integers(1, 12))
    steps = tuple(
        Step(
            f"s{i}",
            draw(st.sampled_from(KINDS)),
            draw(st.floats(0.0, 50.0)),
            draw(st.integers(0, 40_000)),
        )
        for i in range(count)
    )
    weights = tuple(
        Weight(
            f"w{i}",
            draw(st.integers(1, 30_000)),
            tuple(sorted(draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=4)))),
            draw(st.sampled_from((False, False, False, False, True))),
        )
        for i in range(draw(st.integers(0, 16)))
    )
    return Problem(steps, weights, draw(st.sampled_from((1e8, 1e9))), 4096)
