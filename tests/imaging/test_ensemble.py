"""Self-ensemble against eight explicit transforms."""

import torch

from sr.imaging.ensemble import self_ensemble
from sr.imaging.resize import imresize

TRANSFORMS = [  # forward and inverse, written out
    (lambda x: x, lambda x: x),
    (lambda x: x.flip(-1), lambda x: x.flip(-1)),
    (lambda x: x.flip(-2), lambda x: x.flip(-2)),
    (lambda x: x.flip(-1, -2), lambda x: x.flip(-1, -2)),
    (lambda x: x.mT, lambda x: x.mT),
    (lambda x: x.mT.flip(-1), lambda x: x.flip(-1).mT),
    (lambda x: x.mT.flip(-2), lambda x: x.flip(-2).mT),
    (lambda x: x.mT.flip(-1, -2), lambda x: x.flip(-1, -2).mT),
]


def test_asymmetric_function_on_a_rectangle():
    weight = torch.randn(2, 3, 3, 3, dtype=torch.float64)

    def fn(x):
        return torch.nn.functional.conv2d(imresize(x, 2), weight, padding=1).sin()

    lr = torch.rand(2, 3, 5, 8, dtype=torch.float64)
    expected = torch.stack([back(fn(there(lr))) for there, back in TRANSFORMS]).mean(0)
    result = self_ensemble(fn, lr)
    assert result.shape == (2, 2, 10, 16)
    torch.testing.assert_close(result, expected)


def test_equivariant_function_is_left_alone():
    lr = torch.rand(1, 3, 6, 9, dtype=torch.float64)
    torch.testing.assert_close(self_ensemble(lambda x: imresize(x, 3), lr), imresize(lr, 3))


def test_half_precision_is_summed_wide():
    lr = torch.rand(1, 3, 4, 4).to(torch.bfloat16)
    assert torch.equal(self_ensemble(lambda x: x, lr), lr)
