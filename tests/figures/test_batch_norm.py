"""Three kinds of statistics, and the patch that is carried into another image."""

import numpy as np
import pytest
import torch

from sr.errors import UserError
from sr.figures.batch_norm import batch_norm, mini_batch, patch_corner, window_psnr, with_batch_statistics
from sr.figures.pasted_patch import outside_psnr, pasted, pasted_patch
from sr.imaging.panel import error_levels
from sr.layers.statistics import batch_norms, with_own_statistics


def test_a_mini_batch_of_one_has_its_own_statistics_and_running_ones_stay(normed):
    x = torch.rand(1, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    before = {k: v.clone() for k, v in normed.model.state_dict().items()}
    training = with_batch_statistics(normed.model)
    with torch.no_grad():
        assert torch.allclose(training(x), with_own_statistics(normed.model)(x), atol=1e-5)
        assert not torch.allclose(training(x), normed.model(x), atol=1e-3)
    assert not training.training and all(norm.training for norm in batch_norms(training).values())
    assert all(torch.equal(v, before[k]) for k, v in normed.model.state_dict().items())


def test_the_mini_batch_holds_the_window_and_patches_of_the_others():
    lr = torch.arange(20 * 30).reshape(1, 1, 20, 30).expand(1, 3, 20, 30).float()
    others = [-torch.ones(1, 3, 9, 40), -2 * torch.ones(1, 3, 50, 8)]
    assert patch_corner(lr, (2, 20, 4, 4), 8) == (0, 18)
    assert patch_corner(lr, (16, 26, 4, 4), 8) == (12, 22)
    batch = mini_batch(lr, (2, 20, 4, 4), others, 8, seed=0)
    assert batch.shape == (3, 3, 8, 8)
    assert torch.equal(batch[0], lr[0, :, 0:8, 18:26])
    assert (batch[1] == -1).all() and (batch[2] == -2).all()


def test_figures_of_a_window_against_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 255, (2, 9, 7, 3)).astype(np.uint8)
    mse = ((a.astype(float) - b) ** 2).mean()
    assert window_psnr(a, b) == pytest.approx(10 * np.log10(255**2 / mse))
    assert np.allclose(error_levels(a, b), np.abs(a.astype(int) - b).mean(2))


@pytest.mark.parametrize("at", [None, [10, 20]])
def test_all_three_kinds_are_drawn_with_their_figures(normed, pictures, png, at):
    drawing = batch_norm([normed], pictures, size=24, patch=16, batch=3, at=at)
    assert [r["statistics"] for r in drawing.rows] == ["population", "mini-batch", "image's own"] * 2
    assert len({r["psnr_rgb_window"] for r in drawing.rows}) == 6
    if at:
        assert {(r["top"], r["left"]) for r in drawing.rows} == {(10, 20)}
    assert png(drawing).std() > 10


def test_a_model_without_batch_norm_is_refused_by_name(plain, pictures):
    with pytest.raises(UserError, match=r"ecbsr \(ECBSR\) has no batch norm"):
        batch_norm([plain], pictures)


def test_pasting_puts_the_window_into_the_middle():
    host, guest = torch.zeros(1, 3, 10, 12), torch.rand(1, 3, 8, 8)
    both, place = pasted(host, guest, (1, 2, 4, 6))
    assert place == (3, 3, 4, 6)
    assert torch.equal(both[..., 3:7, 3:9], guest[..., 1:5, 2:8]) and host.sum() == 0
    with pytest.raises(UserError, match=r"does not fit.*figure.size"):
        pasted(host, torch.zeros(1, 3, 40, 40), (0, 0, 20, 4))


def test_outside_leaves_the_window_and_its_margin_out():
    hr, sr = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8)
    sr[6:14, 6:14] = 200
    assert outside_psnr(sr, hr, (8, 8, 4, 4), margin=2) == np.inf
    sr[0, 0] = 10
    assert outside_psnr(sr, hr, (8, 8, 4, 4), margin=2) == pytest.approx(10 * np.log10(255**2 * (400 - 64) / 100))
    assert np.isnan(outside_psnr(sr, hr, (8, 8, 4, 4), margin=20))


def test_under_population_statistics_the_surroundings_do_not_matter(normed, plain, pictures, png):
    """The margin is wider than what these networks see, so the figures are equal, not only close."""
    drawing = pasted_patch([normed, plain], pictures, size=64, margin=26)
    population, own, alone = drawing.rows
    assert [r["statistics"] for r in drawing.rows] == ["population", "image's own", "none"]
    for row in (population, alone):
        assert row["patch_pasted"] == pytest.approx(row["patch_at_home"], abs=0.2)
    assert own["patch_pasted"] != pytest.approx(own["patch_at_home"], abs=0.01)
    assert png(drawing).std() > 10


def test_a_patch_that_is_made_smaller_is_told(normed, pictures, caplog):
    pasted_patch([normed], [pictures[0].__class__("small", pictures[0].pixels[..., :64, :64]), pictures[1]], size=80)
    assert "the patch is of 64 x 64 HR pixels, not 80: small is no larger" in caplog.text


def test_it_takes_two_images_and_a_patch_larger_than_its_margin(normed, pictures):
    with pytest.raises(UserError, match="two images"):
        pasted_patch([normed], pictures[:1])
    with pytest.raises(UserError, match=r"figure.margin=16 leaves nothing"):
        pasted_patch([normed], pictures, size=32)
