"""Who can be measured: each contender's module, what it must find installed, and how to get it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from smartmem.errors import UserError
from smartmem.runtime.manifest import Precision
from smartmem.spelling import did_you_mean

_HOME = "smartmem.benchmarks.bench.contenders"
_SETUP = "run `make bench-setup`, which installs the extra `bench` of pyproject.toml"
OURS = "smartmem"
OURS_FP16 = "smartmem-fp16"


@dataclass(frozen=True)
class Peer:
    """One contender; ``needs`` are modules that must be importable, ``install`` says how."""

    name: str
    module: str
    needs: tuple[str, ...] = ()
    install: str = "run `make setup`"

    def missing(self) -> list[str]:
        """What it needs and this machine lacks."""
        return [name for name in self.needs if find_spec(name) is None]


PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, f"{_HOME}.ours"),
        Peer(OURS_FP16, f"{_HOME}.ours_fp16"),
        Peer("iree", f"{_HOME}.stock_iree", ("torch", "iree")),
        Peer("eager", f"{_HOME}.eager", ("torch",)),
        Peer("inductor", f"{_HOME}.inductor", ("torch",)),
        Peer("ncnn", f"{_HOME}.ncnn_peer", ("ncnn", "pnnx"), _SETUP),
        Peer("ncnn-fp16", f"{_HOME}.ncnn_fp16", ("ncnn", "pnnx"), _SETUP),
        Peer("mnn", f"{_HOME}.mnn_peer", ("MNN", "onnx", "onnxscript"), _SETUP),
        Peer("ort", f"{_HOME}.ort", ("onnx", "onnxscript", "onnxruntime"), _SETUP),
        Peer("ort-webgpu", f"{_HOME}.ort_webgpu", ("onnx", "onnxscript", "onnxruntime"), _SETUP),
    )
}


def ours(precision: Precision) -> str:
    """The name of smartmem's own contender at this precision."""
    return OURS_FP16 if precision == "fp16" else OURS


def find(names: Sequence[str]) -> list[Peer]:
    """The contenders of these names, each once. Raises UserError for an unknown one."""
    for name in names:
        if name not in PEERS:
            raise UserError(
                f"unknown contender {name!r}.{did_you_mean(name, PEERS)}",
                hint=f"Known: {', '.join(PEERS)}.",
            )
    return [PEERS[name] for name in dict.fromkeys(names)]
