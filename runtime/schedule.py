"""The schedule: what our executor does for one call of a model, as a value and as a file.

    Schedule  resources ◄── ports (arguments and results), uploads (of weights)
                  ▲
              commands (dispatch, fill, copy) ──► kernels (one .spv each)

The file is little-endian: a header, a directory of sections, and sections of records of one fixed
size each. A record points at another by its number, so that a reader checks a reference by one
comparison. ``docs/executor.md`` has the tables; ``native/src/schedule.cpp`` reads the same file,
and trusts nothing in it.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from smartmem.errors import UserError

FORMAT_VERSION = 5
MAGIC = b"SMSCHED\0"
NO_RESOURCE: Final = 0xFFFFFFFF

_HEADER = struct.Struct("<8sIIQ32s8x")
_ENTRY = struct.Struct("<IIQQ")


class ResourceKind(IntEnum):
    """Whose memory a resource is: weights, an argument, a result, or scratch of one call."""

    CONSTANT = 0
    INPUT = 1
    OUTPUT = 2
    TRANSIENT = 3


class Access(IntEnum):
    """What a command does to a range; the numbers are those of IREE's stream dialect."""

    READ = 1
    WRITE = 2
    BOTH = 3


class _Section(IntEnum):
    TEXT = 1
    RESOURCES = 2
    UPLOADS = 3
    PORTS = 4
    KERNELS = 5
    COMMANDS = 6
    USES = 7
    WORDS = 8
    BINDINGS = 9
    SETUP = 10
    DATA = 11


_RECORDS = {
    _Section.TEXT: struct.Struct("<B"),
    # kind, 0, bytes
    _Section.RESOURCES: struct.Struct("<IIQ"),
    # resource, source, offset, length, offset in the source, key (offset and length in TEXT)
    _Section.UPLOADS: struct.Struct("<IIQQQII"),
    # direction, resource, offset, length
    _Section.PORTS: struct.Struct("<IIQQ"),
    # file, entry (offset and length in TEXT), bindings, push words, subgroup size, first binding,
    # SHA-256
    _Section.KERNELS: struct.Struct("<IIIIIIII32s"),
    # kind, kernel, workgroups, first use, uses, first word, words or the pattern of a fill
    _Section.COMMANDS: struct.Struct("<IIIIIIIII4x"),
    # resource, access, offset, length
    _Section.USES: struct.Struct("<IIQQ"),
    _Section.WORDS: struct.Struct("<I"),
    # kind, format, width
    _Section.BINDINGS: struct.Struct("<III"),
    _Section.DATA: struct.Struct("<B"),
}
_RECORDS[_Section.SETUP] = _RECORDS[_Section.COMMANDS]
_IN, _OUT = 0, 1
_FROM_ARCHIVE, _FROM_DATA = 0, 1
_DISPATCH, _FILL, _COPY = 0, 1, 2


@dataclass(frozen=True)
class Resource:
    """Memory that commands name by its place in ``Schedule.resources``."""

    kind: ResourceKind
    size_bytes: int


@dataclass(frozen=True)
class Upload:
    """A part of a constant resource, and where in the weights archive its bytes are."""

    resource: int
    offset: int
    length: int
    key: str
    key_offset: int = 0


@dataclass(frozen=True)
class Inline:
    """A part of a constant resource whose bytes stand in the schedule itself."""

    resource: int
    offset: int
    content: bytes


@dataclass(frozen=True)
class Port:
    """Where an argument or result lies; an argument that nothing reads lies in NO_RESOURCE."""

    resource: int
    offset: int
    length: int


class Format(IntEnum):
    """A texel's type, by its number in Vulkan; NONE where there are no texels."""

    NONE = 0
    R8_UINT = 13
    R8G8_UINT = 20
    R8G8B8A8_UINT = 41
    R16_UINT = 74
    R16_SFLOAT = 76
    R16G16_UINT = 81
    R16G16_SFLOAT = 83
    R16G16B16A16_UINT = 95
    R16G16B16A16_SFLOAT = 97
    R32_UINT = 98
    R32_SFLOAT = 100
    R32G32_UINT = 101
    R32G32_SFLOAT = 103
    R32G32B32A32_UINT = 107
    R32G32B32A32_SFLOAT = 109

    @property
    def lanes(self) -> int:
        """How many components a texel has."""
        return len(re.findall(r"[RGBA]\d", self.name))


class BindingKind(IntEnum):
    """What a kernel sees the bytes of a binding as."""

    BUFFER = 0
    TEXELS = 1
    IMAGE = 2
    # An image that the kernel writes; others read it as IMAGE.
    WRITTEN_IMAGE = 3


@dataclass(frozen=True)
class Binding:
    """One of a kernel's parameters; ``width`` is how many texels a row of its image has."""

    kind: BindingKind = BindingKind.BUFFER
    format: Format = Format.NONE
    width: int = 0


BUFFER: Final = Binding()


