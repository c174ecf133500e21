"""What hooks into the training loop."""

from sr.callbacks.adjustable_clipping import AdjustableClipping
from sr.callbacks.checkpoints import Checkpoints
from sr.callbacks.ema import EMA
from sr.callbacks.lost import BackToTraining, Lost
from sr.callbacks.nan_guard import NanGuard
from sr.callbacks.panels import Panels
from sr.callbacks.population_statistics import PopulationStatistics
from sr.callbacks.progress import Progress
from sr.callbacks.stopwatch import Stopwatch

__all__ = [
    "EMA", "AdjustableClipping", "BackToTraining", "Checkpoints", "Lost", "NanGuard", "Panels", "PopulationStatistics",
    "Progress", "Stopwatch",
]  # fmt: skip
