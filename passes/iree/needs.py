"""What a bundle's kernels need of a Vulkan device, read from their SPIR-V, for the manifest.

``requirements.py`` says what code for a target *may* ask; this is what a model's kernels *do* ask.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from smartmem.passes.iree import spirv_binary
from smartmem.passes.iree.requirements import FEATURES, VULKAN_OF_SPIRV
from smartmem.runtime.schedule import Format, Schedule

# SPIR-V specification, table "Capability": those that stand for a feature of the device.
_CAPABILITIES = {
    9: "Float16",
    10: "Float64",
    11: "Int64",
    22: "Int16",
    39: "Int8",
    4433: "StorageBuffer16BitAccess",
    4434: "StorageUniform16",
    4435: "StoragePushConstant16",
    4448: "StorageBuffer8BitAccess",
    4449: "UniformAndStorageBuffer8BitAccess",
    4450: "StoragePushConstant8",
    6019: "DotProduct",
}
# Vulkan specification, "VkSubgroupFeatureFlagBits", by the capability that needs it.
_SUBGROUP_OPERATIONS = {
    61: "basic",
    62: "vote",
    63: "arithmetic",
    64: "ballot",
    65: "shuffle",
    66: "shuffle relative",
    67: "clustered",
}
# Core in Vulkan 1.2; before, an extension of this name.
_TIMELINE = "VK_KHR_timeline_semaphore"


def needs_of(schedule: Schedule, kernels: Mapping[str, bytes]) -> dict[str, Any]:
    """The least version, features and limits that run ``schedule`` on our executor."""
    versions = {spirv_binary.version(code) for code in kernels.values()} or {"1.0"}
    capabilities = frozenset[int]().union(*map(spirv_binary.capabilities, kernels.values()))
    formats = {f for kernel in schedule.kernels for f in kernel.bindings} - {Format.BUFFER}
    vulkan = max(VULKAN_OF_SPIRV.get(version, "1.3") for version in versions)
    return {
        # The executor itself starts at 1.1.
        "vulkan": max(vulkan, "1.1"),
        "extensions": [_TIMELINE] if vulkan < "1.2" else [],
        "features": sorted(FEATURES[n] for c, n in _CAPABILITIES.items() if c in capabilities),
        "subgroup_operations": [n for c, n in _SUBGROUP_OPERATIONS.items() if c in capabilities],
        "subgroup_sizes": sorted({k.subgroup_size for k in schedule.kernels} - {0}),
        "storage_buffers": _most(k.bindings.count(Format.BUFFER) for k in schedule.kernels),
        "push_constant_bytes": _most(4 * k.push_words for k in schedule.kernels),
        "texel_formats": sorted(f.name for f in formats),
    }


def _most(numbers: Iterable[int]) -> int:
    return max(numbers, default=0)
