"""What passes between the harness and the process of a contender."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from smartmem.runtime.session import Executor

Arrays = Sequence[NDArray[Any]]
# ``memory`` is "out of memory"; ``failed`` is an error that the contender reported itself.
Failing = Literal["failed", "crashed", "timeout", "memory", "not installed"]

INPUTS = "inputs.npz"
EXPECTED = "expected.npz"


class Failure(Exception):
    """Why a contender has no result."""

    def __init__(self, status: Failing, reason: str) -> None:
        super().__init__(reason)
        self.status: Failing = status
        self.reason = reason


@dataclass(frozen=True)
class Task:
    """One model of the suite at one size on one device.

    ``target`` is what smartmem compiles for, ``uri`` the device as IREE opens it. In ``folder`` lie
    the inputs and eager's outputs for both (``reference``), and what a contender builds.
    ``limit_s`` bounds each of the compilations a build consists of; ``executor`` is what runs
    smartmem's own, with at most ``weights_budget`` of device memory for weights.
    """

    model: str
    size: str
    target: str
    uri: str
    kind: str
    folder: Path
    limit_s: float = 600.0
    executor: Executor = "auto"
    weights_budget: str | None = None

    @property
    def spec(self) -> str:
        """The model's name as the suite takes it."""
        return f"{self.model}/{self.size}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}

    @staticmethod
    def of_json(data: dict[str, Any]) -> "Task":
        return Task(**{**data, "folder": Path(data["folder"])})


@dataclass(frozen=True)
class Candidate:
    """One form in which a contender can run the model; the fastest correct one is its result.

    ``file`` lies in the task's folder. ``counts`` are those of ``passes/iree/count``, where there
    are any. ``failure`` says why this form cannot be had. ``rtol`` is the tolerance where results
    are of less precision than the model's; ``runs_on`` where it computes, if not on the device.
    """

    name: str
    file: str = ""
    compile_s: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    failure: str = ""
    rtol: float | None = None
    runs_on: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of_json(data: dict[str, Any]) -> "Candidate":
        return Candidate(**data)


@dataclass(frozen=True)
class Loaded:
    """A model ready to run: host arrays in, host arrays out.

    ``device_bytes`` is its peak of device memory, ``busy_ms`` what the device computes per call on
    given inputs, by its own clock; None where they cannot be known. ``busy_ms`` may raise Failure.
    """

    run: Callable[[Arrays], Arrays]
    device_bytes: Callable[[], int | None] = lambda: None
    busy_ms: Callable[[Arrays], float | None] = lambda _: None
