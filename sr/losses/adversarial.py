"""Adversarial losses: criteria on a discriminator's logits, and the term that holds the discriminator."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F


class Criterion(nn.Module):
    """What both players minimise, from logits (B, ...) of any shape; means over all of them.

    Attributes:
        needs_real: whether the generator's loss looks at the real images' logits.
    """

    needs_real: ClassVar[bool] = False

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        raise NotImplementedError

    def discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        raise NotImplementedError


def _taken_for(logits: Tensor, real: bool) -> Tensor:
    """Cross entropy of sigmoid(logits) with "all are real" or "none is"."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


class Vanilla(Criterion):
    """G: -log D(fake). D: -log D(real) - log(1 - D(fake)), where D is the sigmoid of the logits.

    Goodfellow et al., NeurIPS 2014; SRGAN (https://arxiv.org/abs/1609.04802), equations 2 and 6.
    """

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return _taken_for(fake, real=True)

    def discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        return _taken_for(real, real=True) + _taken_for(fake, real=False)


class LeastSquares(Criterion):
    """G: (fake - 1)^2 / 2. D: (real - 1)^2 / 2 + fake^2 / 2.

    Mao et al., LSGAN, ICCV 2017 (https://arxiv.org/abs/1611.04076), equation 9.
    """

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return ((fake - 1) ** 2).mean() / 2

    def discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        return ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2


class Hinge(Criterion):
    """G: -fake. D: max(0, 1 - real) + max(0, 1 + fake).

    Lim and Ye, Geometric GAN (https://arxiv.org/abs/1705.02894).
    """

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()

    def discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


class Relativistic(Criterion):
    """Whether a real image looks more real than the mean fake one, and the other way round.

    D: -log s(real - mean fake) - log(1 - s(fake - mean real)); G: the same with the labels exchanged; s the sigmoid.
    Jolicoeur-Martineau, ICLR 2019 (https://arxiv.org/abs/1807.00734); ESRGAN (https://arxiv.org/abs/1809.00219),
    equations 1 and 2. BasicSR halves both: there, half the weight means the same for the generator.
    """

    needs_real: ClassVar[bool] = True

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        assert real is not None
        return _taken_for(fake - real.mean(), real=True) + _taken_for(real - fake.mean(), real=False)

    def discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        return _taken_for(real - fake.mean(), real=True) + _taken_for(fake - real.mean(), real=False)


class Adversarial(nn.Module):
    """The generator's adversarial loss, and the discriminator with all that trains it.

    The discriminator sees real and made images in batches of their own, so that its batch norm never mixes them.

    Args:
        discriminator: images (B, C, H, W) -> logits.
        criterion: a `Criterion`.
        optimizer: builds the discriminator's optimizer from its parameters.
        scheduler: builds its schedule from that optimizer.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        criterion: Criterion,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler],
    ) -> None:
        super().__init__()
        self.discriminator, self.criterion = discriminator, criterion
        self.optimizer, self.scheduler = optimizer, scheduler

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """The generator's loss: its gradient reaches sr, but none of the discriminator's parameters."""
        fixed = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        fake = functional_call(self.discriminator, fixed, (sr,))
        real = None
        if self.criterion.needs_real:
            with torch.no_grad():
                real = self.discriminator(hr)
        return self.criterion.generator(fake, real)

    def discriminator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """The discriminator's loss: its gradient reaches the discriminator's parameters, and nothing else."""
        return self.criterion.discriminator(self.discriminator(sr.detach()), self.discriminator(hr.detach()))
