"""Blocks with batch norm in their branches that are deployed as one 3x3 convolution.

In training each batch norm sees its branch's own statistics, which is what makes them more than one convolution;
with fixed statistics (`eval`) every branch is linear, and `merge` gives their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.layers.padding import framed
from sr.layers.reparam import Kernel, Reparameterized, chained, identity_kernel


def fused(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Kernel:
    """A convolution and the batch norm after it, with its running statistics, as one convolution."""
    gain, shift = affine(norm)
    weight = conv.weight * gain[:, None, None, None]
    return weight, shift if conv.bias is None else shift + gain * conv.bias


def affine(norm: nn.BatchNorm2d) -> Kernel:
    """Factor and summand per channel that a batch norm with its running statistics is, (C,) each."""
    assert norm.running_var is not None and norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return gain, norm.bias - gain * norm.running_mean


def added(*kernels: Kernel) -> Kernel:
    """Convolutions on the same input, of 3x3 or smaller odd sizes, summed."""
    weights = [F.pad(w, 2 * (1 - w.shape[3] // 2,) + 2 * (1 - w.shape[2] // 2,)) for w, _ in kernels]
    return torch.stack(weights).sum(0), torch.stack([b for _, b in kernels]).sum(0)


class ConvNorm(nn.Sequential):
    """Convolution without bias that keeps the size, then batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int]) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def kernel(self) -> Kernel:
        return fused(self[0], self[1])  # type: ignore[arg-type]


