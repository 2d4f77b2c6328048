"""SPIR-V modules as IREE's serializer writes them, made valid for the version they state.

Two things in them are rejected by ``spirv-val``, and by strict drivers: no-wrap decorations, which
need SPIR-V 1.4 or an extension that is not declared, and buffers among the interface variables of
an entry point, which only 1.4 allows. Both can go without a change of meaning:

    OpEntryPoint GLCompute %main "main" %id %buffer   ==>   OpEntryPoint GLCompute %main "main" %id
    OpDecorate %sum NoSignedWrap                      ==>

Numbers are those of the SPIR-V specification, chapters "Binary Form" and "Instructions".
"""

import struct
from collections.abc import Collection, Iterator, Sequence

_MAGIC = 0x07230203
_HEADER_WORDS = 5
_VERSION_1_4 = 0x00010400
_OP_ENTRY_POINT = 15
_OP_EXECUTION_MODE = 16
_OP_CAPABILITY = 17
_LOCAL_SIZE = 17
_OP_VARIABLE = 59
_OP_DECORATE = 71
_NO_WRAPS = (4469, 4470)
_RESTRICT, _ALIASED, _BINDING = 19, 20, 33
_INTERFACE_CLASSES = (1, 3)  # Input, Output

# GroupNonUniform and its kinds: code whose meaning may depend on the size of a subgroup.
SUBGROUP_CAPABILITIES = frozenset(range(61, 69))

Words = tuple[int, ...]


def version(code: bytes) -> str:
    """The version of SPIR-V that a module states."""
    header, _ = _parse(code)
    return f"{header[1] >> 16 & 0xFF}.{header[1] >> 8 & 0xFF}"


def capabilities(code: bytes) -> frozenset[int]:
    """What a module declares to need, by SPIR-V's numbers."""
    return frozenset(words[1] for words in instructions(code) if opcode(words) == _OP_CAPABILITY)


def instructions(code: bytes) -> list[Words]:
    """Each instruction of a module, with its first word (length and opcode)."""
    return _parse(code)[1]


def opcode(words: Words) -> int:
    """Which instruction it is."""
    return words[0] & 0xFFFF


def workgroups(code: bytes) -> list[tuple[int, ...]]:
    """Threads in x, y, z of each entry point; IREE specialises none of them later."""
    return [
        tuple(words[3:6])
        for words in instructions(code)
        if opcode(words) == _OP_EXECUTION_MODE and words[2] == _LOCAL_SIZE
    ]


def made_valid(code: bytes) -> bytes:
    """The module without what its version does not allow; ValueError where it is no SPIR-V."""
    header, body = _parse(code)
    if header[1] >= _VERSION_1_4:
        return code
    interface = {
        words[2]
        for words in body
        if opcode(words) == _OP_VARIABLE and words[3] in _INTERFACE_CLASSES
    }
    kept = [*header]
    for words in body:
        if opcode(words) == _OP_DECORATE and words[2] in _NO_WRAPS:
            continue
        if opcode(words) == _OP_ENTRY_POINT:
            words = _with_interface(words, interface)
        kept += words
    return struct.pack(f"<{len(kept)}I", *kept)


def with_aliases(code: bytes, bindings: Collection[int]) -> bytes:
    """The module whose ``bindings`` are declared to be aliases of one another."""
    header, body = _parse(code)
    variables = {
        words[1]
        for words in body
        if opcode(words) == _OP_DECORATE and words[2] == _BINDING and words[3] in bindings
    }
    kept = [*header]
    for words in body:
        is_decoration = opcode(words) == _OP_DECORATE and words[1] in variables
        if is_decoration and words[2] in (_RESTRICT, _ALIASED):
            continue
        kept += words
        if is_decoration and words[2] == _BINDING:
            kept += (3 << 16 | _OP_DECORATE, words[1], _ALIASED)
    return struct.pack(f"<{len(kept)}I", *kept)


def _parse(code: bytes) -> tuple[Words, list[Words]]:
    """The header, and each instruction with its first word (length and opcode)."""
    if len(code) % 4 or len(code) < 4 * _HEADER_WORDS:
        raise ValueError("not SPIR-V: its length is wrong")
    words = struct.unpack(f"<{len(code) // 4}I", code)
    if words[0] != _MAGIC:
        raise ValueError("not SPIR-V: its first word is wrong")
    return words[:_HEADER_WORDS], list(_instructions(words[_HEADER_WORDS:]))


def _instructions(words: Words) -> Iterator[Words]:
    start = 0
    while start < len(words):
        length = words[start] >> 16
        if not 0 < length <= len(words) - start:
            raise ValueError("not SPIR-V: an instruction is cut short")
        yield words[start : start + length]
        start += length


def _with_interface(entry: Words, interface: set[int]) -> Words:
    """An entry point with only ``interface`` among its variables.

    Its words: opcode, execution model, function, the name up to a word with a zero byte, variables.
    """
    name_words = _string_words(entry[3:])
    head, variables = entry[: 3 + name_words], entry[3 + name_words :]
    kept = (*head, *(v for v in variables if v in interface))
    return (len(kept) << 16 | _OP_ENTRY_POINT, *kept[1:])


def _string_words(words: Sequence[int]) -> int:
    for position, word in enumerate(words):
        if 0 in word.to_bytes(4, "little"):
            return position + 1
    raise ValueError("not SPIR-V: a name has no end")
