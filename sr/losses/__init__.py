"""Losses: pixel, perceptual, adversarial, contrastive, distillation, their weighted sum; torch's own as they are."""

from sr.losses.adversarial import Adversarial, Hinge, LeastSquares, Relativistic, Vanilla
from sr.losses.contrastive import Contrastive, RandomFeatures
from sr.losses.discriminators import SRGANDiscriminator, UNetDiscriminator, VGGStyleDiscriminator
from sr.losses.distillation import Distillation
from sr.losses.perceptual import Perceptual
from sr.losses.pixel import Charbonnier, PerImage, TotalVariation
from sr.losses.sharpened import Sharpened
from sr.losses.vgg import VGG19Features, find_vgg19
from sr.losses.weighted import WeightedSum

__all__ = [
    "Adversarial", "Charbonnier", "Contrastive", "Distillation", "Hinge", "LeastSquares", "PerImage", "Perceptual",
    "RandomFeatures", "Relativistic", "SRGANDiscriminator", "Sharpened", "TotalVariation", "UNetDiscriminator",
    "VGG19Features", "VGGStyleDiscriminator", "Vanilla", "WeightedSum", "find_vgg19",
]  # fmt: skip
