"""EDVR: frames aligned by deformable convolutions, then fused by attention."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.convolution import conv3x3
from sr.layers.deformable import DeformConv
from sr.layers.residual import ResBlock
from sr.layers.upsample import PixelShuffleTail
from sr.models.clips import ClipResolver, Frames, as_clips, window

log = logging.getLogger(__name__)
EXPLODED = 100  # pixels, of a convolution's mean offset
LEVELS = 3  # of the pyramid, each half as large as the one before


def _lrelu() -> nn.Module:
    return nn.LeakyReLU(0.1)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class PCD(nn.Module):
    """Aligns a frame's features with the centre frame's, from the coarsest level to the finest, then once more.

    Section 3.2 and figure 3. Offsets of a coarser level are enlarged, and doubled, for the next.

    Args:
        channels: C.
        groups: of the deformable convolutions.

    Shapes: two lists of LEVELS features, (B, C, H / 2^l, W / 2^l) each -> (B, C, H, W).
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        coarsest = LEVELS - 1
        pair, one = partial(conv3x3, 2 * channels, channels), partial(conv3x3, channels, channels)
        self.compare = nn.ModuleList(pair() for _ in range(LEVELS))
        self.refine = nn.ModuleList(one() if level == coarsest else pair() for level in range(LEVELS))
        self.settle = nn.ModuleList(one() for _ in range(coarsest))
        self.move = nn.ModuleList(DeformConv(channels, groups) for _ in range(LEVELS))
        self.blend = nn.ModuleList(pair() for _ in range(coarsest))
        self.last_compare = nn.Sequential(pair(), _lrelu(), one(), _lrelu())
        self.last_move = DeformConv(channels, groups)
        self.act = _lrelu()

    def forward(self, frame: Sequence[Tensor], centre: Sequence[Tensor]) -> Tensor:
        guide = moved = None
        for level in reversed(range(LEVELS)):
            new = self.act(self.compare[level](torch.cat([frame[level], centre[level]], 1)))
            if guide is not None:
                new = torch.cat([new, 2 * _double(guide)], 1)
            guide = self.act(self.refine[level](new))
            if moved is None:
                moved = self.act(self.move[level](frame[level], guide))
                continue
            guide = self.act(self.settle[level](guide))
            moved = self.blend[level](torch.cat([self.move[level](frame[level], guide), _double(moved)], 1))
            if level:
                moved = self.act(moved)
        assert moved is not None
        return self.act(self.last_move(moved, self.last_compare(torch.cat([moved, centre[0]], 1))))


class TSA(nn.Module):
    """Fuses aligned frames: each weighted by its likeness to the centre frame, then the whole by a spatial mask.

    Section 3.3 and figure 4.

    Args:
        channels: C.
        frames: T.

    Shapes: (B, T, C, H, W), H and W divisible by 4 -> (B, C, H, W).
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.embed_centre, self.embed = conv3x3(channels, channels), conv3x3(channels, channels)
        self.fuse = _pointwise(frames * channels, channels)
        self.squeeze = _pointwise(frames * channels, channels)
        self.halved = _pointwise(2 * channels, channels)
        self.half_own = _pointwise(channels, channels)
        self.quarter = nn.Sequential(conv3x3(2 * channels, channels), _lrelu(), conv3x3(channels, channels), _lrelu())
        self.half_smooth = nn.Sequential(conv3x3(channels, channels), _lrelu())
        self.join = _pointwise(channels, channels)
        self.mask = conv3x3(channels, channels)
        self.add = nn.Sequential(_pointwise(channels, channels), nn.Conv2d(channels, channels, 1))

    def forward(self, aligned: Tensor) -> Tensor:
        weighted = (aligned * self.likeness(aligned)).flatten(1, 2)
        mask = self.spatial(weighted)
        return self.fuse(weighted) * mask.sigmoid() * 2 + self.add(mask)

    def spatial(self, weighted: Tensor) -> Tensor:
        """(B, T * C, H, W) -> (B, C, H, W): the mask before its sigmoid."""
        return self.mask(_double(self.join(self._coarse(self.squeeze(weighted)))))

    def likeness(self, aligned: Tensor) -> Tensor:
        """(B, T, 1, H, W) in 0 to 1: how like the centre frame each frame is at each place."""
        centre = self.embed_centre(aligned[:, self.frames // 2])
        others = self.embed(aligned.flatten(0, 1)).unflatten(0, aligned.shape[:2])
        return (others * centre[:, None]).sum(2, keepdim=True).sigmoid()

    def _coarse(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2), which has seen a quarter of the size."""
        x = self.halved(_pooled(x))
        return self.half_smooth(x) + _double(self.quarter(_pooled(self.half_own(x))))


def _pointwise(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 1), _lrelu())


def _pooled(x: Tensor) -> Tensor:
    """Maxima and means of 3x3 at every second pixel: (B, C, H, W) -> (B, 2 * C, H / 2, W / 2)."""
    return torch.cat([F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)], 1)


