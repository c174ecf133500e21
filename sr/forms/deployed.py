"""The form of a network that is written for other programs, what it is compared on, and what a file tells about it."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.layers.attention import CCA, ChannelAttention
from sr.layers.identity import identity
from sr.models.base import SuperResolver
from sr.models.basicvsr import BasicVSR
from sr.models.bicubic import Bicubic
from sr.models.edvr import EDVR
from sr.models.smallest import smallest_side
from sr.zoo.onnx_file import OnnxResolver
from sr.zoo.spandrel_file import SpandrelResolver

SIZES = ((0, 0), (24, 31), (48, 57), (131, 65))  # LR pixels that are compared; 0: the smallest
CLIP_SIZES = ((16, 16), (20, 32), (32, 24), (48, 36))  # of EDVR's file, whose sides 4 divides
POOLED = 20  # LR pixels that ESA makes one of: a file cannot pad what is smaller, as a model does


class Deployed(nn.Module):
    """RGB in [0, 1] in float32 on both sides, whatever is between.

    Args:
        model: merged, in eval mode.
        scale: the factor.
        half: compute its `network` in float16, but for the convolutions that read the picture; see `_halved`.
        inside: its `network` alone, for who pads and knows colours.

    Shapes: (B, 3, h, w) -> (B, 3, s*h, s*w), inside of its own colours; of EDVR (B, T, 3, h, w) -> the frame in the
        middle.
    """

    def __init__(self, model: SuperResolver, scale: int, half: bool, inside: bool) -> None:
        super().__init__()
        self.model, self.scale, self.inside = _halved(model) if half else model, scale, inside

    def forward(self, lr: Tensor) -> Tensor:
        if isinstance(self.model, EDVR):
            return self.model.centre(lr).float()
        return self.model.network(lr, self.scale) if self.inside else self.model(lr, self.scale)


def _halved(model: SuperResolver) -> SuperResolver:
    """In float16, but for what is around `network`, what reads the picture, channel attention, and what its class says.

    Rounding the results of the first two convolutions of VDSR's authors' weights alone makes 3e-3 at x4, of the other
    18 1e-4; RGB made of YCbCr has twice the rounding of that. Gates weigh whole channels: of RCAN's weights their 0.1 M
    alone make 2.3e-3 of white, all others 1.1e-3. What they give, and its sum with features, is rounded where the next
    convolution reads it. CCA squares features, and float16 ends at 65,504.
    """
    gates: list[nn.Module] = [m for m in model.modules() if isinstance(m, CCA | ChannelAttention)]
    inside = {layer for gate in gates for layer in gate.modules()}
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d) and m not in inside]
    first = layers[: model.float32_convs]
    reading: list[nn.Module] = [m for m in layers if m in first or m.in_channels == model.colors]
    exact = {m: copy.deepcopy(m.state_dict()) for m in (*reading, *gates)}
    model.half()
    for layer in (*layers, *gates):
        layer.register_forward_pre_hook(_given_float32 if layer in exact else _given_float16)
    for layer, weights in exact.items():
        layer.float().load_state_dict(weights)
        if layer not in (*first[:-1], *gates):
            layer.register_forward_hook(_made_float16)
    network = model.network
    model.network = lambda x, scale: network(x, scale).float()  # type: ignore[method-assign]
    return model


def _given_float32(layer: nn.Module, given: tuple[Tensor]) -> Tensor:
    return given[0].float()


def _given_float16(layer: nn.Module, given: tuple[Tensor]) -> Tensor:
    return given[0].half()


def _made_float16(layer: nn.Module, given: tuple[Tensor], made: Tensor) -> Tensor:
    return made.half()


@dataclass(frozen=True)
class Exported:
    """What is written.

    Attributes:
        model: as it was trained.
        name: that it is told by.
        scale: the factor.
        half: whether its file computes in float16.
        inside: see `Deployed`.
        reach: how far it looks and what memory it takes, see `sr.deploy.tiling.reach`.
    """

    model: SuperResolver
    name: str
    scale: int
    half: bool = False
    inside: bool = False
    reach: Mapping[str, str] = field(default_factory=dict)

    def deployed(self) -> Deployed:
        """A new one of its own."""
        return Deployed(self.model.merged(), self.scale, self.half, self.inside).eval()

    @property
    def frames(self) -> int | None:
        """T of a network on clips; None of one on images."""
        return self.model.frames if isinstance(self.model, EDVR) else None

    @cached_property
    def least(self) -> int:
        """The smallest side of LR; see `smallest_side` for errors."""
        if self.frames is not None:
            return CLIP_SIZES[0][0]
        return (
            smallest_side(self.model, self.scale) if self.model.min_size == 1 else max(self.model.min_size, POOLED + 1)
        )

    @property
    def stem(self) -> str:
        """Of its files: letters, digits, dots and dashes; with the scale."""
        plain = re.sub(r"[^\w.-]+", "_", self.name).strip("_.") or "network"
        plain = plain if re.search(rf"x{self.scale}(?![0-9])", plain) else f"{plain}_x{self.scale}"
        return f"{plain}_fp16" if self.half else plain

    @property
    def facts(self) -> dict[str, str]:
        """What a file tells about it; `weights` is a checksum of those that it was made from, whatever is merged."""
        published = (self.model.metadata or {}).get("published")
        return {
            "name": self.name,
            "architecture": type(self.model).__name__,
            "scale": str(self.scale),
            "colours": "RGB",
            "range": "0-1",
            "layout": "NCHW" if self.frames is None else "NTCHW; the frame in the middle is enlarged",
            "precision": "float16 inside, float32 outside" if self.half else "float32",
            "smallest_side": str(self.least),
            "protocols": ",".join(self.model.protocols),
            "published": str(published or ""),
            "weights": identity(self.model.state_dict(), {}),
            **self.reach,
        }

    @property
    def description(self) -> dict[str, Any]:
        """What it takes to build it again, as a checkpoint tells it, but for the run's own config."""
        known: Mapping[str, Any] = self.model.metadata or {}
        kept = {k: known[k] for k in ("format", "name", "model", "published", "reads") if known.get(k) is not None}
        return kept | {"config": {}}

    def noise(self, height: int, width: int, batch: int = 1) -> Tensor:
        """Images of a size, or clips."""
        colors = self.model.colors if self.inside else 3
        lead = (batch, colors) if self.frames is None else (batch, self.frames, 3)
        return torch.rand(*lead, height, width, generator=torch.Generator().manual_seed(height * width))

    def picture(self, height: int, width: int) -> Tensor:
        """An image of a size, or a clip, as smooth as photos are.

        Of noise trained networks make values that float32 itself gives no better than to 1e-4 (BSRN).
        """
        coarse = self.noise(2 + height // 4, 2 + width // 4)
        smooth = imresize(coarse.flatten(0, -4), size=(height, width)).clamp(0, 1)
        return smooth.unflatten(0, coarse.shape[:-3])

    def compared(self) -> list[Tensor]:
        """What a file is compared on: pictures of four sizes, and of float16 white and black."""
        sizes = SIZES if self.frames is None else CLIP_SIZES
        found = [self.picture(max(h, self.least), max(w, self.least)) for h, w in sizes]
        return [*found, torch.ones_like(found[1]), torch.zeros_like(found[1])] if self.half else found

    def strained(self) -> list[Tensor]:
        """Of float16 what drives values far up: noise and a checkerboard, of which trained networks make hundreds."""
        if not self.half:
            return []
        noise = self.noise(*self.compared()[1].shape[-2:])
        board = (torch.arange(noise.shape[-2])[:, None] + torch.arange(noise.shape[-1])) % 2
        return [noise, board.expand_as(noise).to(noise.dtype)]


def exportable(model: SuperResolver) -> None:
    """Raises a UserError for what no file of fixed operations holds."""
    if isinstance(model, BasicVSR):
        raise UserError(
            "BasicVSR goes through all frames of a clip and back, so that its operations are as many as the clip has "
            "frames: no file of fixed operations holds that. Measure it with sr evaluate, use it in Python with sr.load"
        )
    if isinstance(model, Bicubic):
        raise UserError("bicubic has no weights, and every program has its own")
    if isinstance(model, OnnxResolver):
        raise UserError(f"{model.path} is an ONNX file already, from which no weights are taken")
    if isinstance(model, SpandrelResolver):
        raise UserError(f"{model.path} is a network of spandrel's, which is measured and used, but not exported")
