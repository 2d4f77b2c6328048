"""What a bundle's kernels need of a Vulkan device, read from their SPIR-V, for the manifest.

``environment.py`` says what code for a target *may* ask; this is what a model's kernels *do* ask.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from smartmem.passes.iree import spirv_binary
from smartmem.passes.iree.environment import CAPABILITY_NAMES, FEATURES, VULKAN_OF_SPIRV
from smartmem.runtime.schedule import BUFFER, Binding, BindingKind, Schedule

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
    bindings = [binding for kernel in schedule.kernels for binding in kernel.bindings]
    vulkan = max(VULKAN_OF_SPIRV.get(version, "1.3") for version in versions)
    return {
        # The executor itself starts at 1.1.
        "vulkan": max(vulkan, "1.1"),
        "extensions": [_TIMELINE] if vulkan < "1.2" else [],
        "features": _features(capabilities),
        "subgroup_operations": [n for c, n in _SUBGROUP_OPERATIONS.items() if c in capabilities],
        "subgroup_sizes": sorted({k.subgroup_size for k in schedule.kernels} - {0}),
        "storage_buffers": _most(k.bindings.count(BUFFER) for k in schedule.kernels),
        "push_constant_bytes": _most(4 * k.push_words for k in schedule.kernels),
        "texel_formats": _formats(bindings, BindingKind.TEXELS),
        "image_formats": _formats(bindings, BindingKind.IMAGE),
        "written_images": _most(
            sum(b.kind is BindingKind.WRITTEN_IMAGE for b in k.bindings) for k in schedule.kernels
        ),
        "written_image_formats": _formats(bindings, BindingKind.WRITTEN_IMAGE),
    }


def _features(capabilities: frozenset[int]) -> list[str]:
    """Those that the capabilities stand for; most capabilities stand for none."""
    names = (CAPABILITY_NAMES.get(number) for number in capabilities)
    return sorted(FEATURES[name] for name in names if name in FEATURES)


def _formats(bindings: Iterable[Binding], kind: BindingKind) -> list[str]:
    return sorted({binding.format.name for binding in bindings if binding.kind is kind})


def _most(numbers: Iterable[int]) -> int:
    return max(numbers, default=0)
