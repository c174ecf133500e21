"""RepSR's block: the input and expand-and-squeeze paths with batch norm, deployed as one 3x3 convolution."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.layers.reparam import Kernel, Reparameterized, added, identity_kernel
from sr.layers.reparam_norm import affine, fused
from sr.layers.statistics import batch_norms


class Branch(nn.Sequential):
    """A convolution and batch norm, and where they widen, a 1x1 back to C: the expand-and-squeeze path of RepSR.

    Its 3x3 comes first, on the zero-padded input, so the three are one convolution with zero padding as they are.

    Args:
        channels: C.
        kernel_size: of the first convolution, 3 or 1.
        width: its output channels; None: C, and no 1x1 follows.
        norm: whether there is batch norm.
        start: what the last layer's initial weights are multiplied by.
    """

    def __init__(
        self, channels: int, kernel_size: int, width: int | None = None, norm: bool = True, start: float = 1.0
    ) -> None:
        out = width or channels
        super().__init__(
            nn.Conv2d(channels, out, kernel_size, padding=kernel_size // 2),
            nn.BatchNorm2d(out) if norm else nn.Identity(),
        )
        if width:
            self.append(nn.Conv2d(width, channels, 1))
        with torch.no_grad():
            for parameter in [layer for layer in self if not isinstance(layer, nn.Identity)][-1].parameters():
                parameter.mul_(start)

    def kernel(self) -> Kernel:
        conv, norm, *squeeze = self
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        weight, bias = fused(conv, norm) if isinstance(norm, nn.BatchNorm2d) else (conv.weight, conv.bias)
        for pointwise in squeeze:
            assert isinstance(pointwise, nn.Conv2d) and pointwise.bias is not None
            mixing = pointwise.weight[:, :, 0, 0]
            weight, bias = torch.einsum("om,miyx->oiyx", mixing, weight), mixing @ bias + pointwise.bias
        return weight, bias


class RepSRBlock(Reparameterized):
    """The input, untouched, plus two expand-and-squeeze paths with batch norm.

    Wang, Dong and Shan, "RepSR: Training Efficient VGG-style Super-Resolution Networks with Structural
    Re-Parameterization and Batch Normalization", ACM MM 2022 (https://arxiv.org/abs/2205.05671), figure 2(b). Its
    code was never released: the order 3x3, batch norm, 1x1 and the expansion by 2 are what third-party codes agree on.

    Args:
        channels: C.
        paths: what is added to the input, each "c3c1" (3x3, batch norm, 1x1), "c3" or "c1" (one convolution and batch
            norm).
        norm: whether the paths have batch norm.
        residual: how the input is added: "clean", through a batch norm of its own ("norm"), or not ("none").
        start: what the initial weights of each path's last layer are multiplied by. Batch norm makes what a path adds
            equally large, however small its input is; with 0.1 a block begins near that. Ours, not the paper's.

    Without batch norm, and in training once all of its batch norms are in eval mode (`PopulationStatistics`), the block
    is linear: it forms its kernel and applies it once, at about the cost of the merged form, as `ECB` does.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        paths: Sequence[str] = ("c3c1", "c3c1"),
        norm: bool = True,
        residual: str = "clean",
        start: float = 1.0,
    ) -> None:
        super().__init__()
        kinds: dict[str, Callable[[], nn.Module]] = {
            "c3c1": partial(Branch, channels, 3, 2 * channels, norm=norm, start=start),
            "c3": partial(Branch, channels, 3, norm=norm, start=start),
            "c1": partial(Branch, channels, 1, norm=norm, start=start),
        }
        if not paths or not set(paths) <= set(kinds) or residual not in RESIDUALS:
            raise UserError(
                f"RepSR's block has paths of {', '.join(kinds)} and a residual of {', '.join(RESIDUALS)}; asked was "
                f"paths={list(paths)} residual={residual}"
            )
        self.paths = nn.ModuleList(kinds[kind]() for kind in paths)
        self.residual = RESIDUALS[residual](channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not any(norm.training for norm in batch_norms(self).values()):
            weight, bias = self.kernel()
            return F.conv2d(x, weight, bias, padding=1)
        first, *others = self.paths
        y = first(x) if self.residual is None else self.residual(x) + first(x)
        for path in others:
            y = y + path(x)
        return y

    def kernel(self) -> Kernel:
        weight, bias = added(*(path.kernel() for path in self.paths))  # type: ignore[operator]
        if isinstance(self.residual, nn.BatchNorm2d):
            gain, shift = affine(self.residual)
            return weight + gain[:, None, None, None] * identity_kernel(weight), bias + shift
        return (weight if self.residual is None else weight + identity_kernel(weight)), bias


# How a block adds its input, each made from C.
RESIDUALS: Mapping[str, Callable[[int], nn.Module | None]] = {
    "clean": lambda channels: nn.Identity(),
    "norm": nn.BatchNorm2d,
    "none": lambda channels: None,
}
