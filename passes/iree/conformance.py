"""Whether kernels keep to what their target offers, by their SPIR-V and IREE's statement.

A manifest tells what a model needs of a device, and a user compiles for `adreno` or `mali` without
one at hand: code that uses more than the target has would fail there first. A kernel may declare
no capability, extension or version that the environment on its executable lacks, and its workgroup
and shared memory stay within the limits.
"""

import math
from collections.abc import Iterator, Mapping

from smartmem.errors import CompileError
from smartmem.passes.iree import spirv_binary
from smartmem.passes.iree.environment import CAPABILITY_NAMES, Requirements
from smartmem.passes.iree.spirv_binary import Words

# What Vulkan 1.1 takes from every kernel, whatever the target's table says.
_FREE_CAPABILITIES = frozenset({"Matrix", "Shader", "SampledBuffer"})
_FREE_EXTENSIONS = frozenset({"SPV_KHR_storage_buffer_storage_class"})
# Vulkan specification, table "Required Limits".
_LEAST_THREADS = 128
_LEAST_SHARED_BYTES = 16384

_OP_EXTENSION = 10
_WORKGROUP = 4


def check_kernels(kernels: Mapping[str, bytes], offered: Requirements, target: str) -> None:
    """CompileError that names each kernel and what it uses beyond ``offered``."""
    rows = [
        f"  {name}: {found}" for name, code in kernels.items() for found in breaches(code, offered)
    ]
    if rows:
        raise CompileError(
            f"kernels for target {target} use what it does not offer, so nothing was written:\n"
            + "\n".join(rows)
        )


def breaches(code: bytes, offered: Requirements) -> Iterator[str]:
    """What one SPIR-V module uses beyond its environment."""
    stated = spirv_binary.version(code)
    if _numbers(stated) > _numbers(offered.spirv):
        yield f"SPIR-V {stated}, but the target has {offered.spirv}"
    free = _FREE_CAPABILITIES | _implied(offered.capabilities)
    for number in sorted(spirv_binary.capabilities(code)):
        name = CAPABILITY_NAMES.get(number, f"number {number}")
        if name not in free:
            yield f"capability {name}"
    instructions = spirv_binary.instructions(code)
    for name in sorted(_extensions(instructions) - _FREE_EXTENSIONS - set(offered.extensions)):
        yield f"extension {name}"
    threads = max(map(math.prod, spirv_binary.workgroups(code)), default=1)
    most = offered.limits.get("workgroup_threads", _LEAST_THREADS)
    if threads > most:
        yield f"{threads} threads in a workgroup, but the target has {most}"
    used = _shared_bytes(instructions)
    room = offered.limits.get("shared_memory_bytes", _LEAST_SHARED_BYTES)
    if used > room:
        yield f"{used} bytes of shared memory, but the target has {room}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _implied(capabilities: tuple[str, ...]) -> frozenset[str]:
    """The capabilities with what they bring: any operation on subgroups brings their basics."""
    has_groups = any(name.startswith("GroupNonUniform") for name in capabilities)
    return frozenset(capabilities) | ({"GroupNonUniform"} if has_groups else set[str]())


def _extensions(instructions: list[Words]) -> set[str]:
    return {
        b"".join(word.to_bytes(4, "little") for word in words[1:]).split(b"\0")[0].decode()
        for words in instructions
        if spirv_binary.opcode(words) == _OP_EXTENSION
    }


def _shared_bytes(instructions: list[Words]) -> int:
    """Of all variables in a workgroup's memory, without padding."""
    sizes: dict[int, int] = {}
    constants: dict[int, int] = {}
    pointees: dict[int, int] = {}
    total = 0
    for words in instructions:
        match spirv_binary.opcode(words):
            case 21 | 22:  # OpTypeInt, OpTypeFloat
                sizes[words[1]] = words[2] // 8
            case 23:  # OpTypeVector
                sizes[words[1]] = sizes.get(words[2], 0) * words[3]
            case 28:  # OpTypeArray
                sizes[words[1]] = sizes.get(words[2], 0) * constants[words[3]]
            case 30:  # OpTypeStruct
                sizes[words[1]] = sum(sizes.get(member, 0) for member in words[2:])
            case 32 if words[2] == _WORKGROUP:  # OpTypePointer
                pointees[words[1]] = words[3]
            case 43:  # OpConstant
                constants[words[2]] = words[3]
            case 59 if words[3] == _WORKGROUP:  # OpVariable
                total += sizes[pointees[words[1]]]
            case _:
                pass
    return total
