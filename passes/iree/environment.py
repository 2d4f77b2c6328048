"""What code for a target may ask of a Vulkan device, as IREE's IR states it on each executable:
version, capabilities, extensions and limits of its SPIR-V environment.
"""

import re
from dataclasses import dataclass

from smartmem.errors import CompileError

# The text of the attributes is read because IREE's bindings have no classes for them.
_ENVIRONMENT = re.compile(
    r"spirv\.target_env<#spirv\.vce<v(?P<spirv>[\d.]+), \[(?P<capabilities>[^\]]*)\], "
    r"\[(?P<extensions>[^\]]*)\]>"
)
_LIMITS = {
    "shared_memory_bytes": re.compile(r"max_compute_shared_memory_size = (\d+)"),
    "workgroup_threads": re.compile(r"max_compute_workgroup_invocations = (\d+)"),
    "subgroup_size": re.compile(r"[ <]subgroup_size = (\d+)"),
}

# Vulkan specification, appendix "Vulkan Environment for SPIR-V", and the Vulkan feature that
# enables each SPIR-V capability (same specification, table "List of SPIR-V Capabilities").
VULKAN_OF_SPIRV = {"1.0": "1.0", "1.3": "1.1", "1.4": "1.1", "1.5": "1.2", "1.6": "1.3"}
FEATURES = {
    "Float16": "shaderFloat16",
    "Float64": "shaderFloat64",
    "Int16": "shaderInt16",
    "Int64": "shaderInt64",
    "Int8": "shaderInt8",
    "StorageBuffer16BitAccess": "storageBuffer16BitAccess",
    "StorageUniform16": "uniformAndStorageBuffer16BitAccess",
    "StoragePushConstant16": "storagePushConstant16",
    "StorageBuffer8BitAccess": "storageBuffer8BitAccess",
    "UniformAndStorageBuffer8BitAccess": "uniformAndStorageBuffer8BitAccess",
    "StoragePushConstant8": "storagePushConstant8",
    "DotProduct": "shaderIntegerDotProduct",
    "PhysicalStorageBufferAddresses": "bufferDeviceAddress",
    "CooperativeMatrixKHR": "cooperativeMatrix",
}
# SPIR-V specification, table "Capability".
CAPABILITY_NAMES = {
    0: "Matrix",
    1: "Shader",
    9: "Float16",
    10: "Float64",
    11: "Int64",
    22: "Int16",
    39: "Int8",
    46: "SampledBuffer",
    61: "GroupNonUniform",
    62: "GroupNonUniformVote",
    63: "GroupNonUniformArithmetic",
    64: "GroupNonUniformBallot",
    65: "GroupNonUniformShuffle",
    66: "GroupNonUniformShuffleRelative",
    67: "GroupNonUniformClustered",
    4433: "StorageBuffer16BitAccess",
    4434: "StorageUniform16",
    4435: "StoragePushConstant16",
    4448: "StorageBuffer8BitAccess",
    4449: "UniformAndStorageBuffer8BitAccess",
    4450: "StoragePushConstant8",
    5347: "PhysicalStorageBufferAddresses",
    6016: "DotProductInputAll",
    6017: "DotProductInput4x8Bit",
    6018: "DotProductInput4x8BitPacked",
    6019: "DotProduct",
    6022: "CooperativeMatrixKHR",
}


@dataclass(frozen=True)
class Requirements:
    """``vulkan``: the least version whose drivers must take this SPIR-V; ``capabilities`` by their
    names in SPIR-V, ``features`` by those in Vulkan; limits that kernels are shaped for.
    """

    vulkan: str
    spirv: str
    capabilities: tuple[str, ...]
    features: tuple[str, ...]
    extensions: tuple[str, ...]
    limits: dict[str, int]

    @property
    def stores_16_bits(self) -> bool:
        """Whether half-precision tensors can lie in buffers."""
        return "storageBuffer16BitAccess" in self.features


def parse(text: str) -> Requirements:
    """Reads the environment of the first executable."""
    match = _ENVIRONMENT.search(text)
    if match is None:
        raise CompileError("iree-compile states no SPIR-V environment for the target")
    capabilities, extensions = (
        tuple(word for word in match[name].split(", ") if word)
        for name in ("capabilities", "extensions")
    )
    limits = {
        name: int(found[1]) for name, pattern in _LIMITS.items() if (found := pattern.search(text))
    }
    return Requirements(
        vulkan=VULKAN_OF_SPIRV.get(match["spirv"], "1.3"),
        spirv=match["spirv"],
        capabilities=capabilities,
        features=tuple(FEATURES[word] for word in capabilities if word in FEATURES),
        extensions=extensions,
        limits=limits,
    )
