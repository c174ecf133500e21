"""Loss values against numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from sr.errors import UserError
from sr.losses import Charbonnier, PerImage


def torched(pair):
    return tuple(torch.from_numpy(x) for x in pair)


@pytest.mark.parametrize(("reduction", "reduce"), [("mean", np.mean), ("sum", np.sum)])
def test_charbonnier(pair, reduction, reduce):
    value = Charbonnier(eps=0.05, reduction=reduction)(*torched(pair))
    assert float(value) == pytest.approx(float(reduce(np.sqrt((pair[0] - pair[1]) ** 2 + 0.05**2))), rel=1e-12)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(UserError, match="'mean' and 'sum'"):
        Charbonnier(reduction="median")


@pytest.mark.parametrize("loss", [nn.MSELoss(reduction="sum"), Charbonnier(eps=0.0, reduction="sum")])
def test_a_sum_per_image(pair, loss):
    difference = np.abs(pair[0] - pair[1])
    expected = (difference**2 if isinstance(loss, nn.MSELoss) else difference).sum() / 2  # 2 images
    assert float(PerImage(loss)(*torched(pair))) == pytest.approx(float(expected), rel=1e-12)


def test_a_mean_is_not_divided_again():
    with pytest.raises(UserError, match="reduction='sum', not 'mean'"):
        PerImage(nn.MSELoss())
