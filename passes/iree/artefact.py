"""What runs of a module, the vmfb and the schedule with its kernels, also as one value to keep."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from smartmem.passes.iree.scan import Finding


@dataclass(frozen=True)
class Module:
    """``vmfb`` runs in IREE's runtime; ``schedule`` and its ``spirv``, by file name, in ours.

    ``findings`` is what may be miscompiled; ``unschedulable`` says why there is no schedule,
    ``textures`` how much of the weights that schedule reads as texels.
    """

    vmfb: bytes
    findings: tuple[Finding, ...] = ()
    schedule: bytes | None = None
    spirv: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    unschedulable: str = ""
    textures: Mapping[str, Any] = field(default_factory=dict[str, Any])


def packed(module: Module) -> bytes:
    """A module as one value for the cache."""
    facts = {
        "findings": [asdict(f) for f in module.findings],
        "unschedulable": module.unschedulable,
        "textures": module.textures,
    }
    files = {f"spirv/{name}": code for name, code in module.spirv.items()}
    files |= {"vmfb": module.vmfb, "facts": json.dumps(facts).encode()}
    if module.schedule is not None:
        files["schedule"] = module.schedule
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def unpacked(value: bytes) -> Module:
    """The module that ``packed`` gave."""
    with zipfile.ZipFile(io.BytesIO(value)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(files["facts"])
    return Module(
        files["vmfb"],
        tuple(Finding(**row) for row in facts["findings"]),
        files.get("schedule"),
        {n.removeprefix("spirv/"): c for n, c in files.items() if n.startswith("spirv/")},
        facts["unschedulable"],
        facts["textures"],
    )
