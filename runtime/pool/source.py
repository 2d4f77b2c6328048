"""Where a pool gets a model from: all that it needs to know, so that others can be plugged in."""

from __future__ import annotations

import logging
import os
from typing import Any, Protocol

from smartmem.errors import DeviceError
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.devices import cpu_device, select
from smartmem.runtime.session import Executor, Session, suits_ours

logger = logging.getLogger(__name__)


class Runner(Protocol):
    """A model in memory."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One run. Never called by two threads at once."""
        ...

    def close(self) -> None:
        """Gives its memory back."""
        ...


class Source(Protocol):
    """A model that can be brought into memory, again and again.

    ``least_bytes`` is what its weights take in any case, ``most_bytes`` all that it can make use
    of: a model that streams needs its largest step, and gets faster up to all of its weights.
    Models of one ``device`` run one after another; those of several run beside each other.
    """

    @property
    def device(self) -> str: ...

    @property
    def least_bytes(self) -> int: ...

    @property
    def most_bytes(self) -> int: ...

    def load(self, budget_bytes: int) -> Runner:
        """The model with weights of at most ``budget_bytes`` in memory, ``least_bytes`` or more."""
        ...


class BundleSource:
    """A compiled model's folder.

    Our executor streams weights under any budget, from its largest step to all of them, so the pool
    decides. In IREE's runtime a plan is fixed when it is written: there a model takes its plan's
    peak where it was compiled with a budget, and all of its archive otherwise.
    """

    def __init__(
        self, path: str | os.PathLike[str], device: str = "auto", executor: Executor = "auto"
    ) -> None:
        self.bundle = Bundle.open(path)
        self._wish = device
        self._executor: Executor = executor
        selected, entry = select(self.bundle.manifest, device)
        self.device = "cpu" if selected == cpu_device() else selected.uri
        self._streams = False
        if executor != "iree" and suits_ours(selected, entry):
            # Here, since where IREE runs a model the library need not be there.
            from smartmem.runtime.executor import budgets

            try:
                self.least_bytes, self.most_bytes = budgets(selected.uri, self.bundle, entry.name)
            except DeviceError as error:
                if executor == "smartmem":
                    raise
                logger.warning("IREE's runtime runs %s: %s", self.bundle.path, error.message)
                self._executor = "iree"
            else:
                self._streams = True
                # What it was compiled with holds in a pool, too.
                if entry.budget_bytes is not None:
                    most = min(self.most_bytes, entry.budget_bytes)
                    self.most_bytes = max(self.least_bytes, most)
                return
        self.least_bytes = self.bundle.manifest.weights.bytes
        if entry.is_streamed:
            report = self.bundle.report(entry.name)
            self.least_bytes = int(report["streaming"]["peak_weight_bytes"])
        self.most_bytes = self.least_bytes

    def load(self, budget_bytes: int) -> Runner:
        """A session; raises UserError where a file is damaged, DeviceError without the device."""
        if self._streams:
            return Session(self.bundle, self._wish, executor="smartmem", budget=budget_bytes)
        return Session(self.bundle, self._wish, executor=self._executor)
