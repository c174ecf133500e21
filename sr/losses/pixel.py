"""Pixel losses that torch does not have."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError


class Charbonnier(nn.Module):
    """sqrt(d^2 + eps^2), a smooth L1 (Lai et al., LapSRN, CVPR 2017, section 3.3).

    Args:
        eps: in the units of the images that are compared (LapSRN: 1e-3 on [0, 1]).
        reduction: 'mean' or 'sum' over all values of the batch.
    """

    def __init__(self, eps: float = 1e-3, reduction: str = "mean") -> None:
        super().__init__()
        self.eps = eps
        if reduction not in ("mean", "sum"):
            raise UserError(f"Charbonnier reduction={reduction!r}: there are 'mean' and 'sum'")
        self.reduction = reduction

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        distance = torch.sqrt((sr - hr) ** 2 + self.eps**2)
        return distance.mean() if self.reduction == "mean" else distance.sum()


class PerImage(nn.Module):
    """A summed loss over the number of images: Caffe's and MatConvNet's reduction.

    Gradients, and so the learning rates and clipping thresholds that were published with it, depend on the size of a
    patch, but not on how many images are in a batch or micro-batch.

    Args:
        loss: sums over all values, e.g. torch.nn.MSELoss(reduction="sum").
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        if getattr(loss, "reduction", "sum") != "sum":
            raise UserError(
                f"PerImage divides a sum by the number of images: give its loss reduction='sum', not {loss.reduction!r}"
            )
        self.loss = loss

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return self.loss(sr, hr) / len(sr)


class TotalVariation(nn.Module):
    """Mean length of the gradient: mean of sqrt(dx^2 + dy^2) over images, channels and pixels.

    dx and dy are the differences to the right and to the lower neighbour, 0 at the last column and row (Rudin et al.,
    1992, isotropic and discrete). The regulariser of SRGAN (Ledig et al., https://arxiv.org/abs/1609.04802) divided by
    the number of pixels. A flat place, where the length has no derivative, gets the gradient 0.

    Shapes: (B, C, H, W) -> scalar, in the units of the image; the target is not looked at.
    """

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        dx = F.pad(sr.diff(dim=-1), (0, 1, 0, 0))
        dy = F.pad(sr.diff(dim=-2), (0, 0, 0, 1))
        return torch.linalg.vector_norm(torch.stack([dx, dy]), dim=0).mean()
