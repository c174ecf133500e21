"""Augmentation of LR-HR crops: flips and turns, which cost nothing, and the user's albumentations transforms."""

import copy
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from sr.errors import UserError, reason
from sr.memory import limited_to

# RMS between LR and shrunk HR, in 8-bit levels. Measured on 60 of albumentations' transforms: colours, contrast and
# flips stay below 15, and below half of the detail; what cuts holes, moves pixels, adds noise or blurs lies above.
LEAST_APART, MOST_APART = 8.0, 20.0
MOST_OF_DETAIL = 0.55  # of the RMS difference between neighbouring LR pixels
TRIES = 20  # of each crop
ROOM = 4 << 30  # bytes that a transform may take for one


def turned(pixels: np.ndarray, turn: int) -> np.ndarray:
    """A view of (h, h, ...) pixels under one of the eight flips and quarter turns, numbered as `sr.data.draws.Draw`."""
    if turn & 4:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]


class Augment:
    """What the user adds to the flips and turns, the same transform on LR and HR, seeded by the sample.

    Args:
        extra: albumentations transforms; they see LR as `image` and HR as a second image, get the same random
            parameters for both, and must keep the sizes.

    Raises:
        UserError: one of them is no such transform.
    """

    def __init__(self, extra: Sequence[Any]) -> None:
        import albumentations

        for transform in extra:
            if not isinstance(transform, (albumentations.BasicTransform, albumentations.BaseCompose)):
                raise UserError(
                    f"data.augment holds {transform!r}, which is not an albumentations transform. Type for example "
                    "'data.augment=[{_target_: albumentations.RandomBrightnessContrast, p: 0.3}]'"
                )
        self.compose = albumentations.Compose([*extra], additional_targets={"hr": "image"}, is_check_shapes=False)
        self._python = random.Random()

    def __call__(self, lr: np.ndarray, hr: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(h, w, 3) and (s*h, s*w, 3) uint8 -> the same shapes, transformed alike; `seed` is the sample's."""
        # The generators are handed over, not a new seed: building new ones in each transform doubles the cost.
        self._python.seed(seed)
        self.compose.set_random_state(np.random.Generator(np.random.Philox(key=seed)), self._python)
        out = self.compose(image=lr.copy(), hr=hr.copy())  # a transform may write into what it is given
        image, target = out["image"], out["hr"]
        if image.shape != lr.shape or target.shape != hr.shape:
            raise UserError(
                f"a transform in data.augment changed the crops' sizes from {lr.shape[:2]} and {hr.shape[:2]} to "
                f"{tuple(image.shape[:2])} and {tuple(target.shape[:2])}: LR and HR would no longer match. Remove it"
            )
        if image.dtype != np.uint8 or target.dtype != np.uint8:
            raise UserError(
                f"a transform in data.augment turned the crops' bytes into {image.dtype}: the data modules make floats "
                "of them later by themselves. Remove it"
            )
        return image, target


def try_out(extra: Sequence[Any], crops: Sequence[np.ndarray], scale: int) -> None:
    """Try each of the user's transforms on a few crops, several times, before they are trained on.

    LR is HR's mean over `scale` x `scale` pixels here, so that what the transform does to the pair is seen alone.

    Args:
        extra: albumentations transforms.
        crops: HR, (s*h, s*w, 3) uint8.
        scale: enlargement factor.

    Raises:
        UserError: names one that fails, that changes size or type, or after which LR is no longer HR shrunk.
    """
    for transform in extra:
        always = copy.deepcopy(transform)
        always.p = 1
        augment, name = Augment([always]), _name(transform)
        for seed, hr in enumerate([*crops] * TRIES):
            lr = (_shrunk(hr, scale) + 0.5).astype(np.uint8)
            try:
                with limited_to(ROOM):
                    small, large = augment(lr, hr, seed)
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
            except Exception as error:
                raise UserError(
                    f"data.augment: {name} cannot be applied to LR and HR alike ({reason(error)}). Remove it; what "
                    "degrades LR alone belongs into degradation="
                ) from error
            wanted = _shrunk(large, scale)
            apart = float(np.sqrt(np.square(wanted - small).mean()))
            detail = float(np.sqrt(np.square(np.diff(wanted, axis=1)).mean()))
            if apart > max(LEAST_APART, min(MOST_APART, MOST_OF_DETAIL * detail)):
                raise UserError(
                    f"data.augment: after {name}, LR is no longer HR shrunk ({apart:.0f} of 255 levels apart): it "
                    "works in pixels, which are other places in LR than in HR. Remove it; what degrades LR alone "
                    "belongs into degradation="
                )


def _shrunk(hr: np.ndarray, scale: int) -> np.ndarray:
    h, w = (side // scale for side in hr.shape[:2])
    return hr.reshape(h, scale, w, scale, 3).mean((1, 3))


def _name(transform: Any) -> str:
    inside = ", ".join(map(_name, getattr(transform, "transforms", [])))
    return type(transform).__name__ + (f"({inside})" if inside else "")
