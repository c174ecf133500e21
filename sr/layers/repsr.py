"""RepSR's block: the input and expand-and-squeeze paths with batch norm, deployed as one 3x3 convolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.layers.reparam import Kernel, Reparameterized, added, identity_kernel
from sr.layers.reparam_norm import affine, fused


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
        weight, bias = _folded(self[0], self[1])
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
        return _folded(self[0], self[1])


def _folded(conv: nn.Module, norm: nn.Module) -> Kernel:
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    return fused(conv, norm) if isinstance(norm, nn.BatchNorm2d) else (conv.weight, conv.bias)


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

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self, channels: int, paths: Sequence[str] = ("c3c1", "c3c1"), norm: bool = True, residual: str = "clean"
    ) -> None:
        super().__init__()
        kinds: dict[str, Callable[[], nn.Module]] = {
            "c3c1": partial(SqueezeBranch, channels, 2 * channels, norm),
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
