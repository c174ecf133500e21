"""Loss values against numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from sr.errors import UserError
from sr.losses import Charbonnier, WeightedSum


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.random((2, 3, 5, 7)), rng.random((2, 3, 5, 7))


def torched(pair):
    return tuple(torch.from_numpy(x) for x in pair)


@pytest.mark.parametrize(("reduction", "reduce"), [("mean", np.mean), ("sum", np.sum)])
def test_charbonnier(pair, reduction, reduce):
    value = Charbonnier(eps=0.05, reduction=reduction)(*torched(pair))
    assert float(value) == pytest.approx(float(reduce(np.sqrt((pair[0] - pair[1]) ** 2 + 0.05**2))), rel=1e-12)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(UserError, match="'mean' and 'sum'"):
        Charbonnier(reduction="median")


def test_terms_are_weighted_named_and_in_the_papers_range(pair):
    loss = WeightedSum(
        {"l1": {"weight": 2.0, "loss": nn.L1Loss()}, "l2": {"weight": 0.5, "loss": nn.MSELoss()}}, value_range=255
    )
    terms = loss(*torched(pair))
    difference = 255 * (pair[0] - pair[1])
    assert float(terms["l1"]) == pytest.approx(2 * np.abs(difference).mean(), rel=1e-12)
    assert float(terms["l2"]) == pytest.approx(0.5 * (difference**2).mean(), rel=1e-12)
