"""Small blocks that several models of the suite share."""

from collections.abc import Callable

import torch
from torch import nn

Activation = Callable[[], nn.Module]


class Mlp(nn.Sequential):
    """The feed-forward layer of a transformer: [..., width] to [..., width]."""

    def __init__(self, width: int, hidden: int, activation: Activation = nn.GELU) -> None:
        super().__init__(nn.Linear(width, hidden), activation(), nn.Linear(hidden, width))


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm and perhaps an activation.

    [B, inputs, H, W] to [B, outputs, ceil(H / stride), ceil(W / stride)] for odd kernels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        dilation: int = 1,
        activation: Activation | None = nn.ReLU,
    ) -> None:
        padding = dilation * (kernel // 2)
        convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, padding, dilation, groups=groups, bias=False
        )
        super().__init__(convolution, nn.BatchNorm2d(outputs))
        if activation is not None:
            self.append(activation())


class Residual(nn.Module):
    """``body`` beside a shortcut, then ReLU: the shortcut is a 1x1 convolution where shapes differ.

    [B, inputs, H, W] to [B, outputs, H / stride, W / stride].
    """

    def __init__(self, body: nn.Module, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = body
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else ConvNorm(inputs, outputs, 1, stride, activation=None)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.body(x) + self.shortcut(x)).relu()


def depthwise(width: int, kernel: int, *, bias: bool = True) -> nn.Conv2d:
    """A depthwise convolution that keeps the shape [B, width, H, W]."""
    return nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=bias)


class SeparableConv(nn.Sequential):
    """A depthwise 3x3 convolution, then one over channels, each with norm and activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        dilation: int = 1,
        activation: Activation = nn.ReLU,
        last: Activation | None = nn.ReLU,
    ) -> None:
        spatial = ConvNorm(
            inputs, inputs, 3, stride, groups=inputs, dilation=dilation, activation=activation
        )
        super().__init__(spatial, ConvNorm(inputs, outputs, activation=last))


def to_tokens(image: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] to [B, H W, C]."""
    return image.flatten(2).transpose(1, 2)


def to_image(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """[B, H W, C] to [B, C, H, W]."""
    batch, _, channels = tokens.shape
    return tokens.transpose(1, 2).reshape(batch, channels, height, width)


def relative_positions(side: int) -> torch.Tensor:
    """The row of a table of (2 side - 1)² offsets for each pair of places: [side², side²]."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None, :] + side - 1
    right = columns[:, None] - columns[None, :] + side - 1
    return down * (2 * side - 1) + right


def small_normal(*shape: int) -> nn.Parameter:
    """A parameter drawn as transformers initialise their tables: deviation 0.02."""
    return nn.Parameter(nn.init.normal_(torch.empty(shape), std=0.02))
