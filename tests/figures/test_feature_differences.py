"""Difference maps against numpy, and what is drawn with and without VGG-19's weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sr.degradation import GaussianBlur
from sr.degradation.resize import MatlabBicubic
from sr.errors import UserError
from sr.figures.feature_differences import correlation, difference_maps, feature_differences
from sr.losses import RandomFeatures


def test_maps_are_the_mean_over_channels_of_the_absolute_difference():
    random = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 1, 3, 12, 9, generator=random)
    extractor = RandomFeatures(("tanh", "conv2"), width=5)
    maps = difference_maps(extractor, a, b)
    first = [np.tanh(F.conv2d(x, extractor.first, padding=1).numpy()) for x in (a, b)]
    assert np.allclose(maps["tanh"], np.abs(first[0] - first[1])[0].mean(0), atol=1e-6)
    assert maps["conv2"].shape == (12, 9)


def test_the_correlation_is_pearsons_correlation():
    rng = np.random.default_rng(0)
    pixels = rng.random((6, 8))
    other = rng.random((6, 8))
    assert correlation(3 * pixels + 1, pixels) == pytest.approx(1)
    assert correlation(other, pixels) == pytest.approx(np.corrcoef(other.ravel(), pixels.ravel())[0, 1])
    assert np.isnan(correlation(np.ones((3, 4)), pixels))
    assert correlation(pixels[::2, ::2], pixels) < 1


def test_the_random_extractor_is_drawn_where_there_is_no_vgg(pictures, png, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    drawing = feature_differences(pictures, GaussianBlur(1.6), width=4)
    assert [(r["image"], r["layer"]) for r in drawing.rows] == [
        (p.name, f"random {layer}") for p in pictures for layer in ("tanh", "conv2")
    ]
    assert "vgg_weights=PATH" in drawing.notes[0]
    assert all(r["mean_difference"] > 0 and r["correlation_with_pixels"] > 0.3 for r in drawing.rows)
    assert png(drawing).std() > 10


def test_images_of_one_name_have_their_own_figures(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    drawing = feature_differences([replace(p, name="1") for p in pictures], GaussianBlur(1.6), width=4)
    shown = [below for ax in drawing.figure.axes if "r = " in (below := ax.get_xlabel())]
    told = [f"{r['height']} x {r['width']}, r = {r['correlation_with_pixels']:.2f}" for r in drawing.rows]
    assert shown == told and len(set(shown)) > 2


def test_vggs_layers_are_drawn_with_weights_and_shrink(pictures, vgg_file):
    drawing = feature_differences(pictures[:1], GaussianBlur(1.6), width=4, vgg_weights=str(vgg_file))
    sizes = {r["layer"]: (r["height"], r["width"]) for r in drawing.rows}
    assert sizes["VGG-19 relu1_1"] == (72, 96) and sizes["VGG-19 relu5_1"] == (4, 6) and not drawing.notes
    assert len(drawing.figure.axes) == 3 + 5 + 2


def test_typed_weights_that_are_not_there_are_an_error(pictures, tmp_path):
    with pytest.raises(UserError, match="no such file"):
        feature_differences(pictures, GaussianBlur(1.6), vgg_weights=str(tmp_path / "none.pth"))


def test_a_degradation_must_keep_the_size(pictures):
    with pytest.raises(UserError, match="keep the size"):
        feature_differences(pictures[:1], MatlabBicubic(2), width=4)
