"""BSRGAN's degradation of photos in the wild: blurs, shrinking, noise and JPEG in an order that is drawn."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sr.degradation.blur_down import BlurDown
from sr.degradation.jpeg import Jpeg
from sr.degradation.kernels import Kernel
from sr.degradation.step import Step, as_float
from sr.degradation.wild import MODES, Dice, above_zero, compressed, filtered, resized, share, shares, white
from sr.errors import UserError
from sr.imaging.resize import imresize

SIZES = range(7, 26, 2)  # pixels a side of its kernels, each as often
LEAST = 1e-3  # pixels: of a blur that is none


class Blurred(NamedTuple):
    """A blur."""

    kernel: Kernel

    def __call__(self, x: Tensor, wanted: Sequence[int], dice: Dice) -> Tensor:
        return filtered(x, self.kernel)


class Shrunk(NamedTuple):
    """A resize: by a factor, or where there is none to LR's size.

    Attributes:
        mode: one of MODES; "matlab", which is bicubic with antialiasing; "blur", which keeps single pixels of a blur.
        factor: by how much the sides get smaller.
        sigma: of mode "blur", in pixels.
    """

    mode: str
    factor: float | None = None
    sigma: float = 0.0

    def __call__(self, x: Tensor, wanted: Sequence[int], dice: Dice) -> Tensor:
        if self.factor is None:
            return resized(x, wanted, self.mode)
        if self.mode == "matlab":
            return imresize(x, 1 / self.factor)
        if self.mode == "blur" and min(x.shape[-2:]) >= self.factor:
            scale = int(self.factor)
            return BlurDown(scale, self.sigma, 24 + scale % 2, edge="reflect")(x[0], dice.generator)[None]
        mode = "area" if self.mode == "blur" else self.mode
        return resized(x, [max(1, int(side / self.factor)) for side in x.shape[-2:]], mode)


class Noisy(NamedTuple):
    """Gaussian noise of some 8-bit levels: of each channel, of all alike (grey), or mixed among them."""

    levels: float
    kind: str

    def __call__(self, x: Tensor, wanted: Sequence[int], dice: Dice) -> Tensor:
        if self.kind != "mixed":
            return x + white(x, self.levels, self.kind == "grey", dice)
        noise = white(x, self.levels, False, dice)
        return x + torch.einsum("oc,bchw->bohw", mixing(dice).to(x.device), noise)


class Compressed(NamedTuple):
    """JPEG."""

    quality: int

    def __call__(self, x: Tensor, wanted: Sequence[int], dice: Dice) -> Tensor:
        return compressed(x, self.quality, dice)


Operation = Blurred | Shrunk | Noisy | Compressed
NOISES = ("white", "grey", "mixed")


def mixing(dice: Dice) -> Tensor:
    """(3, 3), which makes white noise one of a covariance that is drawn: |U^T D U|, U orthonormal, D from 0 to 1."""
    scales = torch.rand(3, generator=dice.generator, dtype=torch.float64)
    turn = torch.linalg.svd(torch.rand(3, 3, generator=dice.generator, dtype=torch.float64)).U
    values, axes = torch.linalg.eigh((turn.T @ torch.diag(scales) @ turn).abs())
    return (axes @ torch.diag(values.abs().sqrt()) @ axes.T).float()


class Shuffled(Step):
    """Two blurs, two steps that shrink, noise and JPEG in any order, and a last JPEG.

    Zhang et al., BSRGAN (ICCV 2021, https://arxiv.org/abs/2103.14006), section 3. Ranges and shares are those of the
    authors' code, github cszn/BSRGAN utils/utils_blindsr.py, `degradation_bsrgan`. The widths of its blurs follow the
    scale that is left: a Gaussian of two axes has variances up to 4 + scale, a round one a deviation up to
    2 + scale / 5. Of the two steps that shrink, the one that ends at LR's size comes last. Noise of a camera's sensor,
    which the authors add where a network for it is given, is left out. As of `SecondOrder`, a crop is degraded as a
    picture of its own with `margin` around it.

    Args:
        scale: by how much LR is smaller.
        halve: how often a picture for x4 is first halved, by MATLAB's bicubic or another resize.
        aniso: how often a blur has two axes.
        blurred: how often the first step that shrinks keeps single pixels of a blur; else it resizes by 1 to twice the
            scale.
        noise: deviation of the noise in 8-bit levels, a whole number.
        noises: how often it is white, grey, and mixed among the channels, of the greatest deviation.
        jpeg: how often there is JPEG before the last.
        quality: of both, a whole number.
        margin: LR pixels around a crop that are degraded with it.

    Raises:
        UserError: a range that is none, or a share beyond 0 to 1.
    """

    def __init__(
        self,
        scale: int,
        halve: float = 0.25,
        aniso: float = 0.5,
        blurred: float = 0.25,
        noise: Sequence[float] = (2, 25),
        noises: Sequence[float] = (0.4, 0.4, 0.2),
        jpeg: float = 0.9,
        quality: Sequence[float] = (30, 95),
        margin: int = 16,
    ) -> None:
        self.scale, self.shrink, self.reach = scale, scale, margin * scale
        self.halve, self.aniso = share(halve, "halve"), share(aniso, "aniso")
        self.blurred, self.jpeg = share(blurred, "blurred"), share(jpeg, "jpeg")
        self.noises = shares(noises, len(NOISES), "noises")
        self.noise, self.quality = _whole(noise, "noise"), _whole(quality, "quality")
        Jpeg(self.quality)  # refuses what no quality is

    @property
    def deterministic(self) -> bool:
        return False

    def drawn(self, dice: Dice) -> list[Operation]:
        """What the next picture gets, in order."""
        begun, scale = list[Operation](), self.scale
        if scale == 4 and dice.chance(self.halve):
            begun, scale = [Shrunk("matlab" if dice.chance(0.5) else _mode(dice), 2.0)], 2
        blurs = [self._blur(scale, dice) for _ in range(2)]
        if dice.chance(self.blurred):
            first = Shrunk("blur", float(scale), dice.uniform(0.1, 0.6 * scale))
        else:
            first = Shrunk(_mode(dice), dice.uniform(1, 2 * scale))
        kind = NOISES[dice.one_of(self.noises)]
        levels = self.noise[1] if kind == "mixed" else dice.whole(*self.noise)
        own: list[Operation] = [*blurs, first, Shrunk(_mode(dice)), Noisy(levels, kind)]
        if dice.chance(self.jpeg):
            own.append(Compressed(dice.whole(*self.quality)))
        order = dice.order(len(own))
        there = sorted(order.index(n) for n in (2, 3))  # places of the two that shrink
        order[there[0]], order[there[1]] = 2, 3
        return [*begun, *(own[n] for n in order), Compressed(dice.whole(*self.quality))]

    def _blur(self, scale: int, dice: Dice) -> Operation:
        if not dice.chance(self.aniso):
            sigma = dice.uniform(0, 2 + 0.2 * scale)
            return Blurred(Kernel("iso", _size(dice), (max(sigma, LEAST), max(sigma, LEAST))))
        axes = [max(math.sqrt(dice.uniform(0, 4.0 + scale)), LEAST) for _ in range(2)]
        return Blurred(Kernel("aniso", _size(dice), (axes[0], axes[1]), dice.uniform(0, math.pi)))

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        dice, wanted = Dice(generator), [side // self.scale for side in x.shape[-2:]]
        y = as_float(x)[None]
        for operation in self.drawn(dice):
            y = operation(y, wanted, dice).clamp(0, 1)
        return y[0]


def _size(dice: Dice) -> int:
    return SIZES[dice.whole(0, len(SIZES) - 1)]


def _mode(dice: Dice) -> str:
    return MODES[dice.whole(0, len(MODES) - 1)]


def _whole(value: Sequence[float], name: str) -> tuple[int, int]:
    low, high = above_zero(value, name)
    if low != int(low) or high != int(high):
        raise UserError(f"{name}=[{low:g},{high:g}]: whole numbers are wanted")
    return int(low), int(high)
