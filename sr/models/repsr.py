"""RepSR: a plain network trained with batch norm in blocks that merge."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sr.layers.repsr import RepSRBlock
from sr.models.vgg import PlainVGG


class RepSR(PlainVGG):
    """`PlainVGG` trained with RepSR's blocks.

    Wang, Dong and Shan, "RepSR: Training Efficient VGG-style Super-Resolution Networks with Structural
    Re-Parameterization and Batch Normalization", ACM MM 2022 (https://arxiv.org/abs/2205.05671). Batch norm trains on
    the batch's statistics first and on the running ones in the late phase, while its factors go on learning: a
    callback's work, not the network's. The code was never released; that sizes are named as ECBSR's (m blocks
    between head and tail) and that the network is on RGB is inferred.

    Parameters of the merged form on RGB at x2 / x3 / x4: M4C16 11,548 / 13,723 / 16,768; M4C32 41,516 / 45,851 /
    51,920; M10C32 97,196 / 101,531 / 107,600; M16C64 600,652 / 609,307 / 621,424.

    Args:
        scale: enlargement factor.
        colors: 3 for RGB, 1 for Y.
        num_blocks: m.
        channels: C.
        paths: of each block: "c3c1", "c3" or "c1", in any number.
        norm: whether the paths have batch norm.
        residual: how a block adds its input: "clean", "norm" or "none".
        start: what the initial weights of each path's last layer are multiplied by (see `RepSRBlock`).
    """

    def __init__(
        self,
        scale: int,
        colors: int = 3,
        num_blocks: int = 4,
        channels: int = 16,
        paths: Sequence[str] = ("c3c1", "c3c1"),
        norm: bool = True,
        residual: str = "clean",
        start: float = 1.0,
    ) -> None:
        # Of make_block.
        self._parts: dict[str, Any] = {"paths": tuple(paths), "norm": norm, "residual": residual, "start": start}
        super().__init__(scale, colors, num_blocks, channels)

    def make_block(self, channels: int) -> nn.Module:
        return RepSRBlock(channels, **self._parts)
