"""Total variation of the output."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