class RepVGGBlock(Reparameterized):
    """3x3 + 1x1 + identity, a batch norm after each (no identity where C differs from C').

    Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021 (https://arxiv.org/abs/2101.03697), figure
    4; without its ReLU.

    Args:
        in_channels: C.
        out_channels: C'.

    Shapes: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.square = ConvNorm(in_channels, out_channels, (3, 3))
        self.point = ConvNorm(in_channels, out_channels, (1, 1))
        self.identity = nn.BatchNorm2d(in_channels) if in_channels == out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.square(x) + self.point(x)
        return y if self.identity is None else y + self.identity(x)

    def kernel(self) -> Kernel:
        kernels = [self.square.kernel(), self.point.kernel()]
        if self.identity is not None:
            gain, shift = affine(self.identity)
            kernels.append((gain[:, None, None, None] * identity_kernel(kernels[0][0]), shift))
        return added(*kernels)


class ACBlock(Reparameterized):
    """3x3 + 1x3 + 3x1, a batch norm after each.

    Ding et al., "ACNet: Strengthening the Kernel Skeletons for Powerful CNN via Asymmetric Convolution Blocks", ICCV
    2019 (https://arxiv.org/abs/1908.03930), figure 2.

    Args:
        in_channels: C.
        out_channels: C'.

    Shapes: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.square = ConvNorm(in_channels, out_channels, (3, 3))
        self.horizontal = ConvNorm(in_channels, out_channels, (1, 3))
        self.vertical = ConvNorm(in_channels, out_channels, (3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.square(x) + self.horizontal(x) + self.vertical(x)

    def kernel(self) -> Kernel:
        return added(self.square.kernel(), self.horizontal.kernel(), self.vertical.kernel())


class NormPad(nn.Module):
    """Batch norm, then one pixel around of what it makes of zero.

    So a convolution that follows sees outside the image what it would if the batch norm had come after zero padding:
    the pair stays one convolution at the borders. As in the authors' code the frame is made from the running
    statistics, in training too, and passes no gradient on.

    Shapes: (B, C, H, W) -> (B, C, H + 2, W + 2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return framed(self.norm(x), affine(self.norm)[1].detach())


class DiverseBranchBlock(Reparameterized):
    """3x3 + 1x1 + (1x1, 3x3) + (1x1, 3x3 average), a batch norm after each convolution and the average.

    Ding et al., "Diverse Branch Block: Building a Convolution as an Inception-like Unit", CVPR 2021
    (https://arxiv.org/abs/2103.13425), figure 3. As in the authors' code the 1x1 before the 3x3 has C channels and
    is the identity plus a weight that starts at 0.

    Args:
        in_channels: C.
        out_channels: C'.

    Shapes: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.square = ConvNorm(in_channels, out_channels, (3, 3))
        self.point = ConvNorm(in_channels, out_channels, (1, 1))
        self.deviation = nn.Conv2d(in_channels, in_channels, 1, bias=False)  # of the first 1x1 from the identity
        nn.init.zeros_(self.deviation.weight)
        self.sequence_pad = NormPad(in_channels)
        self.sequence = nn.Conv2d(in_channels, out_channels, 3, bias=False)
        self.sequence_norm = nn.BatchNorm2d(out_channels)
        self.average_in = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.average_pad = NormPad(out_channels)
        self.average = nn.AvgPool2d(3, stride=1)
        self.average_norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        sequence = self.sequence_norm(self.sequence(self.sequence_pad(x + self.deviation(x))))
        average = self.average_norm(self.average(self.average_pad(self.average_in(x))))
        return self.square(x) + self.point(x) + sequence + average

    def kernel(self) -> Kernel:
        gain, shift = affine(self.sequence_pad.norm)
        first = gain[:, None, None, None] * self.deviation.weight + torch.diag(gain)[:, :, None, None], shift
        sequence = chained(first, fused(self.sequence, self.sequence_norm))
        gain, shift = affine(self.average_norm)
        mean = torch.diag(gain)[:, :, None, None].expand(-1, -1, 3, 3) / 9, shift
        average = chained(fused(self.average_in, self.average_pad.norm), mean)
        return added(self.square.kernel(), self.point.kernel(), sequence, average)


class SqueezeBranch(nn.Sequential):
    """3x3 to `mid` channels, batch norm, 1x1 to C: the expand-and-squeeze path of RepSR.

    The 3x3 comes first, on the zero-padded input, so the three are one convolution with zero padding as they are.

    Args:
        channels: C.
        mid: channels between the two.
        norm: whether there is batch norm.
    """

    def __init__(self, channels: int, mid: int, norm: bool = True) -> None:
        super().__init__(
            nn.Conv2d(channels, mid, 3, padding=1),
            nn.BatchNorm2d(mid) if norm else nn.Identity(),
            nn.Conv2d(mid, channels, 1),
        )

    def kernel(self) -> Kernel:
        weight, bias = _normed(self[0], self[1])
        squeeze, offset = self[2].weight, self[2].bias
        assert isinstance(squeeze, Tensor) and isinstance(offset, Tensor)
        mixing = squeeze[:, :, 0, 0]
        return torch.einsum("om,miyx->oiyx", mixing, weight), mixing @ bias + offset


class SingleBranch(nn.Sequential):
    """One convolution, 3x3 or 1x1, and batch norm: what RepSR's path is without the other convolution.

    Args:
        channels: C.
        kernel_size: 3 or 1.
        norm: whether there is batch norm.
    """

    def __init__(self, channels: int, kernel_size: int, norm: bool = True) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2),
            nn.BatchNorm2d(channels) if norm else nn.Identity(),
        )

    def kernel(self) -> Kernel:
        return _normed(self[0], self[1])


def _normed(conv: nn.Module, norm: nn.Module) -> Kernel:
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    return fused(conv, norm) if isinstance(norm, nn.BatchNorm2d) else (conv.weight, conv.bias)


class RepSRBlock(Reparameterized):
    """The input, untouched, plus two expand-and-squeeze paths with batch norm.

    Wang, Dong and Shan, "RepSR: Training Efficient VGG-style Super-Resolution Networks with Structural
    Re-Parameterization and Batch Normalization", ACM MM 2022 (https://arxiv.org/abs/2205.05671), figure 2(b). Its
    code was never released: the order 3x3, batch norm, 1x1 and the expansion by 2 are what third-party codes agree on.

    Args:
        channels: C.
        expansion: width of the paths over C.
        paths: what is added to the input, each "c3c1" (3x3, batch norm, 1x1), "c3" or "c1" (one convolution and batch
            norm).
        norm: whether the paths have batch norm.
        residual: how the input is added: "clean", through a batch norm of its own ("norm"), or not ("none").

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        expansion: int = 2,
        paths: Sequence[str] = ("c3c1", "c3c1"),
        norm: bool = True,
        residual: str = "clean",
    ) -> None:
        super().__init__()
        kinds: dict[str, Callable[[], nn.Module]] = {
            "c3c1": partial(SqueezeBranch, channels, expansion * channels, norm),
            "c3": partial(SingleBranch, channels, 3, norm),
            "c1": partial(SingleBranch, channels, 1, norm),
        }
        if not paths or not set(paths) <= set(kinds) or residual not in RESIDUALS:
            raise UserError(
                f"RepSR's block has paths of {', '.join(kinds)} and a residual of {', '.join(RESIDUALS)}; asked was "
                f"paths={list(paths)} residual={residual}"
            )
        self.paths = nn.ModuleList(kinds[kind]() for kind in paths)
        self.residual = RESIDUALS[residual](channels)

    def forward(self, x: Tensor) -> Tensor:
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
