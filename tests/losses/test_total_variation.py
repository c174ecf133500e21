"""Total variation against a loop over pixels."""

import numpy as np
import pytest
import torch

from sr.losses import TotalVariation


def test_it_is_the_mean_length_of_the_gradient(pair):
    x, total = pair[0], 0.0
    _, _, height, width = x.shape
    for image in x:
        for channel in image:
            for i in range(height):
                for j in range(width):
                    down = channel[i + 1, j] - channel[i, j] if i + 1 < height else 0.0
                    right = channel[i, j + 1] - channel[i, j] if j + 1 < width else 0.0
                    total += np.hypot(down, right)
    value = TotalVariation()(torch.from_numpy(x), torch.from_numpy(pair[1]))
    assert float(value) == pytest.approx(total / x.size, rel=1e-12)


def test_a_flat_image_has_none_and_a_finite_gradient():
    flat = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    value = TotalVariation()(flat, torch.zeros(1, 3, 4, 4))
    value.backward()
    assert float(value.detach()) == 0 and torch.equal(flat.grad, torch.zeros_like(flat))


def test_its_gradient_is_right(images):
    x = images(1, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda sr: TotalVariation()(sr, x.detach()), x)
