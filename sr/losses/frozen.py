"""What the networks that losses look through have in common."""

from collections.abc import Mapping
from typing import Self

from torch import nn

from sr.errors import UserError


class Frozen(nn.Module):
    """A feature extractor: in eval mode for good, and with its weights in buffers, so that nothing can train it.

    Called with images (B, 1|3, H, W) in [0, 1] it returns its features by name; which ones is an argument `layers` of
    the constructor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode when the model around it is switched to training."""
        return super().train(False)


def chosen_layers(layers: Mapping[str, float | None]) -> dict[str, float]:
    """Name -> weight without those that are null, which is how a composed config's layer is left out."""
    chosen = {name: float(weight) for name, weight in layers.items() if weight is not None}
    if not chosen:
        raise UserError("layers names none; give for example layers={relu5_4: 1.0}")
    return chosen
