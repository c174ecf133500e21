"""What the degradations of photos in the wild are made of: dice, shares and ranges, and what is done to one picture."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.degradation.jpeg import Jpeg
from sr.degradation.kernels import Kernel
from sr.degradation.step import fixed_or_range
from sr.errors import UserError

MODES = ("area", "bilinear", "bicubic")  # of resizing, each as often; torch's, without antialiasing


def above_zero(value: Sequence[float], name: str) -> tuple[float, float]:
    """`[low, high]`, refused where it reaches 0."""
    low, high = fixed_or_range(value, name)
    if low <= 0:
        raise UserError(f"{name}=[{low:g},{high:g}]: both must be above 0")
    return low, high


def share(value: float, name: str) -> float:
    """How often something happens, 0 to 1."""
    if not 0 <= value <= 1:
        raise UserError(f"{name}={value:g}: how often lies between 0 and 1")
    return value


def shares(value: Sequence[float], count: int, name: str) -> list[float]:
    """How often each of several things happens, in proportion."""
    found = [float(one) for one in value]
    if len(found) != count or min(found) < 0 or sum(found) <= 0:
        raise UserError(f"{name}={found}: {count} shares are wanted, none below 0, some above")
    return found


class Dice:
    """Numbers from a generator, one after the other."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends among them."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def order(self, count: int) -> list[int]:
        """Numbers below `count`, shuffled."""
        return torch.randperm(count, generator=self.generator).tolist()

    def chance(self, probability: float) -> bool:
        return self.uniform(0, 1) < probability

    def one_of(self, shares: Sequence[float]) -> int:
        """A number below len(shares), as often as its share."""
        left = self.uniform(0, sum(shares))
        for number, own in enumerate(shares):
            left -= own
            if left < 0:
                return number
        return len(shares) - 1


def resized(x: Tensor, size: Sequence[int], mode: str) -> Tensor:
    """(1, 3, H, W) of another size, by one of MODES."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    smooth = {} if mode == "area" else {"align_corners": False}
    return F.interpolate(x, tuple(size), mode=mode, **smooth)


def filtered(x: Tensor, kernel: Kernel) -> Tensor:
    """(1, 3, H, W), edges reflected as far as there is something to reflect."""
    weights, pad = kernel.weights().to(x.device), kernel.size // 2
    how = "reflect" if min(x.shape[-2:]) > pad else "replicate"
    return F.conv2d(F.pad(x, (pad,) * 4, mode=how), weights.expand(3, 1, -1, -1), groups=3)


def white(x: Tensor, levels: float, grey: bool, dice: Dice) -> Tensor:
    """White Gaussian noise for a picture, of so many 8-bit levels; grey is the same in all channels."""
    shape = (1, 1 if grey else 3, *x.shape[-2:])
    return torch.randn(shape, generator=dice.generator).to(x.device) * (levels / 255)


def compressed(x: Tensor, quality: float, dice: Dice) -> Tensor:
    """(1, 3, H, W) after JPEG."""
    return Jpeg((quality, quality))(x[0], dice.generator)[None]
