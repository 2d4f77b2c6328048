"""What code for a target may ask of a Vulkan device, as iree-compile itself says it.

A trivial module is taken to where each executable carries the SPIR-V environment of its target:
version, capabilities, extensions and limits. Real kernels use a part of it.
"""

import re
from dataclasses import dataclass

from smartmem.errors import CompileError
from smartmem.passes.iree.cache import Cache
from smartmem.passes.iree.driver import compile_to
from smartmem.passes.target import Target

_PROBE = """func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = arith.addf %x, %x : tensor<4xf32>
  return %y : tensor<4xf32>
}
"""

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


@dataclass(frozen=True)
class Requirements:
    """``vulkan``: the least version whose drivers must take this SPIR-V; ``features`` by their
    names in Vulkan; limits that kernels are shaped for.
    """

    vulkan: str
    spirv: str
    features: tuple[str, ...]
    extensions: tuple[str, ...]
    limits: dict[str, int]

    @property
    def stores_16_bits(self) -> bool:
        """Whether half-precision tensors can lie in buffers."""
        return "storageBuffer16BitAccess" in self.features


def requirements(target: Target, cache: Cache | None = None) -> Requirements | None:
    """What ``target`` asks of a device; None for a CPU. About a second, then from the cache.

    Raises UserError for a name that iree-compile does not know.
    """
    if target.kind == "cpu":
        return None
    return parse(compile_to("executable-targets", _PROBE, target, cache or Cache.default()))


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
        features=tuple(FEATURES[word] for word in capabilities if word in FEATURES),
        extensions=extensions,
        limits=limits,
    )
