"""Degradations of photos in the wild: blur, resize, noise and JPEG, twice over, in Real-ESRGAN's ranges."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sr.degradation.jpeg import Jpeg
from sr.degradation.kernels import KINDS, SIZES, Kernel
from sr.degradation.step import Step, as_float
from sr.degradation.wild import MODES, Dice, above_zero, compressed, filtered, resized, share, shares, white
from sr.errors import UserError

MOST = 16  # times that a round may enlarge: Real-ESRGAN does it 1.5 times


class Drawn(NamedTuple):
    """What one round does to one picture.

    Attributes:
        kernel: None where it is not blurred.
        factor: of the sides.
        mode: how it is resized.
        noise: "gaussian" or "poisson".
        strength: Gaussian noise's deviation in 8-bit levels, or what Poisson noise is multiplied with.
        grey: the same noise in all channels.
        quality: of its JPEG.
    """

    kernel: Kernel | None
    factor: float
    mode: str
    noise: str
    strength: float
    grey: bool
    quality: float


class Round:
    """What one round draws from. The defaults are Real-ESRGAN's first round, as its public options have it (recalled).

    Args:
        blur: how often it is blurred at all.
        sigma: of a blur, along each axis, in pixels.
        sinc: how often the blur is a sinc.
        kinds: how often it is each of KINDS otherwise.
        generalized: the shapes of generalized Gaussians: half of them below 1.
        plateau: the shapes of plateaus, likewise.
        resize: how often up, down, and not at all.
        factor: of the sides: the least down, the most up.
        gaussian: how often noise is Gaussian; else it is Poisson.
        noise: deviation of Gaussian noise in 8-bit levels.
        poisson: what Poisson noise is multiplied with.
        grey: how often noise is the same in all channels.
        quality: of JPEG.

    Raises:
        UserError: a range that is none, or a share beyond 0 to 1.
    """

    def __init__(
        self,
        blur: float = 1.0,
        sigma: Sequence[float] = (0.2, 3.0),
        sinc: float = 0.1,
        kinds: Sequence[float] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03),
        generalized: Sequence[float] = (0.5, 4.0),
        plateau: Sequence[float] = (1.0, 2.0),
        resize: Sequence[float] = (0.2, 0.7, 0.1),
        factor: Sequence[float] = (0.15, 1.5),
        gaussian: float = 0.5,
        noise: Sequence[float] = (1.0, 30.0),
        poisson: Sequence[float] = (0.05, 3.0),
        grey: float = 0.4,
        quality: Sequence[float] = (30.0, 95.0),
    ) -> None:
        self.blur, self.sinc = share(blur, "blur"), share(sinc, "sinc")
        self.gaussian, self.grey = share(gaussian, "gaussian"), share(grey, "grey")
        self.kinds, self.resize = shares(kinds, len(KINDS), "kinds"), shares(resize, 3, "resize")
        self.sigma, self.noise = above_zero(sigma, "sigma"), above_zero(noise, "noise")
        self.poisson, self.factor = above_zero(poisson, "poisson"), above_zero(factor, "factor")
        self.generalized, self.plateau = above_zero(generalized, "generalized"), above_zero(plateau, "plateau")
        self.quality = above_zero(quality, "quality")
        if not self.factor[0] <= 1 <= self.factor[1]:
            raise UserError(f"factor={list(self.factor)}: a round shrinks or enlarges, so 1 must lie between")
        if self.factor[1] > MOST:
            raise UserError(
                f"factor={list(self.factor)}: a round enlarges {MOST} times at most, or no memory is enough"
            )
        Jpeg(self.quality)  # refuses what no quality is

    def drawn(self, dice: Dice) -> Drawn:
        """What the next picture gets."""
        kernel = self._kernel(dice) if dice.chance(self.blur) else None
        ranges = ((1.0, self.factor[1]), (self.factor[0], 1.0), (1.0, 1.0))
        factor = dice.uniform(*ranges[dice.one_of(self.resize)])
        mode = MODES[dice.one_of((1, 1, 1))]
        noise = "gaussian" if dice.chance(self.gaussian) else "poisson"
        strength = dice.uniform(*(self.noise if noise == "gaussian" else self.poisson))
        return Drawn(kernel, factor, mode, noise, strength, dice.chance(self.grey), dice.uniform(*self.quality))

    def _kernel(self, dice: Dice) -> Kernel:
        size = SIZES[dice.one_of([1] * len(SIZES))]
        if dice.chance(self.sinc):
            return sinc(size, dice, math.pi / 3 if size < 13 else math.pi / 5)
        kind = KINDS[dice.one_of(self.kinds)]
        sigma, other = (dice.uniform(*self.sigma) for _ in range(2))
        angle, beta = dice.uniform(-math.pi, math.pi), 1.0
        if kind in KINDS[2:]:
            low, high = self.generalized if kind.startswith("generalized") else self.plateau
            beta = dice.uniform(min(low, 1), 1) if dice.chance(0.5) else dice.uniform(1, max(1, high))
        return Kernel(kind, size, (sigma, sigma if kind.endswith("_iso") or kind == "iso" else other), angle, beta)


def sinc(size: int, dice: Dice, least: float) -> Kernel:
    """A sinc whose cutoff lies between `least` and pi."""
    return Kernel("sinc", size, cutoff=dice.uniform(least, math.pi))


FIRST = Round()
# Real-ESRGAN's second round (as recalled): weaker, and not always blurred.
SECOND = Round(
    blur=0.8, sigma=(0.2, 1.5), resize=(0.3, 0.4, 0.3), factor=(0.3, 1.2), noise=(1.0, 25.0), poisson=(0.05, 2.5)
)


class SecondOrder(Step):
    """Two rounds of blur, resize, noise and JPEG, the second JPEG before or after the last resize and a sinc.

    Wang et al., Real-ESRGAN (ICCV workshops 2021, https://arxiv.org/abs/2107.10833), figure 2. Sizes in between are
    not LR's times a whole number, so that what becomes of a crop depends on where it is cut: a crop is degraded as a
    picture of its own with `margin` around it, as the authors degrade crops of 400 pixels for training on 256.

    Args:
        scale: by how much LR is smaller.
        first: the first round.
        second: the second.
        final_sinc: how often a sinc ends it.
        margin: LR pixels around a crop that are degraded with it.

    Raises:
        UserError: `final_sinc` is no share.
    """

    def __init__(
        self, scale: int, first: Round = FIRST, second: Round = SECOND, final_sinc: float = 0.8, margin: int = 16
    ) -> None:
        self.scale, self.first, self.second = scale, first, second
        self.final_sinc = share(final_sinc, "final_sinc")
        self.shrink, self.reach = scale, margin * scale

    @property
    def deterministic(self) -> bool:
        return False

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        dice, wanted = Dice(generator), [side // self.scale for side in x.shape[-2:]]
        y = as_float(x)[None]
        drawn = self.first.drawn(dice)
        y = _rounded(y, drawn, [max(1, int(side * drawn.factor)) for side in y.shape[-2:]], dice)
        y = compressed(y, drawn.quality, dice)
        drawn = self.second.drawn(dice)
        y = _rounded(y, drawn, [max(1, int(side * drawn.factor)) for side in wanted], dice)
        if jpeg_first := dice.chance(0.5):
            y = compressed(y, drawn.quality, dice)
        y = resized(y, wanted, MODES[dice.one_of((1, 1, 1))])
        if dice.chance(self.final_sinc):
            y = filtered(y, sinc(SIZES[dice.one_of([1] * len(SIZES))], dice, math.pi / 3))
        if not jpeg_first:
            y = compressed(y, drawn.quality, dice)
        return y[0].clamp(0, 1)


def _rounded(x: Tensor, drawn: Drawn, size: Sequence[int], dice: Dice) -> Tensor:
    if drawn.kernel is not None:
        x = filtered(x, drawn.kernel)
    x = resized(x, size, drawn.mode)
    return (x + _noise(x, drawn, dice)).clamp(0, 1)


def _noise(x: Tensor, drawn: Drawn, dice: Dice) -> Tensor:
    if drawn.noise == "gaussian":
        return white(x, drawn.strength, drawn.grey, dice)
    seen = x.clamp(0, 1)
    if drawn.grey:
        seen = (seen * torch.tensor([0.299, 0.587, 0.114], device=x.device).view(3, 1, 1)).sum(1, keepdim=True)
    levels = (seen * 255).round()
    there = torch.bincount(levels.to(torch.uint8).flatten(), minlength=256).count_nonzero()
    counts = 2.0 ** math.ceil(math.log2(int(there)))  # photons at white: as many as levels that there are
    photons = torch.poisson((levels / 255 * counts).cpu(), generator=dice.generator).to(x.device)
    return (photons / counts - levels / 255) * drawn.strength
