"""Augmentation of LR-HR crops by albumentations, the same transform on both, seeded by the sample."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from sr.errors import UserError


class Augment:
    """The eight flips and quarter turns, then whatever the user adds.

    Args:
        dihedral: whether to draw from the eight flips and quarter turns.
        extra: further albumentations transforms; they see LR as `image` and HR as a second image, get the same
            random parameters for both, and must keep the sizes.
    """

    def __init__(self, dihedral: bool = True, extra: Sequence[Any] = ()) -> None:
        import albumentations

        flips = [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)]
        turns = albumentations.RandomRotate90(p=1)  # p=1 makes the eight equally likely
        for transform in extra:
            if not isinstance(transform, (albumentations.BasicTransform, albumentations.BaseCompose)):
                raise UserError(
                    f"data.augment holds {transform!r}, which is not an albumentations transform. Type for example "
                    "'data.augment=[{_target_: albumentations.RandomBrightnessContrast, p: 0.3}]'"
                )
        steps = [*flips, turns, *extra] if dihedral else [*extra]
        self.compose = albumentations.Compose(steps, additional_targets={"hr": "image"}, is_check_shapes=False)
        self._python = random.Random()

    def __call__(self, lr: np.ndarray, hr: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(h, w, 3) and (s*h, s*w, 3) uint8 -> the same shapes, transformed alike."""
        # The generators are handed over, not a new seed: building new ones in each transform doubles the cost.
        self._python.seed(int(rng.integers(2**62)))
        self.compose.set_random_state(rng, self._python)
        out = self.compose(image=lr.copy(), hr=hr.copy())  # the cache's views are read-only
        image, target = out["image"], out["hr"]
        if image.shape != lr.shape or target.shape != hr.shape:
            raise UserError(
                f"a transform in data.augment changed the crops' sizes from {lr.shape[:2]} and {hr.shape[:2]} to "
                f"{image.shape[:2]} and {target.shape[:2]}: LR and HR would no longer match. Remove it"
            )
        return image, target
