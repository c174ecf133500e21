"""DRCN: one convolution applied many times."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.layers.convolution import conv3x3, initialised
from sr.models.base import SuperResolver

MOST = 1024  # recursions, of which a file's weights say nothing but that many numbers


class DRCN(SuperResolver):
    """Embedding, D recursions of one convolution, a reconstruction after each of them, their weighted sum.

    Kim, Lee and Lee, "Deeply-Recursive Convolutional Network for Image Super-Resolution", CVPR 2016
    (https://arxiv.org/abs/1511.04491), section 3 and figure 3(a), on the luma enlarged by bicubic::

        H_0 = embed(x),  H_d = relu(conv(H_{d-1})),  y_d = x + reconstruct(H_d),  y = sum_d w_d * y_d

    The paper's loss is ``alpha * mean_d loss(y_d) + (1 - alpha) * loss(y)`` with alpha falling from 1; how is not
    published: here in a straight line to 0 at the end of training. Works in 0-1. The recursive convolution starts as
    the identity, the others as in He et al., biases as 0, w_d as 1 / D.

    Parameters, whatever the scale: 1,775,121, of which 1,774,080 weights, the count of the papers' tables.

    Args:
        scale: enlargement factor, or all that one network serves.
        num_recursions: D.
        channels: C.
    """

    supported_scales: ClassVar[tuple[int, ...]] = tuple(range(2, 9))
    protocols: ClassVar[tuple[str, ...]] = ("y_classic", "y")
    no_graph: ClassVar[str] = "the shares of DRCN's loss change with the steps"

    def __init__(self, scale: int | Sequence[int], num_recursions: int = 16, channels: int = 256) -> None:
        super().__init__(scale, colors=1)
        if not 0 < num_recursions <= MOST:
            raise UserError(f"DRCN has 1 to {MOST} recursions, and not {num_recursions}")
        self.embed = nn.Sequential(_conv(1, channels), nn.ReLU(), _conv(channels, channels), nn.ReLU())
        self.recursion = nn.Sequential(_conv(channels, channels), nn.ReLU())
        nn.init.dirac_(self.recursion[0].weight)  # type: ignore[arg-type]
        self.reconstruct = nn.Sequential(_conv(channels, channels), nn.ReLU(), _conv(channels, 1))
        self.weights = nn.Parameter(torch.full((num_recursions,), 1 / num_recursions))

    def predictions(self, x: Tensor) -> list[Tensor]:
        """y_1 ... y_D, (B, 1, H, W) each, of the enlarged luma (B, 1, H, W)."""
        found, y = [], self.embed(x)
        for _ in range(len(self.weights)):
            y = self.recursion(y)
            found.append(x + self.reconstruct(y))
        return found

    def ensemble(self, predictions: Sequence[Tensor]) -> Tensor:
        """Their weighted sum."""
        return (torch.cat(list(predictions), dim=1) * self.weights[:, None, None]).sum(dim=1, keepdim=True)

    def network(self, x: Tensor, scale: int) -> Tensor:
        return self.ensemble(self.predictions(imresize(x, scale)))

    def training_terms(self, batch: Any, loss: nn.Module) -> dict[str, Tensor]:
        hr, lr = self.own_colors(batch.hr), self.own_colors(batch.lr)
        predictions = self.predictions(imresize(lr, batch.scale))
        final = loss(self.ensemble(predictions), hr, lr)
        each = [loss(y, hr, lr) for y in predictions]
        alpha = 1 - self._progress()
        return {
            name: alpha * torch.stack([terms[name] for terms in each]).mean() + (1 - alpha) * value
            for name, value in final.items()
        }

    def _progress(self) -> float:
        """How much of the training is done, 0 to 1, over all stages."""
        steps = 0 if self._trainer is None else self.whole_steps or self.trainer.max_steps
        return min(1.0, self.trainer.global_step / steps) if steps > 0 else 0.0


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return initialised(conv3x3(in_channels, out_channels), partial(nn.init.kaiming_normal_, nonlinearity="relu"))
