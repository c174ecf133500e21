"""Steps of one's own that draw, and say that they do not, are refused before they are trained with."""

import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sr.data.folder import Folder
from sr.degradation import Degradation, GaussianBlur, MatlabBicubic, Step
from sr.degradation.trial import refuse_undeclared
from sr.errors import UserError, told_once


class Drawing(Step):
    """Adds what `draw` gives, (3, h, w) floats in levels; with `rarely`, to one image of two."""

    def __init__(self, draw: Callable[..., Any], rarely: bool = False) -> None:
        self.draw, self.rarely = draw, rarely

    def __call__(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        if self.rarely and torch.rand((), generator=generator) < 0.5:
            return x
        return (x.float() + torch.as_tensor(self.draw(x, generator))).clamp(0, 255).to(x.dtype)


class Declared(Drawing):
    deterministic = False  # type: ignore[assignment]


class Own(Degradation):
    def __call__(self, hr: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return super().__call__(hr, generator) ^ torch.randint(2, (), generator=generator).to(torch.uint8)


def given(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return 20 * torch.randn(x.shape, generator=generator)


OTHERS: dict[str, Callable[..., Any]] = {
    "torch": lambda x, _: 20 * torch.randn(x.shape),
    "numpy": lambda x, _: 20 * np.random.standard_normal(x.shape).astype(np.float32),
    "python": lambda x, _: random.choice([-20, 20]),
    "fresh": lambda x, _: 20 * np.random.default_rng().standard_normal(x.shape),
}


def chain(*steps: Step) -> Degradation:
    return Degradation(4, [MatlabBicubic(4), *steps])


@pytest.mark.parametrize("rarely", [False, True])
@pytest.mark.parametrize("draw", [given, *OTHERS.values()], ids=["given", *OTHERS])
def test_a_step_that_draws_must_say_so(tmp_path: Path, draw: Callable[..., Any], rarely: bool) -> None:
    """One drawing of each image was cached and trained on, without a word."""
    for steps in ([Drawing(draw, rarely)], [Declared(given), Drawing(draw, rarely)]):
        with pytest.raises(UserError, match=r"Drawing gives other pixels .* Say deterministic = False in Drawing"):
            Folder(train=tmp_path, scale=4, degradation=chain(*steps))


def test_a_chain_of_ones_own_that_draws_must_say_so() -> None:
    with pytest.raises(UserError, match="deterministic = False in Own"):
        refuse_undeclared(Own(4, [MatlabBicubic(4)]))


@pytest.mark.parametrize("draw", OTHERS.values(), ids=OTHERS)
def test_what_draws_from_elsewhere_is_told(draw: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    told_once.cache_clear()
    refuse_undeclared(chain(Declared(given)))
    assert not caplog.records
    refuse_undeclared(chain(Declared(draw)))
    assert "Declared draws from something else than its `generator`" in caplog.text


def test_the_trial_costs_milliseconds_and_no_random_numbers() -> None:
    """Also of a step with a generator of its own."""

    class Held(Step):
        deterministic = False  # type: ignore[assignment]
        dice = np.random.default_rng(1)

        def __call__(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
            return x // int(self.dice.integers(1, 9))

    own = Held()
    own.dice = held = np.random.default_rng(1)

    def drawn() -> list[Any]:
        return [torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random()], held.random(3).tolist()]

    steps = [own, Drawing(lambda x, _: 3), Declared(OTHERS["numpy"]), GaussianBlur([0.5, 2])]
    states = torch.get_rng_state(), np.random.get_state(), random.getstate(), held.bit_generator.state
    wanted = drawn()
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
    held.bit_generator.state = states[3]
    start = time.process_time()
    refuse_undeclared(chain(*steps))
    assert time.process_time() - start < 0.5
    assert drawn() == wanted


class Blurring(Step):
    """Mean over 2 radius + 1 pixels, and noise."""

    deterministic = False  # type: ignore[assignment]

    def __init__(self, radius: int, reach: int = 0) -> None:
        self.radius, self.reach = radius, reach

    def __call__(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        size = 2 * self.radius + 1
        blurred = torch.nn.functional.avg_pool2d(x.float(), size, 1, self.radius, count_include_pad=False)
        return (blurred + given(x, generator)).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("radius", [1, 10, 40])
@pytest.mark.parametrize("steps", [lambda own: [MatlabBicubic(4), own], lambda own: [own, MatlabBicubic(4)]])
def test_a_step_that_looks_further_than_it_says_is_refused(steps: Callable[..., Any], radius: int) -> None:
    """Patches were degraded as if nothing lay around them: 1.1 dB less, without a word."""
    with pytest.raises(
        UserError, match=rf"Blurring looks {radius} pixels far, and says reach = 0: .* reach = {radius} in"
    ):
        refuse_undeclared(Degradation(4, steps(Blurring(radius))))
    refuse_undeclared(Degradation(4, steps(Blurring(radius, radius))))


def test_a_look_at_the_whole_picture_and_draws_that_depend_on_it_are_no_reach() -> None:
    refuse_undeclared(chain(Declared(lambda x, g: given(x, g) + x.float().mean())))
    refuse_undeclared(chain(Declared(lambda x, g: torch.poisson(x.float(), generator=g) - x.float())))


def test_what_cannot_take_the_picture_is_left_to_those_who_use_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    refuse_undeclared(chain(Drawing(lambda x, _: 1 / 0)))
    refuse_undeclared(Degradation(4, [MatlabBicubic(4)]))
    assert not caplog.records
