"""NIQE against MATLAB's published value, and against its equations block by block."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from scipy.special import gamma

from sr.imaging.files import read_image
from sr.imaging.resize import imresize
from sr.metrics.niqe import METRIC, MODEL, niqe
from sr.metrics.protocol import luma8
from sr.metrics.protocols import get_protocol

GRID = np.arange(0.2, 10.0005, 0.001)


def fitted(values):
    values = values.ravel()
    left = math.sqrt((values[values < 0] ** 2).mean())
    right = math.sqrt((values[values > 0] ** 2).mean())
    r = left / right
    wanted = np.abs(values).mean() ** 2 / (values**2).mean() * (r**3 + 1) * (r + 1) / (r**2 + 1) ** 2
    a = GRID[np.argmin(np.abs(gamma(2 / GRID) ** 2 / (gamma(1 / GRID) * gamma(3 / GRID)) - wanted))]
    scale = math.sqrt(gamma(1 / a) / gamma(3 / a))
    return a, left * scale, right * scale


def naive(y):
    """Of (H, W) in 0..255."""
    at = np.arange(-3, 4)
    window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    h, w = (side // 96 * 96 for side in y.shape)
    y, scales = y[:h, :w], []
    for side, image in ((96, y), (48, imresize(torch.from_numpy(y)[None], 1 / 2)[0].numpy())):
        mean = correlate(image, window, mode="nearest")
        spread = np.sqrt(np.abs(correlate(image**2, window, mode="nearest") - mean**2))
        normal, blocks = (image - mean) / (spread + 1), []
        for top in range(0, len(normal), side):
            for left in range(0, normal.shape[1], side):
                block = normal[top : top + side, left : left + side]
                a, below, above = fitted(block)
                row = [a, (below + above) / 2]
                for down, across in ((0, 1), (1, 0), (1, 1), (-1, 1)):
                    a, below, above = fitted(block * np.roll(np.roll(block, down, 0), across, 1))
                    row += [a, (above - below) * gamma(2 / a) / gamma(1 / a), below, above]
                blocks.append(row)
        scales.append(blocks)
    features, model = np.concatenate(scales, 1), np.loadtxt(MODEL, delimiter=",")
    apart = model[0] - features.mean(0)
    return math.sqrt(apart @ np.linalg.pinv((model[1:] + np.cov(features.T)) / 2) @ apart)


def test_as_its_equations_say():
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (1, 3, 60, 90), generator=generator, dtype=torch.uint8)
    picture = imresize(coarse, 4)[..., :230, :330]
    (found,) = niqe(picture)
    assert float(found) == pytest.approx(naive(luma8(picture, False)[0, 0].numpy()), rel=1e-6)
    assert 3 < float(found) < 100


@pytest.mark.shared
def test_as_published(shared):
    """5.72957338 by the authors' MATLAB code, as BasicSR tells of this picture."""
    picture = read_image(shared / "data/benchmarks/Set14/HR/baboon.png").pixels
    (found,) = niqe(torch.from_numpy(picture).permute(2, 0, 1)[None])
    assert float(found) == pytest.approx(5.72957338, abs=1e-5)


def test_a_picture_of_one_block_and_a_flat_one_have_no_value():
    for height, width in ((150, 150), (200, 200)):
        grey = torch.full((1, 3, height, width), 0.5)
        assert get_protocol("y").compare(grey, grey, 4, metrics=[METRIC])["niqe"].isnan().all()
