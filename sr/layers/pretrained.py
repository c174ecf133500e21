"""Classifiers' convolutions, from torchvision's weight files that the user has; nothing is downloaded."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.errors import UserError, reason, told_once
from sr.layers import torch_file
from sr.layers.identity import checksum, identity

log = logging.getLogger(__name__)
# ImageNet's mean and deviation of RGB in [0, 1], with which torchvision trained them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Conv:
    """One convolution, a ReLU after it."""

    number: int  # in torchvision's `features`
    before: int  # channels of its input
    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pooled: bool = False  # its input, before
    seen: bool = False  # a perceptual distance looks at its ReLU


@dataclass(frozen=True)
class Pretrained:
    """A network that torchvision trained on ImageNet.

    Attributes:
        title: its name.
        file: torchvision's name of its weights, which ends in the first digits of the file's SHA-256.
        megabytes: of that file.
        convs: in their order.
        pool: pixels a side of the max-pooling between them, whose stride is 2.
        mistaken: what it is easily mistaken for.
        identity: of its convolutions in float32, in whatever file they are; "" where it is not known.
    """

    title: str
    file: str
    megabytes: int
    convs: tuple[Conv, ...]
    pool: int = 2
    mistaken: str = ""
    identity: str = ""

    @property
    def address(self) -> str:
        """Where the file is to be had."""
        return f"https://download.pytorch.org/models/{self.file}"

    @property
    def place(self) -> Path:
        """Where torchvision keeps the file."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file

    def read(self, file: Path) -> tuple[list[tuple[Tensor, Tensor]], str]:
        """Weight and bias of every convolution in float32, and "" where they are torchvision's.

        Of a file with another checksum than torchvision's it is told that shapes alone speak for it; eight digits then
        tell its weights from others.

        Raises:
            UserError: the file is none, damaged, or another network's.
        """
        wanted = f"wanted is torchvision's {self.file} from {self.address}{self.mistaken}"
        try:
            state = torch_file.load(file, known_intact=True)  # of this file the checksum is known
        except UserError as error:
            raise UserError(f"{file} is no weight file ({reason(error)}); {wanted}") from error
        found = []
        for conv in self.convs:
            pair = []
            shapes = {"weight": (conv.width, conv.before, conv.kernel, conv.kernel), "bias": (conv.width,)}
            for kind, shape in shapes.items():
                key = f"features.{conv.number}.{kind}"
                value = state.get(key) if isinstance(state, dict) else None
                if not isinstance(value, Tensor) or value.shape != shape or not value.is_floating_point():
                    what = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else "nothing"
                    raise UserError(
                        f"{file} does not hold {self.title}'s weights: {key} should be a tensor {shape}, there is "
                        f"{what}; {wanted}"
                    )
                if why := torch_file.unusable(key, value, value):
                    raise UserError(f"{file} is damaged: {why}; {wanted}")
                pair.append(value.float())
            found.append((pair[0], pair[1]))
        if other := self._other(file, found):
            told = f"{file} is taken for {self.title} by its shapes alone: its checksum is not that of torchvision's"
            told_once(log, logging.WARNING, f"warning: {told} {self.file}, so what it computes may be another's")
        return found, other

    def _other(self, file: Path, convs: Iterable[tuple[Tensor, Tensor]]) -> str:
        state = {
            f"{n}.{kind}": t for n, pair in enumerate(convs) for kind, t in zip(("weight", "bias"), pair, strict=True)
        }
        own = identity(state, {})
        # Eight digits of a checksum can be met within minutes: they count where no more is known.
        known = own == self.identity if self.identity else checksum(file).startswith(self.file[-12:-4])
        return "" if known else own[:8]

    def seen(
        self, x: Tensor, weights: Iterable[tuple[Tensor, Tensor]], pool: Callable[[Tensor], Tensor] | None = None
    ) -> list[Tensor]:
        """The activations that a perceptual distance looks at.

        Args:
            x: (B, 3, H, W), normalised.
            weights: of every convolution.
            pool: in place of the max-pooling.

        Returns:
            (B, C, h, w) each, after ReLU.
        """
        found = []
        for conv, (weight, bias) in zip(self.convs, weights, strict=True):
            if conv.pooled:
                x = pool(x) if pool else F.max_pool2d(x, self.pool, 2)
            x = F.relu(F.conv2d(x, weight, bias, conv.stride, conv.padding))
            if conv.seen:
                found.append(x)
        return found


def _vgg(*convs: int) -> tuple[Conv, ...]:
    """VGG's five blocks of so many 3x3 convolutions each (Simonyan and Zisserman, ICLR 2015)."""
    found, number, before = list[Conv](), 0, 3
    for block, count in enumerate(convs):
        width = min(64 * 2**block, 512)
        for n in range(count):
            pooled = block > 0 and n == 0
            number += pooled  # the pooling has a number, too
            found.append(Conv(number, before, width, pooled=pooled, seen=n == count - 1))
            number, before = number + 2, width
    return tuple(found)


ALEXNET = Pretrained(
    "AlexNet",
    "alexnet-owt-7be5be79.pth",
    233,
    (
        Conv(0, 3, 64, 11, 4, 2, seen=True),
        Conv(3, 64, 192, 5, padding=2, pooled=True, seen=True),
        Conv(6, 192, 384, pooled=True, seen=True),
        Conv(8, 384, 256, seen=True),
        Conv(10, 256, 256, seen=True),
    ),
    pool=3,
    identity="50aa162a63e1def2c989ed3138dc00d4c5f4e7647e7d6d7c967ccd5aeb580289",
)
VGG16 = Pretrained(
    "VGG-16",
    "vgg16-397923af.pth",
    528,
    _vgg(2, 2, 3, 3, 3),
    mistaken=" (not with batch norm)",
    identity="39d1f85de70ae2913838fd67085196365188c724af7512d7863d6a53839982a1",
)
VGG19 = Pretrained(
    "VGG-19", "vgg19-dcbb9e9d.pth", 575, _vgg(2, 2, 4, 4, 4), mistaken=" (not VGG-16, nor VGG-19 with batch norm)"
)
