"""The report of a deployment: a document of `smartmem bench` with one row, and more beside it."""

from __future__ import annotations

from typing import Any

from smartmem.benchmarks.bench.results import Document, machine, versions
from smartmem.deploy.deploy import Deployed


def document(done: Deployed) -> dict[str, Any]:
    """What `smartmem bench` reads and renders; ``deploy`` holds all else."""
    phone, gpu = done.checked.phone, done.checked.gpu
    described = {
        "serial": phone.serial,
        "model": phone.model,
        "android": phone.android,
        "api": str(gpu.get("api", phone.vulkan)),
        "driver": str(gpu.get("driver", "")),
        "driver_info": str(gpu.get("driver_info", "")),
    }
    rows = Document(None, machine(), versions(), {done.row.device: described}, [done.row])
    return {**rows.to_json(), "deploy": done.to_json()}
