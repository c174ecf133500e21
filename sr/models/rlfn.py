"""RLFN: residual local feature network."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from sr.layers.attention import ESA
from sr.layers.upsample import PixelShuffleTail
from sr.models.base import SuperResolver
from sr.models.rfdn import RFDB


class RLFB(nn.Module):
    """Residual local feature block: three 3x3 with LeakyReLU, plus the input, 1x1, ESA with one convolution.

    The paper's equations say ReLU, the authors' code, which made the published figures, LeakyReLU 0.05.

    Args:
        channels: C, outside.
        mid_channels: between the 3x3 convolutions.
        esa_channels: f of ESA.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, mid_channels: int, esa_channels: int) -> None:
        super().__init__()
        self.refine = nn.Sequential(
            nn.Conv2d(channels, mid_channels, 3, padding=1),
            nn.LeakyReLU(0.05),
            nn.Conv2d(mid_channels, mid_channels, 3, padding=1),
            nn.LeakyReLU(0.05),
            nn.Conv2d(mid_channels, channels, 3, padding=1),
            nn.LeakyReLU(0.05),
        )
        self.fuse = nn.Conv2d(channels, channels, 1)
        self.esa = ESA(channels, esa_channels, groups=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.esa(self.fuse(self.refine(x) + x))


class RFDBR(nn.Module):
    """RFDB without its distillation: three 3x3 that each add their input, LeakyReLU after the addition, 1x1, ESA.

    What the paper's ablation puts between RFDB and RLFB: RLFB has one skip over the three convolutions in place of
    the three skips here.

    Args:
        channels: C.
        esa_channels: f of ESA.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, esa_channels: int) -> None:
        super().__init__()
        self.refine = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3))
        self.act = nn.LeakyReLU(0.05)
        self.fuse = nn.Conv2d(channels, channels, 1)
        self.esa = ESA(channels, esa_channels, groups=1)

    def forward(self, x: Tensor) -> Tensor:
        for refine in self.refine:
            x = self.act(refine(x) + x)
        return self.esa(self.fuse(x))


class RLFN(SuperResolver):
    """Head, blocks, smoothing convolution with a long skip, one sub-pixel step.

    Kong et al., "Residual Local Feature Network for Efficient Super-Resolution", CVPRW 2022
    (https://arxiv.org/abs/2205.07514). Works in 0-255 without mean shift. torch's default initialisation.

    Parameters at x2 / x4: RLFN (6 blocks, 52 channels) 526,856 / 543,740; RLFN-S (6, 48) 454,620 / 470,208;
    the NTIRE 2022 winner (4 blocks, 46 channels, 48 inside) 317,218 at x4.

    Args:
        scale: enlargement factor.
        num_blocks: number of RLFB.
        channels: C.
        mid_channels: inside the blocks; None for C.
        esa_channels: f of ESA.
    """

    min_patch: ClassVar[int] = 16
    min_size: ClassVar[int] = 15  # of ESA

    def __init__(
        self,
        scale: int,
        num_blocks: int = 6,
        channels: int = 52,
        mid_channels: int | None = None,
        esa_channels: int = 16,
    ) -> None:
        super().__init__(scale)
        self._build(channels, (RLFB(channels, mid_channels or channels, esa_channels) for _ in range(num_blocks)))

    def _build(self, channels: int, blocks: Iterable[nn.Module]) -> None:
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(*blocks)
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = PixelShuffleTail(channels, 3, self.scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head(x * 255)
        return self.tail(self.smooth(self.blocks(head)) + head) / 255


class RFDNR(RLFN):
    """RLFN's network with the blocks of its ablation: RFDB, RFDB-R48 and RFDB-R52.

    Kong et al., RLFN, section 4.3 and figure 7. The text gives the widths (48 and 52 channels) and ESA's 16 channels at
    52; ESA's 12 at 48 (a quarter, as RFDN's), its single convolution in all (RLFB differs from RFDB-R52 by the skips
    alone) and this body around RFDB too are inferred.

    Parameters (6 blocks) at x2 / x4: RFDB at 48 channels 536,796 / 552,384; R48 439,452 / 455,040; R52 526,856 /
    543,740, as RLFN.

    Args:
        scale: enlargement factor.
        num_blocks: number of blocks.
        channels: C; even with distillation.
        esa_channels: f of ESA.
        distillation: RFDB itself, else without its distillation.
    """

    def __init__(
        self, scale: int, num_blocks: int = 6, channels: int = 52, esa_channels: int = 16, distillation: bool = False
    ) -> None:
        SuperResolver.__init__(self, scale)
        kind = partial(RFDB, esa_groups=1) if distillation else RFDBR
        self._build(channels, (kind(channels, esa_channels) for _ in range(num_blocks)))
