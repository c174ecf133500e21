"""Contrastive losses: near the target and away from the interpolated input, in the features of a frozen network."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.losses.frozen import Frozen, chosen_layers


class RandomFeatures(Frozen):
    """Conv3x3 - tanh - Conv3x3 with random weights that are never trained.

    Kong et al., RLFN, CVPRW 2022 (https://arxiv.org/abs/2205.07514). The paper's text as known here gives
    no width and no initialisation: 64 channels, and normal weights of deviation gain / sqrt(fan-in) (gain 5/3 before
    the tanh, 1 after it) with biases 0, are guesses. The weights follow from `seed` alone and are kept in checkpoints.

    Args:
        layers: "tanh" for the features after the tanh, "conv2" for those after the second convolution.
        width: channels of both convolutions.
        seed: of the weights.

    Shapes: (B, 1|3, H, W) in [0, 1] -> {layer: (B, width, H, W)}.
    """

    NAMES: ClassVar[tuple[str, ...]] = ("tanh", "conv2")
    first: Tensor
    second: Tensor

    def __init__(self, layers: Sequence[str] = ("conv2",), width: int = 64, seed: int = 0) -> None:
        super().__init__()
        if not layers or not set(layers) <= set(self.NAMES):
            raise UserError(f"the random extractor has the layers {', '.join(self.NAMES)}, asked was {list(layers)}")
        if width > 1024:  # of which the second layer would fill memory before anything can count it
            raise UserError(f"the random extractor has at most 1024 channels, asked was width={width}")
        self.layers = tuple(layers)
        random = torch.Generator().manual_seed(seed)
        for name, channels, gain in (("first", 3, 5 / 3), ("second", width, 1.0)):
            weight = torch.randn(width, channels, 3, 3, generator=random) * gain / (9 * channels) ** 0.5
            self.register_buffer(name, weight)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        rgb = images.expand(-1, 3, -1, -1)  # luma goes into all three channels
        hidden = torch.tanh(F.conv2d(rgb, self.first, padding=1))
        found = {"tanh": hidden}
        if "conv2" in self.layers:
            found["conv2"] = F.conv2d(hidden, self.second, padding=1)
        return {name: found[name] for name in self.layers}


class Contrastive(nn.Module):
    """Sum over layers j of lambda_j * mean|phi_j(sr) - phi_j(hr)| / (sum over n of mean|phi_j(sr) - phi_j(n)| + eps).

    AECR-Net (Wu et al., CVPR 2021, https://arxiv.org/abs/2104.09367) and CSD (Wang et al., IJCAI 2021,
    https://arxiv.org/abs/2105.11683) with VGG-19; RLFN (https://arxiv.org/abs/2205.07514) with `RandomFeatures`. The
    negatives n are LR images enlarged by MATLAB's bicubic. Means are over the batch. Only sr carries a gradient.

    Args:
        extractor: builds the frozen network from `layers`, a list of names: `VGG19Features` or `RandomFeatures`.
        layers: name -> lambda; null leaves a layer out.
        negatives: 0 for the image's own LR (AECR, RLFN), n for those of the n images before it in the
            batch (CSD, whose authors draw n images for the whole batch).
        eps: in the units of the features.

    Shapes: sr and hr (B, 1|3, H, W), lr (B, 1|3, h, w), all in [0, 1] -> scalar.
    """

    uses_lr: ClassVar[bool] = True

    def __init__(
        self,
        extractor: Callable[..., nn.Module],
        layers: Mapping[str, float | None],
        negatives: int = 0,
        eps: float = 1e-7,
    ) -> None:
        super().__init__()
        if negatives < 0:
            raise UserError(f"negatives={negatives}: 0 is the image's own LR, n those of n other images of the batch")
        self.layers = chosen_layers(layers)
        self.extractor = extractor(layers=tuple(self.layers))
        self.negatives = negatives
        self.eps = eps

    def forward(self, sr: Tensor, hr: Tensor, lr: Tensor) -> Tensor:
        if self.negatives >= len(lr) > 0:
            raise UserError(
                f"negatives={self.negatives} other images are wanted of a batch of {len(lr)}: give a batch_size of "
                f"{self.negatives + 1} or more for each process and micro-batch, or fewer negatives"
            )
        with torch.no_grad():
            positive = self.extractor(hr)
            enlarged = self.extractor(imresize(lr, size=(hr.shape[-2], hr.shape[-1])))
        anchor = self.extractor(sr)
        # Image i's n-th negative is image i - n of the batch, itself for n = 0.
        shifts = range(1, self.negatives + 1) if self.negatives else (0,)
        total = sr.new_zeros(())
        for name, weight in self.layers.items():
            away = [F.l1_loss(anchor[name], enlarged[name].roll(n, 0)) for n in shifts]
            total = total + weight * F.l1_loss(anchor[name], positive[name]) / (torch.stack(away).sum() + self.eps)
        return total
