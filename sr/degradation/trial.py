"""Steps of one's own are tried before they are believed: whether they draw, and from what."""

import copy
import logging
import random
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from sr.degradation.base import Degradation
from sr.degradation.step import Step, as_float, bundled
from sr.errors import UserError, told_once

log = logging.getLogger(__name__)
SIDE = 32  # LR pixels
TRIES = 8  # a step that draws may do nothing to some of its images
LEAST = 1e-4  # of floats in [0, 1]: less is another order of summing


def refuse_undeclared(chain: Degradation) -> None:
    """Try the steps of the user's own, and a chain of the user's own, several times on one picture of noise.

    The run's random numbers are the same afterwards. What fails on the picture is told where it is used, not here.

    Raises:
        UserError: names a class that says `deterministic`, and gives other pixels the second time, or one that looks
            further than its `reach`, of a chain that degrades patches.
    """
    if all(bundled(part) for part in (chain, *chain.steps)):  # what they say is tested
        return
    state, python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]), suppress(_FailedError):
            side = SIDE * chain.scale
            noise = torch.randint(256, (3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
            x = noise
            for step in chain.steps:
                if not (bundled(step) or chain.deterministic):
                    _refuse_reach(step, x)
                x = _tried(step, x)
            if not bundled(chain):
                _tried(chain, noise)
    finally:
        np.random.set_state(state)
        random.setstate(python)


class _FailedError(Exception):
    """A step that cannot take the picture."""


def _tried(part: Step | Degradation, x: Tensor) -> Tensor:
    """What it makes of a picture, the first time."""
    said, name = part.deterministic, type(part).__name__
    try:
        own = copy.deepcopy(part)  # it may hold a generator
        first = _made(own, x, 0, 0)
        same = bundled(part) or all(_alike(_made(own, x, n if said else 0, n), first) for n in range(TRIES))
    except Exception as error:  # whatever the user's code raises
        raise _FailedError from error
    if said and not same:
        raise UserError(
            f"the degradation's {name} gives other pixels each time, but says that it is deterministic, as a step does "
            f"unless told otherwise: one drawing of each image would be trained on. Say deterministic = False in "
            f"{name}, and draw from `generator` alone"
        )
    if not same:
        told_once(
            log,
            logging.WARNING,
            f"warning: the degradation's {name} draws from something else than its `generator`: LR of an image that "
            "is measured, and of a run that is repeated or resumed, is another each time. Give generator=generator to "
            "what draws",
        )
    return first


def _refuse_reach(step: Step, x: Tensor) -> None:
    """Change one half of a wide picture, and look how far into the other one the step's output changes.

    Where all of it does, as what is drawn depends on the values, nothing is known.
    """
    wide = torch.cat([x] * 4, -1)
    half, far = wide.shape[-1] // 2, 0
    other = torch.cat([(255 if x.dtype == torch.uint8 else 1) - wide[..., :half], wide[..., half:]], -1)
    try:
        for seed in range(TRIES // 2):
            one, two = (as_float(_made(copy.deepcopy(step), image, seed, 0)) for image in (wide, other))
            changed = ((one - two).abs().amax((0, 1)) >= LEAST).nonzero().flatten().tolist()
            if changed and changed[-1] < one.shape[-1] * 7 // 8:
                far = max(far, (changed[-1] + 1) * step.shrink - half)
    except Exception as error:  # whatever the user's code raises
        raise _FailedError from error
    if far > step.reach + step.grid + step.shrink - 2:
        name = type(step).__name__
        raise UserError(
            f"the degradation's {name} looks {far} pixels far, and says reach = {step.reach}: patches would be "
            f"degraded without what lies around them. Say reach = {far} in {name}"
        )


def _made(part: Step | Degradation, x: Tensor, seed: int, state: int) -> Tensor:
    """Under a seed of its generator, and one of all others."""
    torch.default_generator.manual_seed(state)  # torch.manual_seed would seed a GPU's, too
    np.random.seed(state)
    random.seed(state)
    return part(x.clone(), torch.Generator().manual_seed(seed))


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and float((as_float(one) - as_float(other)).abs().max()) < LEAST
