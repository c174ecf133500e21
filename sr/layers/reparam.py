"""Convolutions trained as several linear branches and deployed as one 3x3 convolution: what they share, and ECB.

Zhang, Zeng and Zhang, "Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices",
ACM MM 2021 (https://doi.org/10.1145/3474085.3475291).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Kernel = tuple[Tensor, Tensor]  # weight (C', C, 3, 3) and bias (C',) of an equivalent convolution

SOBEL_X = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
SOBEL_Y = ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0))
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


class Reparameterized(nn.Module):
    """A block that equals one 3x3 convolution with zero padding, which `kernel` computes from its parameters."""

    def kernel(self) -> Kernel:
        """The equivalent convolution of the whole block."""
        raise NotImplementedError(f"{type(self).__name__} must implement kernel()")

    @torch.no_grad()
    def merge(self) -> nn.Conv2d:
        """The plain 3x3 convolution that this block equals, on the same device and in the same dtype."""
        weight, bias = self.kernel()
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device=weight.device, dtype=weight.dtype)
        conv.load_state_dict({"weight": weight, "bias": bias})
        return conv


def identity_kernel(like: Tensor) -> Tensor:
    """(C, C, 3, 3) of the convolution that changes nothing, as `like` (C, C, 3, 3)."""
    eye = torch.eye(like.shape[0], dtype=like.dtype, device=like.device)
    return F.pad(eye[:, :, None, None], (1, 1, 1, 1))


def chained(first: Kernel, second: Kernel) -> Kernel:
    """1x1, (M, C, 1, 1), then 3x3 on its result framed with the 1x1's bias: one 3x3 convolution."""
    (w0, b0), (w1, b1) = first, second
    return torch.einsum("omyx,mi->oiyx", w1, w0[:, :, 0, 0]), b1 + w1.sum(dim=(2, 3)) @ b0


def added(*kernels: Kernel) -> Kernel:
    """Convolutions on the same input, of 3x3 or smaller odd sizes, summed."""
    weights = [F.pad(w, 2 * (1 - w.shape[3] // 2,) + 2 * (1 - w.shape[2] // 2,)) for w, _ in kernels]
    return torch.stack(weights).sum(0), torch.stack([b for _, b in kernels]).sum(0)


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
        assert self.pointwise.bias is not None and self.spatial.bias is not None
        return chained((self.pointwise.weight, self.pointwise.bias), (self.spatial.weight, self.spatial.bias))


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


class ECB(Reparameterized):
    """Edge-oriented convolution block: 3x3 + (1x1-3x3) + Sobel x + Sobel y + Laplacian (+ identity).

    The 1x1-3x3 branch is 2 * C' wide. All branches are linear, so their sum is one 3x3 convolution with zero padding.
    The block forms that kernel from the branches' parameters and applies it once: same function and same gradients as
    adding the branches' outputs, at about the cost of the merged form.

    Args:
        in_channels: C.
        out_channels: C'.
        with_identity: add the input (only where C = C'); off in the released models.

    Shapes: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, with_identity: bool = False) -> None:
        super().__init__()
        self.plain = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.expand = ExpandBranch(in_channels, 2 * out_channels, out_channels)
        self.sobel_x = EdgeBranch(in_channels, out_channels, SOBEL_X)
        self.sobel_y = EdgeBranch(in_channels, out_channels, SOBEL_Y)
        self.laplacian = EdgeBranch(in_channels, out_channels, LAPLACIAN)
        self.with_identity = with_identity and in_channels == out_channels

    def kernel(self) -> Kernel:
        assert self.plain.bias is not None
        branches = (self.expand, self.sobel_x, self.sobel_y, self.laplacian)
        weight, bias = added((self.plain.weight, self.plain.bias), *(branch.kernel() for branch in branches))
        if self.with_identity:
            weight = weight + identity_kernel(weight)
        return weight, bias

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.kernel()
        return F.conv2d(x, weight, bias, padding=1)


class EDBB(ECB):
    """Edge-enhanced diverse branch block: ECB's branches, the identity among them, and a 1x1.

    Wang, "Edge-Enhanced Feature Distillation Network for Efficient Super-Resolution", CVPRW 2022
    (https://arxiv.org/abs/2204.08759), section 3.2.

    Args:
        in_channels: C.
        out_channels: C'.

    Shapes: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, with_identity=True)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def kernel(self) -> Kernel:
        assert self.pointwise.bias is not None
        return added(super().kernel(), (self.pointwise.weight, self.pointwise.bias))