class Fusion(nn.Conv2d):
    """What stands for TSA without it: a 1x1 convolution over all frames."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__(frames * channels, channels, 1)

    def forward(self, aligned: Tensor) -> Tensor:
        return super().forward(aligned.flatten(1, 2))


class EDVR(ClipResolver):
    """Features of each frame on three levels, aligned with the centre frame (PCD), fused (TSA), reconstructed.

    Wang et al., "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks", CVPRW 2019
    (https://arxiv.org/abs/1905.02716), figure 2. Slides over a clip; the frames beyond its ends are those that `edges`
    names. Trained on the centre frame. Works in 0-1.

    Parameters, 5 frames: M (64 channels, 10 blocks) 3,300,131, without TSA 2,996,259; L (128, 40) 20,633,827.

    Args:
        scale: 4.
        num_blocks: residual blocks of the reconstruction.
        channels: C.
        frames: seen for one, an odd number.
        groups: of the deformable convolutions.
        pcd: aligned; without it frames are fused as they are.
        tsa: fused by attention; without it by a 1x1 convolution.
        edges: see `window`.
        checkpointing: see `ClipResolver`.
    """

    forms = ("scale", "tsa", "checkpointing")

    def __init__(
        self,
        scale: int = 4,
        num_blocks: int = 10,
        channels: int = 64,
        frames: int = 5,
        groups: int = 8,
        pcd: bool = True,
        tsa: bool = True,
        edges: str = "reflection_circle",
        checkpointing: bool = False,
    ) -> None:
        super().__init__(scale, checkpointing)
        self.frames, self.edges = frames, edges
        self._warned = False
        self.head = nn.Sequential(conv3x3(3, channels), _lrelu(), *(ResBlock(channels) for _ in range(5)))
        self.halve = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, stride=2, padding=1), _lrelu(), conv3x3(channels, channels), _lrelu()
            )
            for _ in range(LEVELS - 1)
        )
        self.align = PCD(channels, groups) if pcd else None
        self.fusion: nn.Module = TSA(channels, frames) if tsa else Fusion(channels, frames)
        self.body = nn.Sequential(*(ResBlock(channels) for _ in range(num_blocks)))
        self.upsampler = nn.Sequential(
            PixelShuffleTail(channels, channels, 2), _lrelu(), PixelShuffleTail(channels, 64, 2), _lrelu()
        )
        self.tail = nn.Sequential(conv3x3(64, 64), _lrelu(), conv3x3(64, 3))

    @property
    def reach(self) -> int:
        """See `ClipResolver.reach`: at a clip's ends `edges` may bring those of the window's other side."""
        return self.frames - 1

    def network(self, x: Tensor, scale: int) -> Tensor:
        """See `ClipResolver.network`."""
        return torch.stack(list(self.streamed(x.unbind(1), range(x.shape[1]))), 1)

    def streamed(self, clip: Frames, wanted: Sequence[int]) -> Iterator[Tensor]:
        """See `ClipResolver.streamed`: the features of the frames around are kept."""
        kept: dict[int, list[Tensor]] = {}
        for n in wanted:
            around = window(n, len(clip), self.frames, self.edges)
            kept = {k: kept[k] if k in kept else self.features(clip[k]) for k in around}
            yield self.fused([kept[k] for k in around], clip[n])

    def training_images(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Of the centre frame."""
        lr, hr = as_clips(batch.lr), as_clips(batch.hr)
        middle = lr.shape[1] // 2
        return self.centre(lr), hr[:, middle], lr[:, middle]

    def centre(self, lr: Tensor) -> Tensor:
        """Clips (B, T, 3, h, w) in [0, 1] -> the frames in their middle, (B, 3, 4h, 4w)."""
        (sr,) = self.streamed(self._given(lr).unbind(1), [lr.shape[1] // 2])
        return self._returned(sr)

    def watched(self) -> dict[str, Tensor]:
        """The mean size of the offsets, in pixels; a warning once if those of a convolution have exploded."""
        found = {name: m.mean_offset for name, m in self.named_modules() if isinstance(m, DeformConv)}
        if not found:
            return {}
        sizes = torch.stack(list(found.values()))
        if not self._warned and float(sizes.max()) > EXPLODED:
            self._warned = True
            log.warning(
                f"note: {[*found][int(sizes.argmax())]} moves what it looks at by {float(sizes.max()):.0f} pixels in "
                "the mean: its offsets have exploded. Usual remedies: a smaller optimizer.lr, or a rate of their own: "
                "'parameter_groups={*.offset: {lr_factor: 0.1}}'"
            )
        return {"offset": sizes.mean()}

    def features(self, frame: Tensor) -> list[Tensor]:
        """(B, 3, h, w) -> LEVELS features; sides are carried on up to the next that 4 divides."""
        h, w = frame.shape[-2:]
        levels = [self.run(self.head, F.pad(frame, (0, (4 - w % 4) % 4, 0, (4 - h % 4) % 4), mode="replicate"))]
        for halve in self.halve:
            levels.append(halve(levels[-1]))
        return levels

    def aligned(self, features: Sequence[Sequence[Tensor]]) -> Tensor:
        """Of each frame's features, those of the finest level aligned with the centre frame's: (B, T, C, h, w)."""
        centre = features[len(features) // 2]
        if self.align is None:
            return torch.stack([levels[0] for levels in features], 1)
        return torch.stack([self.run(self.align, levels, centre) for levels in features], 1)

    def fused(self, features: Sequence[Sequence[Tensor]], frame: Tensor) -> Tensor:
        """(B, 3, 4h, 4w) of the features of `frames` frames and the centre one."""
        h, w = frame.shape[-2:]
        residual = self.run(self._reconstruct, self.aligned(features))[..., : 4 * h, : 4 * w]
        return residual + F.interpolate(frame, scale_factor=4, mode="bilinear", align_corners=False)

    def _reconstruct(self, aligned: Tensor) -> Tensor:
        return self.tail(self.upsampler(self.body(self.fusion(aligned))))
