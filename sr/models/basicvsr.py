"""BasicVSR: features carried along the flow through a whole clip, backward and forward."""

from collections.abc import Callable, Iterator, MutableMapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.residual import ResBlock
from sr.layers.upsample import StagedUpsampler
from sr.layers.warp import warp
from sr.models.clips import ClipResolver, FeatureFile, Frames
from sr.models.spynet import SPyNet

Flow = Callable[[int], Tensor]  # number of a frame -> (B, 2, h, w)


class Propagation(nn.Sequential):
    """A frame and what its neighbour handed on -> what it hands on: (B, 3 + C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, num_blocks: int) -> None:
        super().__init__(
            nn.Conv2d(3 + channels, channels, 3, padding=1), nn.LeakyReLU(0.1),
            *(ResBlock(channels) for _ in range(num_blocks)),
        )  # fmt: skip


class BasicVSR(ClipResolver):
    """Backward propagation, then forward propagation, each frame reconstructed from both.

    Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021
    (https://arxiv.org/abs/2012.02181), figure 2 and equations 4 to 6. A clip that is its own mirror image (Vimeo-90K's
    seven frames made fourteen) has the flows of its second half for those of the first. Works in 0-1.

    Parameters: 6,291,311, of which SPyNet's are 1,440,300.

    Args:
        scale: 4.
        num_blocks: residual blocks in each direction.
        channels: C.
        align: features are warped by the flow; without it they are handed on as they lie (table 2 of the paper).
        backward: with the backward direction; without it the net sees the frame and those before it.
        checkpointing: see `ClipResolver`.
    """

    def __init__(
        self,
        scale: int = 4,
        num_blocks: int = 30,
        channels: int = 64,
        align: bool = True,
        backward: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(scale, checkpointing)
        self.channels = channels
        self.flow = SPyNet() if align else None
        self.backward_branch = Propagation(channels, num_blocks) if backward else None
        self.forward_branch = Propagation(channels, num_blocks)
        self.fusion = nn.Sequential(
            nn.Conv2d((1 + backward) * channels, channels, 1), nn.LeakyReLU(0.1),
        )  # fmt: skip
        self.upsampler = StagedUpsampler(channels, scale, lambda: nn.LeakyReLU(0.1))
        self.tail = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(channels, 3, 3, padding=1),
        )  # fmt: skip

    def network(self, x: Tensor, scale: int) -> Tensor:
        """See `ClipResolver.network`."""
        to_next = self._flows(x[:, :-1], x[:, 1:])
        to_former = to_next.flip(1) if _mirrored(x) else self._flows(x[:, 1:], x[:, :-1])
        flows = (lambda n: to_next[:, n]), (lambda n: to_former[:, n - 1])
        return torch.stack(list(self._propagate(x.unbind(1), *flows, {}, range(x.shape[1]))), 1)

    @torch.no_grad()
    def streamed(self, clip: Frames, wanted: Sequence[int]) -> Iterator[Tensor]:
        """See `ClipResolver.streamed`: what the backward direction hands on waits in a file."""

        def flow(n: int, other: int) -> Tensor:
            return self._flows(clip[n][:, None], clip[other][:, None])[:, 0]

        with FeatureFile() as later:
            yield from self._propagate(clip, lambda n: flow(n, n + 1), lambda n: flow(n, n - 1), later, wanted)

    def kept_bytes(self, height: int, width: int) -> int:
        """See `ClipResolver.kept_bytes`."""
        return 4 * self.channels * height * width

    def _propagate(
        self, clip: Frames, to_next: Flow, to_former: Flow, later: MutableMapping[int, Tensor], wanted: Sequence[int]
    ) -> Iterator[Tensor]:
        """The wanted frames of SR; `later` keeps what the backward direction hands on to them."""
        last = len(clip) - 1
        if self.backward_branch is not None:
            carried = None
            for n in range(last, min(wanted) - 1, -1):
                carried = self._step(self.backward_branch, clip[n], carried, to_next if n < last else None, n)
                if n in wanted:
                    later[n] = carried
        carried = None
        for n in range(max(wanted) + 1):
            carried = self._step(self.forward_branch, clip[n], carried, to_former if n else None, n)
            if n not in wanted:
                continue
            both = [carried] if self.backward_branch is None else [later[n].to(carried), carried]
            yield self.run(self._reconstruct, torch.cat(both, 1), clip[n])

    def _flows(self, frames: Tensor, others: Tensor) -> Tensor:
        """(B, T, 3, h, w), twice -> (B, T, 2, h, w)."""
        b, t, _, h, w = frames.shape
        if self.flow is None or not t:
            return frames.new_zeros(b, t, 2, h, w)
        return self.run(self.flow, frames.flatten(0, 1), others.flatten(0, 1)).unflatten(0, (b, t))

    def _step(self, branch: nn.Module, frame: Tensor, carried: Tensor | None, flow: Flow | None, n: int) -> Tensor:
        """What frame n hands on; `flow` leads to the frame that handed `carried` on, if there is one."""
        if carried is None or flow is None:
            carried = frame.new_zeros(len(frame), self.channels, *frame.shape[-2:])
        elif self.flow is not None:
            carried = warp(carried, flow(n))
        return self.run(branch, torch.cat([frame, carried.to(frame.dtype)], 1))

    def _reconstruct(self, features: Tensor, frame: Tensor) -> Tensor:
        """(B, 3, s*h, s*w) of what the directions hand on."""
        residual = self.tail(self.upsampler(self.fusion(features)))
        return residual + F.interpolate(frame, scale_factor=self.scale, mode="bilinear", align_corners=False)


def _mirrored(clip: Tensor) -> bool:
    """Whether a clip is its own mirror image in time; a compiler or a graph that takes it in cannot look."""
    if clip.is_meta or torch.compiler.is_compiling() or (clip.is_cuda and torch.cuda.is_current_stream_capturing()):
        return False
    return clip.shape[1] > 1 and torch.equal(clip, clip.flip(1))
