"""Losses: pixel terms and their weighted sum."""

from sr.losses.pixel import Charbonnier
from sr.losses.weighted import WeightedSum

__all__ = ["Charbonnier", "WeightedSum"]