@dataclass(frozen=True)
class Kernel:
    """A compute shader; ``subgroup_size`` is 0 where it does not depend on it."""

    file: str
    entry: str
    bindings: tuple[Binding, ...]
    push_words: int
    subgroup_size: int
    sha256: bytes


@dataclass(frozen=True)
class Use:
    """A range of a resource that a command touches."""

    resource: int
    access: Access
    offset: int
    length: int


@dataclass(frozen=True)
class Dispatch:
    """A kernel on its bindings, in their order; ``words`` are its push constants."""

    kernel: int
    workgroups: tuple[int, int, int]
    uses: tuple[Use, ...]
    words: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fill:
    """A range filled with a pattern of four bytes."""

    target: Use
    pattern: int

    @property
    def uses(self) -> tuple[Use, ...]:
        """What it touches."""
        return (self.target,)


@dataclass(frozen=True)
class Copy:
    """Bytes of one range to another of the same length."""

    source: Use
    target: Use

    @property
    def uses(self) -> tuple[Use, ...]:
        """What it touches."""
        return (self.source, self.target)


Command = Dispatch | Fill | Copy


@dataclass(frozen=True)
class Schedule:
    """Commands have the meaning of running one after another.

    Those of ``setup`` run once, when a model is loaded: they compute constants from constants.
    """

    resources: tuple[Resource, ...]
    uploads: tuple[Upload, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    kernels: tuple[Kernel, ...]
    commands: tuple[Command, ...]
    setup: tuple[Command, ...] = ()
    inlines: tuple[Inline, ...] = ()

    @property
    def dispatches(self) -> tuple[Dispatch, ...]:
        """Each call of a kernel, those of ``setup`` first."""
        return tuple(c for c in (*self.setup, *self.commands) if isinstance(c, Dispatch))

    def encode(self) -> bytes:
        """The bytes of the file; the same for the same schedule."""
        pools = _Pools()
        rows: dict[_Section, list[tuple[int | bytes, ...]]] = {
            _Section.RESOURCES: [(r.kind, 0, r.size_bytes) for r in self.resources],
            _Section.UPLOADS: [
                *(pools.upload(u) for u in self.uploads),
                *(pools.inline(i) for i in self.inlines),
            ],
            _Section.PORTS: [
                (direction, p.resource, p.offset, p.length)
                for direction, ports in ((_IN, self.inputs), (_OUT, self.outputs))
                for p in ports
            ],
            _Section.KERNELS: [pools.kernel(k) for k in self.kernels],
            _Section.COMMANDS: [pools.command(c) for c in self.commands],
            _Section.SETUP: [pools.command(c) for c in self.setup],
            _Section.USES: [(u.resource, u.access, u.offset, u.length) for u in pools.uses],
            _Section.WORDS: [(word,) for word in pools.words],
            _Section.BINDINGS: [(b.kind, b.format, b.width) for b in pools.bindings],
        }
        bodies = {section: _packed(section, rows[section]) for section in rows}
        pooled = {_Section.TEXT: bytes(pools.text), _Section.DATA: bytes(pools.data)}
        return _file(pooled | bodies)


class _Pools:
    """What records of other sections point into."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.data = bytearray()
        self.uses: list[Use] = []
        self.words: list[int] = []
        self.bindings: list[Binding] = []

    def _say(self, text: str) -> tuple[int, int]:
        encoded = text.encode()
        self.text += encoded
        return len(self.text) - len(encoded), len(encoded)

    def upload(self, upload: Upload) -> tuple[int, ...]:
        place = (upload.offset, upload.length, upload.key_offset)
        return (upload.resource, _FROM_ARCHIVE, *place, *self._say(upload.key))

    def inline(self, inline: Inline) -> tuple[int, ...]:
        self.data += inline.content
        length = len(inline.content)
        place = (inline.offset, length, len(self.data) - length)
        return (inline.resource, _FROM_DATA, *place, 0, 0)

    def kernel(self, kernel: Kernel) -> tuple[int | bytes, ...]:
        names = (*self._say(kernel.file), *self._say(kernel.entry))
        self.bindings += kernel.bindings
        count = len(kernel.bindings)
        counts = (count, kernel.push_words, kernel.subgroup_size, len(self.bindings) - count)
        return (*names, *counts, kernel.sha256)

    def command(self, command: Command) -> tuple[int, ...]:
        first_use, first_word = len(self.uses), len(self.words)
        match command:
            case Dispatch(kernel, workgroups, uses, words):
                self.uses += uses
                self.words += words
                ends = (first_use, len(uses), first_word, len(words))
                return (_DISPATCH, kernel, *workgroups, *ends)
            case Fill(target, pattern):
                self.uses.append(target)
                return (_FILL, 0, 0, 0, 0, first_use, 1, 0, pattern)
            case Copy(source, target):
                self.uses += (source, target)
                return (_COPY, 0, 0, 0, 0, first_use, 2, 0, 0)


def _packed(section: _Section, rows: Iterable[Sequence[int | bytes]]) -> bytes:
    record = _RECORDS[section]
    return b"".join(record.pack(*row) for row in rows)


def _file(bodies: dict[_Section, bytes]) -> bytes:
    directory, content = b"", b""
    start = _HEADER.size + _ENTRY.size * len(_Section)
    for section in _Section:
        body = bodies[section]
        record_bytes = _RECORDS[section].size
        place = start + len(content)
        directory += _ENTRY.pack(section, record_bytes, place, len(body) // record_bytes)
        content += body + bytes(-len(body) % 8)
    rest = directory + content
    digest = hashlib.sha256(rest).digest()
    size_bytes = _HEADER.size + len(rest)
    return _HEADER.pack(MAGIC, FORMAT_VERSION, len(_Section), size_bytes, digest) + rest


def decode(data: bytes) -> Schedule:
    """The schedule in a file's bytes; UserError where they are not what ``encode`` writes.

    For reports and tests. The executor's own reader checks what the numbers mean, too.
    """
    try:
        schedule = _Reader(data).schedule()
    except (struct.error, ValueError, IndexError) as error:
        raise UserError(f"damaged schedule ({error})", hint="Compile the model again.") from error
    return schedule


class _Reader:
    """The sections of a file as tuples."""

    def __init__(self, data: bytes) -> None:
        magic, version, count, size_bytes, digest = _HEADER.unpack_from(data)
        if magic != MAGIC or version != FORMAT_VERSION or count != len(_Section):
            raise ValueError(f"no schedule of version {FORMAT_VERSION}")
        if size_bytes != len(data) or hashlib.sha256(data[_HEADER.size :]).digest() != digest:
            raise ValueError("its size or hash is not the one it states")
        self._data = data
        self._places = {
            section: (offset, records)
            for section, _, offset, records in _ENTRY.iter_unpack(
                data[_HEADER.size : _HEADER.size + count * _ENTRY.size]
            )
        }

    def _rows(self, section: _Section) -> list[tuple[int, ...]]:
        offset, count = self._places[section]
        record = _RECORDS[section]
        return list(record.iter_unpack(self._data[offset : offset + count * record.size]))

    def schedule(self) -> Schedule:
        uses = [Use(r, Access(a), o, n) for r, a, o, n in self._rows(_Section.USES)]
        words = [word for (word,) in self._rows(_Section.WORDS)]
        ports = self._rows(_Section.PORTS)
        uploads = self._rows(_Section.UPLOADS)
        return Schedule(
            resources=tuple(
                Resource(ResourceKind(kind), size)
                for kind, _, size in self._rows(_Section.RESOURCES)
            ),
            uploads=tuple(self._upload(row) for row in uploads if row[1] == _FROM_ARCHIVE),
            inputs=tuple(Port(*row[1:]) for row in ports if row[0] == _IN),
            outputs=tuple(Port(*row[1:]) for row in ports if row[0] == _OUT),
            kernels=tuple(self._kernel(row) for row in self._rows(_Section.KERNELS)),
            commands=tuple(_command(row, uses, words) for row in self._rows(_Section.COMMANDS)),
            setup=tuple(_command(row, uses, words) for row in self._rows(_Section.SETUP)),
            inlines=tuple(self._inline(row) for row in uploads if row[1] == _FROM_DATA),
        )

    def _bytes(self, section: _Section, offset: int, length: int) -> bytes:
        start = self._places[section][0] + offset
        return self._data[start : start + length]

    def _say(self, offset: int, length: int) -> str:
        return self._bytes(_Section.TEXT, offset, length).decode()

    def _inline(self, row: tuple[int, ...]) -> Inline:
        resource, _, offset, length, place, *_ = row
        return Inline(resource, offset, self._bytes(_Section.DATA, place, length))

    def _upload(self, row: tuple[int, ...]) -> Upload:
        resource, _, offset, length, key_offset, *key = row
        return Upload(resource, offset, length, self._say(*key), key_offset)

    def _kernel(self, row: tuple[int | bytes, ...]) -> Kernel:
        *numbers, sha256 = row
        assert isinstance(sha256, bytes)
        file, file_length, entry, entry_length, count, words, subgroup, first = map(int, numbers)
        rows = self._rows(_Section.BINDINGS)[first : first + count]
        bindings = tuple(Binding(BindingKind(k), Format(f), width) for k, f, width in rows)
        names = self._say(file, file_length), self._say(entry, entry_length)
        return Kernel(*names, bindings, words, subgroup, sha256)


def _command(row: tuple[int, ...], uses: Sequence[Use], words: Sequence[int]) -> Command:
    kind, kernel, x, y, z, first_use, use_count, first_word, word_count = row
    mine = tuple(uses[first_use : first_use + use_count])
    if kind == _DISPATCH:
        return Dispatch(kernel, (x, y, z), mine, tuple(words[first_word : first_word + word_count]))
    if kind == _FILL:
        return Fill(mine[0], word_count)
    if kind == _COPY:
        return Copy(mine[0], mine[1])
    raise ValueError(f"a command of kind {kind}")
