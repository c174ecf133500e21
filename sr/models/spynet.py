"""SPyNet: optical flow by a pyramid of small networks."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.warp import warp_images
from sr.precision import no_autocast

CHANNELS = (8, 32, 64, 32, 16, 2)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's R, G, B
LEVELS = 6


class SPyNet(nn.Module):
    """The flow from a frame to another, refined from coarse to fine.

    Ranjan and Black, "Optical Flow Estimation using a Spatial Pyramid Network", CVPR 2017
    (https://arxiv.org/abs/1611.00850), figure 1: on each of six levels five 7x7 convolutions see the frame, the other
    one warped by the flow so far, and that flow, and add to it. Frames are enlarged to sides that 32 divides,
    as in the form that BasicVSR uses. Computed in float32, also under autocast.

    Parameters: 1,440,300.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_refinement() for _ in range(LEVELS))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, frame: Tensor, other: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], twice, any size -> (B, 2, H, W): pixels right and down from `frame` to `other`."""
        with no_autocast(frame.device):
            (h, w), step = frame.shape[-2:], 2 ** (LEVELS - 1)
            size = -(-h // step) * step, -(-w // step) * step
            own, others = self._pyramid(frame, size), self._pyramid(other, size)
            flow = own[0].new_zeros(len(frame), 2, size[0] // step, size[1] // step)
            for number, (level, at, to) in enumerate(zip(self.levels, own, others, strict=True)):
                if number:
                    flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
                flow = flow + level(torch.cat([at, warp_images(to, flow), flow], 1))
            flow = F.interpolate(flow, (h, w), mode="bilinear", align_corners=False)
            return flow * flow.new_tensor([w / size[1], h / size[0]]).view(1, 2, 1, 1)

    def _pyramid(self, frame: Tensor, size: tuple[int, int]) -> list[Tensor]:
        """The frame around ImageNet's mean colour, from the smallest size to the greatest."""
        frame = F.interpolate(frame.to(self.mean.dtype), size, mode="bilinear", align_corners=False)
        pyramid = [(frame - self.mean) / self.std]
        for _ in range(LEVELS - 1):
            pyramid.insert(0, F.avg_pool2d(pyramid[0], 2))
        return pyramid


def _refinement() -> nn.Sequential:
    layers: list[nn.Module] = []
    for n, (before, after) in enumerate(pairwise(CHANNELS)):
        layers += [nn.Conv2d(before, after, 7, padding=3)] + ([nn.ReLU()] if n < len(CHANNELS) - 2 else [])
    return nn.Sequential(*layers)
