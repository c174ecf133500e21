"""Panels: the crop is the busiest window, cells show the right pixels, labels are not cut off."""

from fractions import Fraction

import numpy as np
import pytest

from sr.imaging.panel import (
    ERROR_GAIN,
    crop,
    detail,
    disagreement,
    draw_panel,
    enlarge,
    error_map,
    panel_cells,
    pick_crop,
    scaled,
)


def test_pick_crop_finds_the_busy_corner_every_time():
    image = np.zeros((60, 80, 3), np.uint8)
    image[40:56, 20:36] = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    assert pick_crop(detail(image), 20, 4) == pick_crop(detail(image), 20, 4)
    top, left, height, width = pick_crop(detail(image), 20, 4)
    assert (height, width) == (20, 20) and top % 4 == left % 4 == 0
    assert top <= 40 and top + 20 >= 56 and left <= 20 and left + 20 >= 36


def test_a_window_of_lr_lies_where_that_of_hr_does():
    assert scaled((12, 30, 9, 6), Fraction(1, 3)) == (4, 10, 3, 2) and scaled((4, 10, 3, 2), 3) == (12, 30, 9, 6)
    assert scaled((29, 58, 29, 29), Fraction(1, 29)) == (1, 2, 1, 1)


def test_pick_crop_equals_a_plain_search():
    grey = np.random.default_rng(1).integers(0, 256, (14, 17)).astype(np.uint8)
    energy = np.zeros(grey.shape)
    energy[:-1] += np.diff(grey.astype(float), axis=0) ** 2
    energy[:, :-1] += np.diff(grey.astype(float), axis=1) ** 2
    sums = {(t, x): energy[t : t + 6, x : x + 6].sum() for t in range(0, 9, 2) for x in range(0, 12, 2)}
    assert pick_crop(detail(grey), 6, 2) == (*max(sums, key=sums.__getitem__), 6, 6)


@pytest.mark.parametrize(("shape", "size"), [((9, 30), (8, 16)), ((16, 16), (16, 16)), ((40, 5), (16, 4))])
def test_pick_crop_shrinks_to_the_image(shape, size):
    top, left, *window = pick_crop(np.zeros(shape), 16, 4)
    assert tuple(window) == size and top + size[0] <= shape[0] and left + size[1] <= shape[1]


def test_the_models_disagree_where_one_of_them_fails():
    good = np.full((40, 40, 3), 100, np.uint8)
    bad = good.copy()
    bad[8:16, 24:32] = 180
    top, left, *_ = pick_crop(disagreement([good, bad, good]), 8, 4)
    assert (top, left) == (8, 24)


def test_panel_cells_shows_the_same_place_in_each():
    hr = np.random.default_rng(2).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    lr = hr[::4, ::4]
    cells = dict(panel_cells(lr, [("bicubic", hr // 2), ("net", hr - hr // 8)], hr, 4, 16))
    top, left, *_ = pick_crop(detail(hr), 16, 4)
    assert list(cells) == ["LR", "bicubic", "net", "HR", f"|SR - HR| x {ERROR_GAIN}"]
    assert (cells["HR"] == hr[top : top + 16, left : left + 16]).all()
    assert (cells["LR"] == enlarge(crop(lr, (top, left, 16, 16), 4), 4)).all()
    assert {cell.shape for cell in cells.values()} == {(16, 16, 3)}


def test_error_map():
    hr = np.full((2, 2, 3), 100, np.uint8)
    sr = hr.copy()
    sr[0, 0] = 90
    sr[1, 1] = 255
    assert error_map(sr, hr)[..., 0].tolist() == [[10 * ERROR_GAIN, 0], [0, 255]]


@pytest.mark.parametrize("side", [16, 64, 192])
def test_labels_stay_inside(side):
    cell = np.full((side, side, 3), 128, np.uint8)
    long_label = "a_rather_long_model_name_m4c16_x4 27.02 dB"
    row = ("an image with a very long title that is wider than its cells " * 3, [("LR", cell), (long_label, cell)])
    panel = draw_panel([row, ("", [("HR", cell)])])
    assert panel.dtype == np.uint8 and panel.ndim == 3
    frame = np.concatenate([panel[0], panel[-1], panel[:, 0], panel[:, -1]])
    assert (frame == 255).all()  # nothing touches the rim
    factor = max(1, -(-160 // side))
    assert (panel == 128).all(2).sum() >= 3 * (side * factor) ** 2  # each cell is whole, not painted over
