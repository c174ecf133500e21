"""Filters as matrix products, against the sums written out."""

import numpy as np
import pytest

from sr.imaging.banded import smoothed, steady


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((5, 11), -1), ((5, 27), -1), ((1300, 43), -1), ((2, 27, 3), 1), ((13, 6, 7), 0), ((2, 58, 1300), -2)],
)
def test_one_kernel_everywhere_is_the_sum_along_the_axis(shape: tuple[int, ...], axis: int) -> None:
    """Fewer outputs than a block, whole blocks, a rest, and more beside each other than one product takes."""
    x, kernel = np.random.default_rng(0).random(shape), np.arange(1.0, 12.0)
    expected = np.apply_along_axis(np.correlate, axis, x, kernel, "valid")
    np.testing.assert_allclose(smoothed(x, axis, steady(kernel, np.float64)), expected, rtol=1e-12)
