"""ECBSR: a plain network for mobile devices, trained with edge-oriented blocks."""

from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.reparam import ECB
from sr.layers.upsample import repeat_pixels
from sr.models.base import SuperResolver


class ECBSR(SuperResolver):
    """m + 2 edge-oriented convolution blocks, nearest-neighbour skip, one pixel shuffle.

    Zhang, Zeng and Zhang, "Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices",
    ACM MM 2021 (https://doi.org/10.1145/3474085.3475291). PReLU with one slope per channel after every block
    but the last. On Y in the paper; colors=3 gives the same network on RGB. Works in 0-255. `merged()` is the
    plain network that is deployed. torch's default initialisation for the convolutions, as the authors'.

    Parameters of the merged form at x2 / x3 / x4:

    ======  =========================  =========================
    size    Y                          RGB
    ======  =========================  =========================
    M4C8    2,748 / 3,113 / 3,624      3,476 / 4,571 / 6,104
    M4C16   10,100 / 10,825 / 11,840   11,548 / 13,723 / 16,768
    M10C16  24,116 / 24,841 / 25,856   25,564 / 27,739 / 30,784
    M10C32  94,308 / 95,753 / 97,776   97,196 / 101,531 / 107,600
    M16C64  594,884 / 597,769 / 601,808  600,652 / 609,307 / 621,424
    ======  =========================  =========================

    In training M4C16 on Y has 39,956 at x2.

    Args:
        scale: enlargement factor.
        colors: 1 for Y, 3 for RGB.
        num_blocks: m, the blocks between head and tail.
        channels: C.
        with_identity: an identity branch in the blocks; off in the released models.
    """

    def __init__(
        self, scale: int, colors: int = 1, num_blocks: int = 4, channels: int = 16, with_identity: bool = False
    ) -> None:
        super().__init__(scale, colors)
        self.backbone = nn.Sequential()
        for in_channels in [colors] + num_blocks * [channels]:
            self.backbone.extend([ECB(in_channels, channels, with_identity=with_identity), nn.PReLU(channels)])
        self.backbone.append(ECB(channels, colors * scale**2, with_identity=with_identity))

    def network(self, x: Tensor, scale: int) -> Tensor:
        x = x * 255
        return F.pixel_shuffle(self.backbone(x) + repeat_pixels(x, scale), scale) / 255
