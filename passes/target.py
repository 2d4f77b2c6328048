"""What we compile for: a name the user gives becomes a ``Target`` with IREE's flags.

Known targets are the files in ``targets/``; ``vulkan`` is the device at hand; any other name is
taken as one of iree-compile's own Vulkan targets and passed on.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from os import PathLike
from typing import Any, Literal

from smartmem.errors import UserError
from smartmem.passes.rules.kernels import KernelLimits
from smartmem.passes.rules.loads import Speeds
from smartmem.passes.rules.product_times import ProductSpeeds
from smartmem.passes.rules.textures import TextureLimits
from smartmem.passes.rules.workgroups import Shape
from smartmem.passes.tuning.database import Database, for_target
from smartmem.spelling import did_you_mean

_COMMON_FLAGS = (
    "--iree-input-type=none",
    # Constants are evaluated by the frontend; a second evaluator would only hide work from the
    # counters.
    "--iree-opt-const-eval=false",
    # Same input, same bytes.
    "--iree-vm-bytecode-module-strip-source-map=true",
)
# What our executor replays: kernels that bind each tensor by itself, through descriptors. Merged
# bindings would hide which bytes a kernel reads.
_DESCRIPTORS = "--iree-vulkan-dispatch-abi=descriptors"
_UNMERGED = "--iree-scheduling-optimize-bindings=false"

# Some of the names that iree-compile knows, to offer where one is misspelt.
_IREE_NAMES = ("adreno-740", "valhall4", "rdna3", "ampere", "ada")

# Vulkan specification, table "Required Limits": maxStorageBufferRange is at least 2^27.
VULKAN_MIN_BUFFER_BYTES = 1 << 27


DeviceKind = Literal["cpu", "vulkan"]


Storage = Literal["buffer", "texel", "image", "auto"]
STORAGES: tuple[Storage, ...] = ("buffer", "texel", "image", "auto")


@dataclass(frozen=True)
class Target:
    """``iree_target`` is the CPU name or the Vulkan target name that iree-compile is given."""

    name: str
    kind: DeviceKind
    iree_target: str
    description: str
    # maxStorageBufferRange: the most bytes that a kernel sees of one buffer; 0 where there is no
    # such limit. The default is the least that Vulkan allows.
    max_buffer_bytes: int = VULKAN_MIN_BUFFER_BYTES
    # What bounds the tiles of its kernels; None leaves all of them to IREE.
    kernels: KernelLimits | None = None
    # What predicts how long its kernels run and weights take to arrive.
    speeds: Speeds = field(default_factory=Speeds)
    # What its textures hold.
    textures: TextureLimits = field(default_factory=TextureLimits)
    # How our executor's kernels read tensors.
    storage: Storage = "buffer"
    # Whether that is the most they may: each tensor is read as its textures' speeds say.
    chooses_storage: bool = False
    # Whether kernels bind whole resources, and add offsets themselves, as IREE's do by default.
    merges_bindings: bool = False
    # What was measured of its kernels; None: nothing is used.
    tuned: Database | None = None

    @property
    def avoided_workgroups(self) -> tuple[Shape, ...]:
        """Workgroups that no kernel may have, IREE's own choices included."""
        return self.kernels.avoided_workgroups if self.kernels else ()

    @property
    def flags(self) -> tuple[str, ...]:
        """Options of iree-compile."""
        if self.kind == "cpu":
            return (*_COMMON_FLAGS, *self.device_flags)
        bindings = () if self.merges_bindings else (_UNMERGED,)
        return (*_COMMON_FLAGS, *bindings, _DESCRIPTORS, *self.device_flags)

    @property
    def device_flags(self) -> tuple[str, ...]:
        """The options that choose device and code generator."""
        if self.kind == "cpu":
            return (
                "--iree-hal-target-device=local",
                "--iree-hal-local-target-device-backends=llvm-cpu",
                f"--iree-llvmcpu-target-cpu={self.iree_target}",
                "--iree-llvmcpu-debug-symbols=false",
            )
        return (
            "--iree-hal-target-device=vulkan",
            f"--iree-vulkan-target={self.iree_target}",
        )


@cache
def known_targets() -> Mapping[str, Target]:
    """The targets described in ``targets/*.toml``, by name."""
    folder = files("smartmem.passes") / "targets"
    targets: dict[str, Target] = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".toml"):
            continue
        name = entry.name.removesuffix(".toml")
        data = tomllib.loads(entry.read_text(encoding="utf-8"))
        targets[name] = Target(
            name,
            data["kind"],
            data["iree_target"],
            data["description"],
            data.get("max_buffer_bytes", VULKAN_MIN_BUFFER_BYTES),
            _kernel_limits(data) if "kernels" in data else None,
            Speeds(**data.get("speeds", {})),
            TextureLimits(**data.get("textures", {})),
        )
    return targets


def _kernel_limits(data: dict[str, Any]) -> KernelLimits:
    """The tables ``[kernels]`` and ``[products]``; TOML has lists where a shape is a tuple."""
    table = data["kernels"]
    avoided = tuple((x, y, z) for x, y, z in table.pop("avoided_workgroups", ()))
    products = ProductSpeeds(**data["products"]) if "products" in data else None
    return KernelLimits(**table, avoided_workgroups=avoided, products=products)


def resolve(name: str, storage: Storage = "buffer") -> Target:
    """The target called ``name``; ``storage`` concerns Vulkan targets only, and "auto" is what the
    target prefers, or less, tensor for tensor, where it states the speeds of its memory.

    Raises UserError for a name that cannot be one, DeviceError for no device at hand.
    """
    if storage not in STORAGES:
        raise UserError(
            f"unknown storage {storage!r}.{did_you_mean(storage, STORAGES)}",
            hint=f"Known: {', '.join(STORAGES)}.",
        )
    target = _named(name)
    if target.kind == "cpu":
        return target
    chosen = target.textures.preferred if storage == "auto" else storage
    return replace(target, storage=chosen, chooses_storage=storage == "auto")


def with_tuning(target: Target, wish: str | PathLike[str]) -> Target:
    """The target with what was measured of its kernels: "auto", "off" or a file's path.

    Raises UserError for a file that is no tuning database of this target.
    """
    return replace(target, tuned=for_target(target.name, wish)) if target.kernels else target


def _named(name: str) -> Target:
    if name == "vulkan":
        from smartmem.runtime.devices import vulkan_device

        return known_targets()[vulkan_device().target]
    known = known_targets().get(name)
    if known is not None:
        return known
    if not name.replace("_", "").replace("-", "").isalnum():
        raise unknown_target(name)
    return Target(name, "vulkan", name, "an iree-compile Vulkan target")


def texture_limits(name: str) -> TextureLimits:
    """What the textures of the target called ``name`` hold; the least for one of IREE's own."""
    known = known_targets().get(name)
    return TextureLimits() if known is None else known.textures


def unknown_target(name: str) -> UserError:
    """The error for a name that is no target, with the nearest that is."""
    known = ["vulkan", *known_targets()]
    return UserError(
        f"unknown target {name!r}.{did_you_mean(name, [*known, *_IREE_NAMES])}",
        hint=f"Known: {', '.join(known)}, and iree-compile's Vulkan target names "
        f"(such as {', '.join(_IREE_NAMES)}).",
    )
