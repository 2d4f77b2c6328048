"""What a model of the suite is, the register of them all, and what their files share.

A file of models defines builders and registers them; heavy imports stand inside the builders::

    @register("swin-tiny", title="Swin-T (ICCV'21)", kind="transformer",
              published=(Published("SmartMem Table 7", parameters=28.9, gmacs=4.6),))
    def swin_tiny(size: Size) -> tuple[nn.Module, Inputs]: ...

Three sizes: ``full`` is the paper's, ``bench`` what a machine of two cores carries, ``tiny`` what a
test compiles in seconds. All have the same structure. Weights and inputs come from a seed. A
builder that runs under ``torch.device("meta")`` gives a model without data, for counting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import nn

Size = Literal["full", "bench", "tiny"]
SIZES: tuple[Size, ...] = ("full", "bench", "tiny")
Kind = Literal["transformer", "hybrid", "convnet"]
Inputs = tuple[torch.Tensor, ...]
Builder = Callable[[Size], tuple[nn.Module, Inputs]]

T = TypeVar("T")

# Not 0: with that seed, `verify` draws the inputs it compares these with.
SEED = 1
# Of a frozen batch norm: it has buffers where others have parameters.
_STATISTICS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Published:
    """What a paper prints of a model: parameters in millions, and GMACs; None: not printed.

    ``note`` says what the paper leaves open or counts otherwise.
    """

    source: str
    parameters: float | None
    gmacs: float | None
    note: str | None = None


@dataclass(frozen=True)
class Model:
    """One model of the suite."""

    name: str
    title: str
    kind: Kind
    build: Builder
    published: tuple[Published, ...] = ()


_MODELS: dict[str, Model] = {}


def register(
    name: str, *, title: str, kind: Kind, published: tuple[Published, ...] = ()
) -> Callable[[Builder], Builder]:
    """Adds the builder to the suite under ``name``."""

    def add(build: Builder) -> Builder:
        if name in _MODELS:
            raise ValueError(f"the suite has a model '{name}' already")
        _MODELS[name] = Model(name, title, kind, build, published)
        return build

    return add


def registered() -> dict[str, Model]:
    """All models registered so far, by name in order; ``suite.models()`` loads the files first."""
    return dict(sorted(_MODELS.items()))


def by_size(size: Size, *, full: T, bench: T, tiny: T) -> T:
    """The one of three that belongs to ``size``."""
    return {"full": full, "bench": bench, "tiny": tiny}[size]


def generator(seed: int = SEED) -> torch.Generator:
    """A generator of its own, so that nothing else changes what it draws."""
    return torch.Generator("cpu").manual_seed(seed)


def normal(*shape: int, seed: int = SEED) -> torch.Tensor:
    """Seeded normal numbers, on the CPU whatever the default device."""
    return torch.randn(shape, generator=generator(seed), device="cpu")


def images(count: int, *shape: int, seed: int = SEED) -> torch.Tensor:
    """[count, *shape]: noise, with a mean of its own for each channel, as images have."""
    means = normal(count, shape[0], *(1 for _ in shape[1:]), seed=seed + 1)
    return normal(count, *shape, seed=seed) + means


def image(side: int, channels: int = 3) -> Inputs:
    """One square image: [1, channels, side, side]."""
    return (images(1, channels, side, side),)


def tokens(count: int, vocabulary: int) -> torch.Tensor:
    """Seeded token ids: [1, count]."""
    return torch.randint(0, vocabulary, (1, count), generator=generator(), device="cpu")


def is_meta(model: nn.Module) -> bool:
    """Whether the model was built without data."""
    return any(parameter.is_meta for parameter in model.parameters())


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """``build()`` with seeded weights, in inference mode.

    What libraries initialise to one value (biases and gains of norms to 0 and 1, layer scales to
    1e-6) gets noise: else a compiler that lost a bias would not be caught, and a block scaled by
    1e-6 would be dead. Matrices that would shrink what they multiply are scaled up, as libraries
    initialise for wide models: the branches of a narrow one would vanish beside their shortcuts.
    """
    torch.manual_seed(SEED)
    model = build().eval()
    if is_meta(model):
        return model
    noise = generator(SEED + 1)
    statistics = [b for name, b in model.named_buffers() if name.endswith(_STATISTICS)]
    with torch.no_grad():
        for tensor in [*model.parameters(), *statistics]:
            if tensor.min() == tensor.max():
                tensor += 0.1 * torch.randn(tensor.shape, generator=noise)
        for module in model.modules():
            if isinstance(module, nn.Linear):
                keeping, deviation = module.in_features**-0.5, module.weight.std()
                if deviation < keeping / 2:
                    module.weight *= keeping / deviation
    return model


def calibrated(build: Callable[[], nn.Module], inputs: Inputs) -> nn.Module:
    """``seeded``, with convolutions and batch-norm statistics that keep activations alive.

    With the library's small initial weights, activations would vanish beside statistics of 0 and 1
    and the output would not depend on the input. Kernels are drawn after He, gains around 1, and
    the statistics are those of one seeded batch, as training would leave them.
    """
    model = seeded(build)
    if is_meta(model):
        return model
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    for norm in _batch_norms(model):
        nn.init.normal_(norm.weight, 1.0, 0.1)
    take_statistics(model, inputs)
    return model


def take_statistics(model: nn.Module, inputs: Inputs) -> None:
    """Give the batch norms the statistics of one seeded batch of images, formed as ``inputs``."""
    norms = _batch_norms(model)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        model(*(images(4, *tensor.shape[1:], seed=SEED + 1) for tensor in inputs))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
