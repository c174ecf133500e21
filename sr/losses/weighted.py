"""The sum that training minimises, each term under its own name."""

from collections.abc import Mapping
from typing import TypedDict

from torch import Tensor, nn


class Term(TypedDict):
    """One summand: loss(sr, hr) -> scalar, and its weight."""

    weight: float
    loss: nn.Module


class WeightedSum(nn.Module):
    """Named, weighted losses, computed in the range in which the paper computed them.

    Args:
        terms: name -> {weight, loss}.
        value_range: images arrive in [0, 1] and are compared in [0, value_range], so that published weights,
            eps and clipping thresholds mean what they meant.
    """

    def __init__(self, terms: Mapping[str, Term], value_range: float = 1.0) -> None:
        super().__init__()
        self.value_range = value_range
        self.losses = nn.ModuleDict({name: term["loss"] for name, term in terms.items()})
        self.weights = {name: float(term["weight"]) for name, term in terms.items()}

    def forward(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) output and target in [0, 1] -> each term times its weight."""
        sr, hr = sr * self.value_range, hr * self.value_range
        return {name: self.weights[name] * loss(sr, hr) for name, loss in self.losses.items()}
