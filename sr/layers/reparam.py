"""Convolutions trained as several linear branches and deployed as one 3x3 convolution.

Zhang, Zeng and Zhang, "Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices",
ACM MM 2021 (https://doi.org/10.1145/3474085.3475291).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Kernel = tuple[Tensor, Tensor]  # weight (C', C, 3, 3) and bias (C',) of an equivalent convolution

SOBEL_X = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
SOBEL_Y = ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0))
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


class ExpandBranch(nn.Module):
    """1x1 to `mid` channels, then 3x3: the paper's "expanding-and-squeezing convolution".

    The 3x3 sees the 1x1's bias, not zero, outside the image. Only so is the pair one 3x3 convolution at the
    borders too.
    """

    def __init__(self, in_channels: int, mid: int, out_channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(in_channels, mid, 1)
        self.spatial = nn.Conv2d(mid, out_channels, 3)

    def kernel(self) -> Kernel:
        w0, b0 = self.pointwise.weight[:, :, 0, 0], self.pointwise.bias
        w1, b1 = self.spatial.weight, self.spatial.bias
        assert b0 is not None and b1 is not None
        return torch.einsum("omyx,mi->oiyx", w1, w0), b1 + w1.sum(dim=(2, 3)) @ b0


class EdgeBranch(nn.Module):
    """1x1, then a fixed edge mask per channel with a learned scale and bias: "sequential Sobel / Laplacian".

    As in `ExpandBranch` the mask sees the 1x1's bias outside the image. Scale and bias start at
    1e-3 * N(0, 1), as in the authors' code.

    Args:
        in_channels: C.
        out_channels: C'.
        mask: 3x3, not learned and not part of the state.
    """

    mask: Tensor

    def __init__(self, in_channels: int, out_channels: int, mask: tuple[tuple[float, ...], ...]) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        self.scale = nn.Parameter(torch.randn(out_channels) * 1e-3)
        self.bias = nn.Parameter(torch.randn(out_channels) * 1e-3)
        self.register_buffer("mask", torch.tensor(mask), persistent=False)

    def kernel(self) -> Kernel:
        b0 = self.pointwise.bias
        assert b0 is not None
        scaled = self.scale[:, None, None, None] * self.mask
        return scaled * self.pointwise.weight, self.bias + scaled.sum(dim=(1, 2, 3)) * b0


class ECB(nn.Module):
    """Edge-oriented convolution block: 3x3 + (1x1-3x3) + Sobel x + Sobel y + Laplacian (+ identity).

    All branches are linear, so their sum is one 3x3 convolution with zero padding. The block forms that
    kernel from the branches' parameters and applies it once: same function and same gradients as adding the
    branches' outputs, at about the cost of the merged form.

    Args:
        in_channels: C.
        out_channels: C'.
        depth_multiplier: the 1x1-3x3 branch is `depth_multiplier` * C' wide.
        with_identity: add the input (only where C = C'); off in the released models.

    Shapes: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth_multiplier: int = 2,
        with_identity: bool = False,
    ) -> None:
        super().__init__()
        self.plain = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.expand = ExpandBranch(in_channels, depth_multiplier * out_channels, out_channels)
        self.sobel_x = EdgeBranch(in_channels, out_channels, SOBEL_X)
        self.sobel_y = EdgeBranch(in_channels, out_channels, SOBEL_Y)
        self.laplacian = EdgeBranch(in_channels, out_channels, LAPLACIAN)
        self.with_identity = with_identity and in_channels == out_channels

    def kernel(self) -> Kernel:
        """The equivalent convolution of the whole block."""
        assert self.plain.bias is not None
        kernels = [(self.plain.weight, self.plain.bias)]
        kernels += [b.kernel() for b in (self.expand, self.sobel_x, self.sobel_y, self.laplacian)]
        weight = torch.stack([w for w, _ in kernels]).sum(0)
        bias = torch.stack([b for _, b in kernels]).sum(0)
        if self.with_identity:
            eye = torch.eye(weight.shape[0], dtype=weight.dtype, device=weight.device)
            weight = weight + F.pad(eye[:, :, None, None], (1, 1, 1, 1))
        return weight, bias

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.kernel()
        return F.conv2d(x, weight, bias, padding=1)

    @torch.no_grad()
    def merge(self) -> nn.Conv2d:
        """The plain 3x3 convolution that this block equals, on the same device and in the same dtype."""
        weight, bias = self.kernel()
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device=weight.device, dtype=weight.dtype)
        conv.weight.copy_(weight)
        assert conv.bias is not None
        conv.bias.copy_(bias)
        return conv
