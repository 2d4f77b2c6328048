"""Take IREE's slabs of scratch memory apart into the tensors that lie in them.

IREE gives a call one slab, and each tensor a range of it for as long as it lives. A range that is
written anew is another tensor, so our executor may place it elsewhere (``native/src/arena.cpp``):

    write slab[0:64], read slab[0:64], write slab[32:96], read slab[32:96]
    ==>
    write a[0:64],    read a[0:64],    write b[0:64],     read b[0:64]

What one command reads stays together, whoever wrote its parts, and so does what is written in
place. Bytes that nobody has written are a tensor of their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from smartmem.runtime.schedule import (
    Access,
    Command,
    Copy,
    Dispatch,
    Fill,
    Resource,
    ResourceKind,
    Schedule,
    Use,
)


@dataclass
class _Slab:
    """The tensors of one slab so far: each a number, with the bytes from its first to its last."""

    # Which tensor lies where now, by (begin, end); ranges do not overlap.
    held: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    # The tensor that another was joined with; itself where with none.
    parents: list[int] = field(default_factory=list[int])
    begins: list[int] = field(default_factory=list[int])
    ends: list[int] = field(default_factory=list[int])

    def find(self, tensor: int) -> int:
        while self.parents[tensor] != tensor:
            tensor = self.parents[tensor]
        return tensor

    def touch(self, use: Use) -> int:
        """The tensor that a use touches."""
        begin, end = use.offset, use.offset + use.length
        tensor = self._new(begin, end)
        if use.access is not Access.WRITE:
            for first, last, other in self.held:
                if first < end and begin < last:
                    self._join(tensor, self.find(other))
        kept = [
            part
            for first, last, other in self.held
            for part in ((first, min(last, begin), other), (max(first, end), last, other))
            if part[0] < part[1]
        ]
        self.held = [*kept, (begin, end, tensor)]
        return tensor

    def _new(self, begin: int, end: int) -> int:
        self.parents.append(len(self.parents))
        self.begins.append(begin)
        self.ends.append(end)
        return len(self.parents) - 1

    def _join(self, tensor: int, other: int) -> None:
        if tensor == other:
            return
        self.parents[other] = tensor
        self.begins[tensor] = min(self.begins[tensor], self.begins[other])
        self.ends[tensor] = max(self.ends[tensor], self.ends[other])


def apart(schedule: Schedule) -> Schedule:
    """The same calls, with a transient resource for each tensor. A slab that a result lies in, or
    that set-up uses, stays whole.
    """
    whole = {port.resource for port in schedule.outputs}
    whole |= {use.resource for command in schedule.setup for use in command.uses}
    slabs = {
        number: _Slab()
        for number, resource in enumerate(schedule.resources)
        if resource.kind is ResourceKind.TRANSIENT and number not in whole
    }
    touched = [
        [slabs[u.resource].touch(u) if u.resource in slabs else None for u in _reads_first(command)]
        for command in schedule.commands
    ]
    places: dict[tuple[int, int], int] = {}
    resources = list(schedule.resources)

    def moved(use: Use, tensor: int | None) -> Use:
        if tensor is None:
            return use
        slab = slabs[use.resource]
        root = slab.find(tensor)
        begin, size_bytes = slab.begins[root], slab.ends[root] - slab.begins[root]
        if (use.resource, root) not in places:
            places[use.resource, root] = len(resources)
            resources.append(Resource(ResourceKind.TRANSIENT, size_bytes))
        return replace(use, resource=places[use.resource, root], offset=use.offset - begin)

    commands: list[Command] = []
    for command, tensors in zip(schedule.commands, touched, strict=True):
        by_use = dict(zip(_reads_first(command), tensors, strict=True))
        commands.append(_with_uses(command, [moved(use, by_use[use]) for use in command.uses]))
    return replace(schedule, resources=tuple(resources), commands=tuple(commands))


def _reads_first(command: Command) -> list[Use]:
    """What a command reads it reads before it writes. A range that it names twice is one."""
    uses: Iterable[Use] = dict.fromkeys(command.uses)
    return sorted(uses, key=lambda use: use.access is Access.WRITE)


def _with_uses(command: Command, uses: list[Use]) -> Command:
    match command:
        case Dispatch():
            return replace(command, uses=tuple(uses))
        case Fill():
            return Fill(uses[0], command.pattern)
        case Copy():
            return Copy(uses[0], uses[1])
