"""Slabs taken apart into tensors: what becomes one of its own, and what stays together."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smartmem.passes.iree.tensors import apart
from smartmem.runtime.schedule import (
    Access,
    Command,
    Copy,
    Fill,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Use,
)

INPUT, OUTPUT, SLAB = range(3)
SIZE = 24


def schedule(*commands: Command) -> Schedule:
    return Schedule(
        resources=(
            Resource(ResourceKind.INPUT, SIZE),
            Resource(ResourceKind.OUTPUT, SIZE),
            Resource(ResourceKind.TRANSIENT, SIZE),
        ),
        uploads=(),
        inputs=(Port(INPUT, 0, SIZE),),
        outputs=(Port(OUTPUT, 0, SIZE),),
        kernels=(),
        commands=commands,
    )


def copy(source: tuple[int, int], target: tuple[int, int], length: int) -> Copy:
    return Copy(
        Use(source[0], Access.READ, source[1], length),
        Use(target[0], Access.WRITE, target[1], length),
    )


def tensors(found: Schedule) -> list[tuple[int, int]]:
    """Resource and offset of each use of scratch memory."""
    return [
        (use.resource, use.offset)
        for command in found.commands
        for use in command.uses
        if found.resources[use.resource].kind is ResourceKind.TRANSIENT
    ]


def test_what_is_written_anew_is_another_tensor() -> None:
    found = apart(
        schedule(
            copy((INPUT, 0), (SLAB, 0), 16),
            copy((SLAB, 0), (OUTPUT, 0), 16),
            copy((INPUT, 0), (SLAB, 8), 16),
            copy((SLAB, 8), (OUTPUT, 8), 16),
        )
    )
    assert tensors(found) == [(3, 0), (3, 0), (4, 0), (4, 0)]
    assert [r.size_bytes for r in found.resources[3:]] == [16, 16]


def test_what_is_read_at_once_stays_together() -> None:
    found = apart(
        schedule(
            copy((INPUT, 0), (SLAB, 0), 8),
            copy((INPUT, 0), (SLAB, 8), 8),
            copy((SLAB, 0), (OUTPUT, 0), 16),
        )
    )
    assert tensors(found) == [(3, 0), (3, 8), (3, 0)]


def test_what_a_result_lies_in_stays_whole() -> None:
    given = schedule(Fill(Use(SLAB, Access.WRITE, 0, 8), 1), Fill(Use(SLAB, Access.WRITE, 0, 8), 2))
    given = replace(given, outputs=(Port(SLAB, 0, SIZE),))
    assert apart(given) == given


def run(given: Schedule) -> bytes:
    """What the result holds after fills and copies; bytes that nobody wrote are zeros."""
    memory = [np.zeros(r.size_bytes, np.uint8) for r in given.resources]
    memory[INPUT][:] = np.arange(1, SIZE + 1)
    for command in given.commands:
        match command:
            case Fill(target, pattern):
                memory[target.resource][target.offset : target.offset + target.length] = pattern
            case Copy(source, target):
                held = memory[source.resource][source.offset : source.offset + source.length]
                memory[target.resource][target.offset : target.offset + target.length] = held
            case _:
                raise AssertionError(command)
    return memory[OUTPUT].tobytes()


PLACES = st.tuples(st.integers(0, 5), st.integers(1, 3))
COMMANDS = st.one_of(
    st.builds(
        lambda place, pattern: Fill(
            Use(SLAB, Access.WRITE, 4 * place[0], 4 * min(place[1], 6 - place[0])), pattern
        ),
        PLACES,
        st.integers(1, 200),
    ),
    st.builds(
        lambda place: copy(
            (INPUT, 4 * place[0]), (SLAB, 4 * place[0]), 4 * min(place[1], 6 - place[0])
        ),
        PLACES,
    ),
    st.builds(
        lambda place: copy(
            (SLAB, 4 * place[0]), (OUTPUT, 4 * place[0]), 4 * min(place[1], 6 - place[0])
        ),
        PLACES,
    ),
)


@given(st.lists(COMMANDS, max_size=12))
def test_results_are_the_same(commands: list[Command]) -> None:
    start = Fill(Use(SLAB, Access.WRITE, 0, SIZE), 0)
    given = schedule(start, *commands)
    assert run(apart(given)) == run(given)
