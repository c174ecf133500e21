"""Kernel similarity, first filters and residual statistics, against numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from sr.errors import UserError
from sr.figures.filters import filters, first_filters, tiled
from sr.figures.kernels import chance, dense_kernels, kernels, similarity
from sr.figures.residuals import block_statistics, new_networks, residuals, train_briefly
from sr.layers.blueprint import BSConvU
from sr.measuring.scoring import Entry
from sr.models.bicubic import Bicubic
from sr.models.edsr import EDSR
from sr.models.imdn import IMDN
from sr.models.mdsr import MDSR
from sr.models.srcnn import SRCNN


def test_similarity_is_the_first_singular_values_share():
    weight = torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    found = similarity(weight)
    for kernel, share in zip(weight[:3].double().numpy(), found, strict=False):
        values = np.linalg.svd(kernel.reshape(6, 9), compute_uv=False)
        assert share == pytest.approx(values[0] ** 2 / (values**2).sum())
    assert np.isnan(found[3])


def test_bsconv_is_one_blueprint_exactly():
    torch.manual_seed(0)
    conv = BSConvU(8, 5)
    weight = conv.depthwise.weight * conv.pointwise.weight
    assert weight.shape == (5, 8, 3, 3)
    assert similarity(weight) == pytest.approx(np.ones(5))


def test_chance_falls_with_depth_and_never_below_one_ninth():
    few, many = chance(2, 3), chance(512, 3)
    assert few > 0.6 and 1 / 9 < many < 0.15
    assert chance(2, 3) == few


def test_only_ordinary_kernels_are_looked_at():
    net = nn.ModuleDict(
        {
            "dense": nn.Conv2d(4, 4, 3), "depthwise": nn.Conv2d(4, 4, 3, groups=4), "point": nn.Conv2d(4, 4, 1),
            "grey": nn.Conv2d(1, 4, 3),
        }
    )  # fmt: skip
    assert list(dense_kernels(net)) == ["dense"]


def test_kernels_of_models_are_drawn_beside_chance(png):
    torch.manual_seed(0)
    models = [Entry("edsr", EDSR(2, 1, 8)), Entry("imdn", IMDN(2))]
    drawing = kernels(models)
    rows = [r for r in drawing.rows if r["model"] == "edsr"]
    assert [r["layer"] for r in rows][1:3] == ["body.0.conv1", "body.0.conv2"]
    assert all(r["p10"] <= r["median"] <= r["p90"] and abs(r["median"] - r["chance"]) < 0.15 for r in rows[1:3])
    assert png(drawing).std() > 10
    with pytest.raises(UserError, match=r"figure.layer=nothing: edsr has the layers .*body\.0\.conv1"):
        kernels(models, layer="nothing")
    with pytest.raises(UserError, match=r"bicubic.*no ordinary convolution"):
        kernels([Entry("bicubic", Bicubic(2))])


def test_first_filters_are_sorted_by_variance():
    model = SRCNN(2)
    nn.init.normal_(model.extract.weight)
    model.extract.weight.data[7] *= 10
    name, found = first_filters(model)
    variances = found.var((1, 2, 3))
    assert name == "extract" and found.shape == (64, 1, 9, 9) and (np.diff(variances) <= 0).all()
    assert np.allclose(found[0], model.extract.weight[7].detach().numpy())
    with pytest.raises(UserError, match="whose filters could be shown"):
        first_filters(Bicubic(2))


def test_tiles_have_their_own_contrast_and_gaps():
    one = np.arange(9.0).reshape(1, 3, 3)
    picture = tiled(np.stack([one, 100 * one, 0 * one]), columns=2)
    assert picture.shape == (7, 7, 1)
    assert np.allclose(picture[:3, :3], picture[:3, 4:]) and picture[:3, :3].max() == 1 and picture[:3, :3].min() == 0
    assert np.isnan(picture[3]).all() and (picture[4:, :3] == 0.5).all() and np.isnan(picture[4:, 4:]).all()


def test_filters_are_drawn_in_grey_and_colour(png):
    torch.manual_seed(0)
    drawing = filters([Entry("srcnn", SRCNN(2)), Entry("edsr", EDSR(2, 1, 8))])
    assert [sum(r["model"] == m for r in drawing.rows) for m in ("srcnn", "edsr")] == [64, 8]
    assert png(drawing).std() > 10


def test_block_statistics_against_a_walk_by_hand():
    torch.manual_seed(0)
    model = EDSR(2, 3, 8, res_scale=0.5).eval()
    lr = torch.rand(1, 3, 10, 10)
    with torch.no_grad():
        x = model.head(lr)
        wanted = [(float(x.double().std()), 0.0)]
        for block in list(model.body)[:3]:
            y = block(x)
            wanted.append((float(y.double().std()), float((y - x).double().std())))
            x = y
    rows = block_statistics(model, lr, 2)
    assert [r["block"] for r in rows] == [0, 1, 2, 3]
    assert [(r["features"], r["branch"]) for r in rows] == [pytest.approx(w) for w in wanted]
    assert not model.body[0]._forward_hooks


def test_mdsr_goes_through_its_entrance_first_and_others_are_refused(normed):
    torch.manual_seed(0)
    lr = torch.rand(1, 3, 10, 10)
    assert len(block_statistics(MDSR([2, 3], 2, 8), lr, 3)) == 1 + 2 + 2
    assert len(block_statistics(normed.model, lr, 2)) == 3
    with pytest.raises(UserError, match="SRCNN has no residual blocks"):
        block_statistics(SRCNN(2), lr, 2)


def test_scaling_keeps_new_features_from_growing(pictures, png):
    drawing = residuals(pictures, channels=[8], num_blocks=12, steps=2, patch=12)
    last = {(r["model"], r["steps"]): r for r in drawing.rows if r["block"] == 12}
    first = {(r["model"], r["steps"]): r for r in drawing.rows if r["block"] == 0}
    grown = {key: last[key]["features"] / first[key]["features"] for key in last}
    assert set(grown) == {(f"8 channels, res_scale {s}", n) for s in ("1", "0.1") for n in (0, 2)}
    assert grown["8 channels, res_scale 1", 0] > 1.15 and abs(grown["8 channels, res_scale 0.1", 0] - 1) < 0.1
    assert png(drawing).std() > 5
    with pytest.raises(UserError, match=r"figure\.patch=100"):
        residuals(pictures, patch=100)


def test_fresh_networks_of_one_width_share_their_weights_and_brief_training_moves_them(pictures):
    one, tenth = new_networks([8], [1.0, 0.1], 2, 2, seed=0)
    weights = [dict(e.model.named_parameters()) for e in (one, tenth)]
    assert all(torch.equal(v, weights[1][k]) for k, v in weights[0].items())
    before = one.model.body[0].conv1.weight.clone()
    losses = train_briefly(one.model, pictures[0], 2, steps=3, patch=8, seed=0)
    moved = (one.model.body[0].conv1.weight - before).abs().max().item()
    assert len(losses) == 3 and 0 < moved < 4e-4  # Adam's steps of 1e-4


def test_trained_models_are_drawn_as_they_are(pictures, normed):
    drawing = residuals(pictures, [normed], patch=12)
    assert {r["model"] for r in drawing.rows} == {"srresnet"} and {r["steps"] for r in drawing.rows} == {0}
