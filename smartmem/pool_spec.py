"""A pool as a TOML file says it: the models, their devices, periods, deadlines and inputs.

    budget = "512MiB"                       # or a share of all weights, such as "60%"

    [models.detector]
    path = "detector.smartmem"              # from the file's own folder
    period_ms = 100
    [models.planner]
    path = "planner.smartmem"
    device = "cpu"
    period_ms = 100
    deadline_ms = 80
    after = ["detector"]
    take = { agents = "detector.boxes" }    # an input from another's output

The keys are told in docs/pool.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from smartmem.errors import UserError
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.pool.ready import Order
from smartmem.runtime.pool.tasks import Task
from smartmem.runtime.tree import flatten, unflatten
from smartmem.spelling import did_you_mean

if TYPE_CHECKING:
    from smartmem.runtime.budget import Budget
    from smartmem.runtime.manifest import Manifest
    from smartmem.runtime.pool.periodic import Feed
    from smartmem.runtime.pool.pool import Pool

_TEXT, _TEXTS, _NUMBER = (str,), (list,), (int, float)
_KEYS: dict[str, tuple[type, ...]] = {
    "budget": (str, int),
    "device": _TEXT,
    "order": _TEXT,
    "margin": _NUMBER,
    "models": (dict,),
}
_MODEL_KEYS: dict[str, tuple[type, ...]] = {
    "path": _TEXT,
    "device": _TEXT,
    "priority": (int,),
    "period_ms": _NUMBER,
    "deadline_ms": _NUMBER,
    "time_ms": _NUMBER,
    "after": _TEXTS,
    "latest": _TEXTS,
    "inputs": _TEXTS,
    "take": (dict,),
    "feed": _TEXT,
}


@dataclass(frozen=True)
class ModelSpec:
    """One model of the file. ``take`` gives inputs by the outputs ("MODEL.OUTPUT") they come from;
    ``feed`` names a callable that makes inputs of the outputs of those that the model reads: it is
    given these by model, and the shapes of the inputs by name, and returns inputs by name.
    """

    task: Task
    path: Path
    device: str | None
    priority: int
    inputs: tuple[Path, ...]
    take: dict[str, str]
    feed: str | None


@dataclass(frozen=True)
class PoolSpec:
    """The whole file."""

    path: Path
    budget: Budget
    device: str
    order: Order
    margin: float
    models: dict[str, ModelSpec]

    @property
    def tasks(self) -> list[Task]:
        return [model.task for model in self.models.values()]

    @property
    def is_periodic(self) -> bool:
        return any(task.is_periodic for task in self.tasks)


def read_spec(path: Path) -> PoolSpec:
    """Raises UserError for what the file should not say: where, and what it may say."""
    from smartmem.runtime.budget import parse_budget

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error
    _check(f"{path}", data, _KEYS, ("budget", "models"))
    if not data["models"]:
        raise UserError(f"{path}: no models", hint="Give at least one [models.NAME].")
    budget = parse_budget(data["budget"])
    if budget.is_auto:
        raise UserError(f"{path}: a pool needs a budget of its own", hint="Such as 512MiB or 60%.")
    models: dict[str, ModelSpec] = {}
    for name, row in data["models"].items():
        if not isinstance(row, dict):
            raise UserError(f"{path}: models.{name} is no table", hint=f"Write [models.{name}].")
        models[name] = _model(path, name, cast(dict[str, Any], row))
    order, margin = data.get("order", "fifo"), float(data.get("margin", 2.0))
    if not margin >= 1:
        raise UserError(f"{path}: a margin of {margin}, below 1")
    return PoolSpec(path, budget, data.get("device", "auto"), order, margin, models)


def fill(pool: Pool, spec: PoolSpec, seed: int = 0) -> dict[str, Feed]:
    """Adds the models to a pool, and gives what makes the inputs of each: files, random ones, and
    outputs of others.

    Raises UserError for models and inputs that do not fit each other.
    """
    bundles = {name: Bundle.open(model.path) for name, model in spec.models.items()}
    manifests = {name: bundle.manifest for name, bundle in bundles.items()}
    for name, model in spec.models.items():
        pool.add(name, model.path, device=model.device, priority=model.priority)
    return {
        name: _feed(f"{spec.path}: models.{name}", model, manifests, seed + place)
        for place, (name, model) in enumerate(spec.models.items())
    }


def budget_bytes(spec: PoolSpec) -> int:
    """The budget; a share is one of the archives of all models."""
    paths = {model.path for model in spec.models.values()}
    return spec.budget.of(sum(Bundle.open(path).manifest.weights.bytes for path in paths))


def _model(path: Path, name: str, row: dict[str, Any]) -> ModelSpec:
    where = f"{path}: models.{name}"
    _check(where, row, _MODEL_KEYS, ("path",))
    seconds = {
        key: row[f"{key}_ms"] / 1e3 if f"{key}_ms" in row else None
        for key in ("period", "deadline", "time")
    }
    take = {key: str(value) for key, value in row.get("take", {}).items()}
    after = tuple(map(str, row.get("after", ())))
    latest = tuple(map(str, row.get("latest", ())))
    for value in take.values():
        other = value.partition(".")[0]
        if other not in (*after, *latest):
            raise UserError(
                f"{where}: takes {value!r}, but neither waits for {other!r} nor takes its latest",
                hint=f'Add after = ["{other}"], or latest = ["{other}"].',
            )
    task = Task(
        name,
        seconds["period"],
        seconds["deadline"],
        row.get("priority") if "period_ms" in row else None,
        after,
        latest,
        seconds["time"],
    )
    folder = path.parent
    files = tuple(folder / file for file in row.get("inputs", ()))
    return ModelSpec(
        task,
        folder / row["path"],
        row.get("device"),
        row.get("priority", 0),
        files,
        take,
        row.get("feed"),
    )


def _check(
    where: str,
    data: Mapping[str, Any],
    keys: Mapping[str, tuple[type, ...]],
    needed: Sequence[str],
) -> None:
    for key, value in data.items():
        if key not in keys:
            raise UserError(
                f"{where}: unknown key {key!r}.{did_you_mean(key, keys)}",
                hint=f"Known: {', '.join(keys)}.",
            )
        if not isinstance(value, keys[key]) or isinstance(value, bool):
            kinds = " or ".join(kind.__name__ for kind in keys[key])
            raise UserError(f"{where}: {key} is {value!r}, not a {kinds}")
    for key in needed:
        if key not in data:
            raise UserError(f"{where}: no {key}")


def _feed(where: str, model: ModelSpec, manifests: Mapping[str, Manifest], seed: int) -> Feed:
    """What makes the arguments of one model."""
    from smartmem.arrays import random_inputs, read_inputs

    name = model.task.model
    manifest = manifests[name]
    specs = manifest.inputs
    given = read_inputs(model.inputs, specs) if model.inputs else random_inputs(specs, seed)
    places = {spec.name: place for place, spec in enumerate(specs)}
    taken = {
        _place(where, key, places): _output(where, key, value, manifest, manifests)
        for key, value in model.take.items()
    }
    make = _callable(model.feed) if model.feed else None
    shapes = {spec.name: spec.shape for spec in specs}

    def feed(outputs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        arrays = list(given)
        for place, (other, number) in taken.items():
            tree = manifests[other].output_tree
            arrays[place] = flatten(tree, outputs[other], other)[number]
        made: Mapping[str, Any] = make(outputs, shapes) if make else {}
        for key, value in made.items():
            arrays[_place(where, key, places)] = value
        args, kwargs = unflatten(manifest.input_tree, arrays)
        return args, kwargs

    return feed


def _place(where: str, key: str, places: Mapping[str, int]) -> int:
    if key not in places:
        raise UserError(
            f"{where}: no input {key!r}.{did_you_mean(key, places)}",
            hint=f"Its inputs: {', '.join(places)}.",
        )
    return places[key]


def _output(
    where: str, key: str, value: str, manifest: Manifest, manifests: Mapping[str, Manifest]
) -> tuple[str, int]:
    """Model and position of an output that an input is taken from, which must be alike."""
    other, _, output = value.partition(".")
    named = {spec.name: place for place, spec in enumerate(manifests[other].outputs)}
    if output not in named:
        raise UserError(
            f"{where}: {other!r} has no output {output!r}.{did_you_mean(output, named)}",
            hint=f"Its outputs: {', '.join(named)}.",
        )
    taken = next(spec for spec in manifest.inputs if spec.name == key)
    given = manifests[other].outputs[named[output]]
    if (given.shape, given.source_dtype) != (taken.shape, taken.source_dtype):
        raise UserError(
            f"{where}: input {key!r} is {taken.source_dtype}{list(taken.shape)}, but {value!r} is "
            f"{given.source_dtype}{list(given.shape)}",
            hint='Make one of the other in a callable: feed = "module:callable".',
        )
    return other, named[output]


def _callable(name: str) -> Callable[..., Mapping[str, Any]]:
    # Here, because it imports torch.
    from smartmem.frontend.loader import named_callable

    return named_callable(name)
