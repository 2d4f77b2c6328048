"""What we compile for: a name the user gives becomes a ``Target`` with IREE's flags.

Known targets are the files in ``targets/``; ``vulkan`` is the device at hand; any other name is
taken as one of iree-compile's own Vulkan targets and passed on.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from smartmem.errors import UserError
from smartmem.passes.lower.builder import DeviceKind

_COMMON_FLAGS = (
    "--iree-input-type=none",
    # Constants are evaluated by the frontend; a second evaluator would only hide work from the
    # counters.
    "--iree-opt-const-eval=false",
    # Same input, same bytes.
    "--iree-vm-bytecode-module-strip-source-map=true",
)


@dataclass(frozen=True)
class Target:
    """``iree_target`` is the CPU name or the Vulkan target name that iree-compile is given."""

    name: str
    kind: DeviceKind
    iree_target: str
    description: str

    @property
    def flags(self) -> tuple[str, ...]:
        """Options of iree-compile."""
        return (*_COMMON_FLAGS, *self.device_flags)

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
        targets[name] = Target(name, data["kind"], data["iree_target"], data["description"])
    return targets


def resolve(name: str) -> Target:
    """The target called ``name``.

    Raises UserError for a name that cannot be one, DeviceError for no device at hand.
    """
    if name == "vulkan":
        from smartmem.runtime.devices import vulkan_device

        return known_targets()[vulkan_device().target]
    known = known_targets().get(name)
    if known is not None:
        return known
    if not name.replace("_", "").replace("-", "").isalnum():
        raise UserError(f"'{name}' is no target name; known: vulkan, {', '.join(known_targets())}")
    return Target(name, "vulkan", name, "an iree-compile Vulkan target")
