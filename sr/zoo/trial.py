"""Is an unknown file what its keys say? It is run on a photo: in the paper's range of values, then in others.

What has no weights, as dilation, is not in a file. But a trained network does best with the arithmetic that it was
trained with: if dilated convolutions or another activation do better than ours, it is another network.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sr.data.bundled import Bundled
from sr.errors import UserError
from sr.imaging.color import rgb_to_y
from sr.imaging.files import read_image
from sr.imaging.resize import imresize
from sr.metrics.psnr import psnr
from sr.models.base import Reads, SuperResolver
from sr.models.bicubic import Bicubic

UNPROVED = " (unproved)"  # beside the figures of what does less than bicubic on the photo, or was trained as another
PHOTO, SIDE = "astronaut", 240  # pixels of HR; of a scale that does not divide them a few less
RANGES = {"0-1": (1.0, 0.0), "0-255": (255.0, 0.0), "-1..1": (2.0, -1.0)}  # what black and white become: gain, shift
ORDERS = {"rgb": False, "bgr": True}
# dB by which another reading must be better than the paper's; the wrong order of channels costs 0.03 to 0.1
CLEAR = 0.02
HOPELESS = 5.0  # dB below bicubic in every range: another network
# dB by which another arithmetic must be better than ours. With the authors' files the most is 0.012 (a convolution of
# ESA dilated), outside ESA -0.29 and less; with a dilated variant of RFDN, run undilated, it is 0.11
OTHER = 0.05
SLOPES = (0.0, 0.01, 0.1, 0.2)  # of LeakyReLU: those in use beside ours


@dataclass(frozen=True)
class Trial:
    """How a network did on the photo.

    Attributes:
        name: of the range and order of its values: "0-255 RGB".
        reads: the same, for the model.
        psnr: dB on Y.
        bicubic: of bicubic enlargement.
        other: the arithmetic, not ours, with which it does better; "" for none.
    """

    name: str
    reads: Reads | None
    psnr: float
    bicubic: float
    other: str = ""

    @property
    def proved(self) -> bool:
        """Whether it does what networks are for (perceptual ones do not, by PSNR), best as we compute it."""
        return self.psnr >= self.bicubic and not self.other

    def __str__(self) -> str:
        better = f"; better with {self.other}: it was trained as another network" if self.other else ""
        return f"{self.psnr:.2f} dB on the photo {PHOTO} reading {self.name}, bicubic {self.bicubic:.2f} dB{better}"


def try_out(model: SuperResolver, own: float, range_: str | None = None, order: str | None = None) -> Trial:
    """Run a model on a photo and tell in which range and order of channels it does best.

    Args:
        model: with a file's weights; its `reads` is changed to the best.
        own: white in the values that our network computes with: 1 or 255.
        range_: what the user typed, one of RANGES or "own"; nothing else is tried then.
        order: likewise, one of ORDERS.

    Raises:
        UserError: an unknown range or order.
    """
    mine = next(name for name, (gain, _) in RANGES.items() if gain == own)
    if range_ == "own":
        range_, order = mine, order or "rgb"
    for key, typed, known in (("range", range_, RANGES), ("order", order, ORDERS)):
        if typed is not None and typed not in known:
            raise UserError(f"zoo.{key}={typed}: there are {', '.join(known)}{', own' * (key == 'range')}")
    scale = max(model.scales)
    whole = SIDE // scale * scale
    hr = _photo()[..., :whole, :whole]
    lr = imresize(hr, 1 / scale).clamp(0, 1)
    bicubic = _psnr(Bicubic(scale)(lr), hr, scale)
    ranges = [range_] if range_ else [mine, *(name for name in RANGES if name != mine)]
    orders = [order] if order else list(ORDERS)[: 1 if model.colors == 1 else 2]
    best: Trial | None = None
    with torch.inference_mode():
        for values in ranges:
            for channels in orders:
                gain, shift = RANGES[values]
                reads = Reads(gain / own, shift / own, ORDERS[channels])
                model.reads = None if reads == Reads() else reads
                name = f"{values} {'luma' if model.colors == 1 else channels.upper()}"
                trial = Trial(name, model.reads, _psnr(model(lr, scale), hr, scale), bicubic)
                best = trial if best is None or trial.psnr > best.psnr + CLEAR else best
        assert best is not None
        model.reads = best.reads
        if not best.proved:
            return best
        return replace(best, other=_other(model, best.psnr + OTHER, lambda: _psnr(model(lr, scale), hr, scale)))


def _other(model: nn.Module, bar: float, measured: Callable[[], float]) -> str:
    """The arithmetic with which a network does best, if it does better than `bar`; "" for its own."""
    found = ""
    for words, modules, change in _arithmetics(model):
        own = [{key: getattr(module, key) for key in change} for module in modules]
        for module in modules:
            vars(module).update(change)
        if (value := measured()) > bar:
            found, bar = f"{words} ({value:.2f} dB)", value
        for module, attributes in zip(modules, own, strict=True):
            vars(module).update(attributes)
    return found


def _arithmetics(model: nn.Module) -> Iterator[tuple[str, Sequence[nn.Module], dict[str, Any]]]:
    """What else the same weights may have been trained as: words, layers of one place in all blocks, their settings."""
    places = defaultdict[tuple[str, tuple[int, ...]], list[nn.Conv2d]](list)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and _dilatable(module):
            # The same layer of all blocks, and of all scales' branches (x2, x3): networks are not dilated in one block.
            places[re.sub(r"\.x?\d+(?=\.)", ".*", name), module.kernel_size].append(module)
    for (name, _), convs in places.items():
        yield (
            f"dilation 2 in {name}",
            convs,
            {"dilation": (2, 2), "padding": tuple(2 * int(p) for p in convs[0].padding)},
        )
    leaky = [module for module in model.modules() if isinstance(module, nn.LeakyReLU)]
    for slope in SLOPES if leaky else ():
        yield f"LeakyReLU {slope:g}", leaky, {"negative_slope": slope}


def _dilatable(conv: nn.Conv2d) -> bool:
    """Whether its result keeps its size when it is dilated by 2 and padded by zeros twice as wide."""
    kept = conv.stride == (1, 1) and conv.padding == tuple(side // 2 for side in conv.kernel_size)
    return kept and conv.kernel_size[0] > 1 and conv.padding_mode == "zeros"


def _photo() -> Tensor:
    """(1, 3, SIDE, SIDE), RGB in [0, 1]: the face."""
    photos = {pair.name: pair.hr for pair in Bundled(scale=2).val_pairs()}
    pixels = torch.from_numpy(read_image(photos[PHOTO]).pixels)[:SIDE, 120 : 120 + SIDE]
    return pixels.permute(2, 0, 1)[None].float() / 255


def _psnr(output: Tensor, hr: Tensor, shave: int) -> float:
    """DB on Y; a network that gives no numbers is the worst of all."""
    a, b = (255 * rgb_to_y(image.clamp(0, 1))[..., shave:-shave, shave:-shave] for image in (output, hr))
    value = float(psnr(a, b))
    return value if value == value else float("-inf")
