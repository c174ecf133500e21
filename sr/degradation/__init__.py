"""HR -> LR: steps composed in order and seeded. kornia is imported only by the steps that use it."""

from sr.degradation.base import Degradation
from sr.degradation.blur import GaussianBlur, MotionBlur, UnsharpMask
from sr.degradation.blur_down import BlurDown
from sr.degradation.jpeg import Jpeg
from sr.degradation.noise import GaussianNoise, PoissonNoise
from sr.degradation.resize import MatlabBicubic, matlab_bicubic
from sr.degradation.second_order import Round, SecondOrder
from sr.degradation.shuffled import Shuffled
from sr.degradation.step import Step

__all__ = [
    "BlurDown",
    "Degradation",
    "GaussianBlur",
    "GaussianNoise",
    "Jpeg",
    "MatlabBicubic",
    "MotionBlur",
    "PoissonNoise",
    "Round",
    "SecondOrder",
    "Shuffled",
    "Step",
    "UnsharpMask",
    "matlab_bicubic",
]
