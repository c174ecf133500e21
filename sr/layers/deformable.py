"""Modulated deformable convolution in plain PyTorch, on every device."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.layers.convolution import initialised
from sr.precision import no_autocast


def deform_conv(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """A convolution whose taps are moved, and weighted, at each place.

    Zhu et al., "Deformable ConvNets v2: More Deformable, Better Results", CVPR 2019
    (https://arxiv.org/abs/1811.11168), equation 1, bilinear between pixels, zero outside the image.

    One call of `grid_sample` and one product of matrices on every device. torchvision's operator, of the same channels
    and values, is never called, also on CUDA where it is installed: nobody has yet measured it to be faster there.
    benchmarks/gpu holds both beside each other.

    Args:
        x: (B, C, H, W); each of G groups moves C / G consecutive channels alike.
        offset: (B, 2*G*k*k, H', W') pixels: for each group and tap, row by row, down and then right.
        mask: (B, G*k*k, H', W') factors.
        weight: (C', C, k, k).
        bias: (C',), or None.
        stride: pixels from one place to the next.
        padding: pixels around the image on which a place may lie.
        dilation: pixels from one tap to the next.

    Returns:
        (B, C', H', W') with H' and W' as `torch.nn.functional.conv2d` gives.

    Raises:
        UserError: the channels of `offset` and `mask` fit no number of groups.
    """
    (b, c, h, w), (rows, columns), (_, _, kh, kw) = x.shape, offset.shape[-2:], weight.shape
    taps = kh * kw
    groups = mask.shape[1] // taps
    if mask.shape[1] != groups * taps or offset.shape[1] != 2 * groups * taps or c % max(groups, 1):
        raise UserError(
            f"deformable convolution of {c} channels with {taps} taps: {offset.shape[1]} offsets and {mask.shape[1]} "
            "factors fit no number of groups"
        )
    at = offset.view(b, groups, taps, 2, rows, columns)
    tap = torch.arange(taps, device=x.device)[:, None, None]
    y = torch.arange(rows, device=x.device)[:, None] * stride - padding + tap // kw * dilation
    z = torch.arange(columns, device=x.device) * stride - padding + tap % kw * dilation
    y, z = at[:, :, :, 0] + y, at[:, :, :, 1] + z
    # align_corners=False: pixel p of w lies at (2p + 1) / w - 1
    grid = torch.stack([(2 * z + 1) / w - 1, (2 * y + 1) / h - 1], -1).view(b * groups, taps * rows, columns, 2)
    moved = F.grid_sample(x.reshape(b * groups, c // groups, h, w), grid.to(x.dtype), align_corners=False)
    moved = moved.view(b, groups, c // groups, taps, rows, columns) * mask.view(b, groups, 1, taps, rows, columns)
    columns_of = moved.view(b, c * taps, rows * columns)
    out = torch.matmul(weight.flatten(1), columns_of).view(b, len(weight), rows, columns)
    return out if bias is None else out + bias[:, None, None]


class DeformConv(nn.Module):
    """A 3x3 deformable convolution that reads its offsets from other features than those that it moves.

    Wang et al., "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks", CVPRW 2019
    (https://arxiv.org/abs/1905.02716), section 3.2. Offsets start at 0 and factors at one half. Places are computed in
    float32 at least, whatever the precision: in bfloat16 they are off by pixels at large sizes.

    Args:
        channels: C, in and out.
        groups: G, each with offsets of its own.

    Raises:
        UserError: the channels cannot be shared out to so many groups.

    Attributes:
        mean_offset: mean length of the last call's offsets along one axis, in pixels: (). It explodes where training
            diverges.

    Shapes: features (B, C, H, W), guide (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise UserError(f"groups={groups}: {channels} channels are shared out, so type a divisor of {channels}")
        plain = initialised(nn.Conv2d(channels, channels, 3), lambda weight: weight)
        self.weight, self.bias = plain.weight, plain.bias
        self.offset = initialised(nn.Conv2d(channels, 3 * groups * 9, 3, padding=1), nn.init.zeros_)
        self.mean_offset = torch.zeros(())

    def forward(self, features: Tensor, guide: Tensor) -> Tensor:
        kind = torch.promote_types(self.weight.dtype, torch.float32)
        with no_autocast(features.device):
            moves = self.offset(guide.to(self.weight.dtype)).to(kind)
            offset, mask = moves.split([len(moves[0]) * 2 // 3, len(moves[0]) // 3], dim=1)
            if not torch.compiler.is_compiling():
                self.mean_offset = torch.linalg.vector_norm(offset.detach(), 1) / offset.numel()
            weight, bias = self.weight.to(kind), None if self.bias is None else self.bias.to(kind)
            return deform_conv(features.to(kind), offset, mask.sigmoid(), weight, bias, padding=1).to(features.dtype)
