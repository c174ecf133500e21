"""The crops that papers print: figures as evaluate.py has them, the window where models differ."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from sr.errors import UserError
from sr.figures.crop_grid import crop_grid, differing_window
from sr.measuring.scoring import Entry
from sr.metrics.protocols import get_protocol
from sr.models.bicubic import Bicubic
from sr.models.espcn import ESPCN


def test_figures_are_the_protocols_of_the_whole_image(pictures, plain, png):
    drawing = crop_grid([plain], pictures, size=20)
    assert [(r["model"], r["image"]) for r in drawing.rows] == [
        (m, p.name) for p in pictures for m in ("bicubic", "ecbsr")
    ]
    photo, rule = pictures[0], get_protocol("y")
    with torch.no_grad():
        psnr, ssim = rule.compare(plain.model(rule.lr(photo.pixels, 2)), photo.pixels, 2).values()
    assert drawing.rows[1]["psnr"] == pytest.approx(float(psnr)) and drawing.rows[1]["ssim"] == pytest.approx(
        float(ssim)
    )
    assert png(drawing).std() > 10
    below = [re.sub(r"\$\\mathbf{(.*?)}\$", r"\1", ax.get_xlabel()) for ax in drawing.figure.axes]
    assert f"ecbsr\n{float(psnr):.2f} / {float(ssim):.4f}" in below and "protocol y" in drawing.figure.get_suptitle()
    title, page = drawing.figure._suptitle.get_window_extent(), drawing.figure.bbox
    assert page.x0 <= title.x0 and title.x1 <= page.x1, "the title is cut off"


def test_the_window_is_where_the_outputs_differ():
    hr = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    one, other = hr.copy(), hr.copy()
    other[16:24, 40:48] //= 4
    top, left, height, width = differing_window(hr, [one, other], 16, 2)
    assert (height, width) == (16, 16) and top <= 16 <= top + 8 and left <= 40 <= left + 8


@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_models_and_lines(pictures, count):
    torch.manual_seed(0)
    models = [Entry(f"m{i}", ESPCN(3)) for i in range(count)]
    for lines in (1, 2, 3):
        drawing = crop_grid(models, pictures[:1], lines=lines, size=15, at=[3, 6])
        whole, *crops = (ax.get_position() for ax in drawing.figure.axes)
        rows = sorted({round(box.y0, 6) for box in crops})
        columns = len({round(box.x0, 6) for box in crops})
        assert len(crops) in (2 + count, 3 + count) and len(rows) <= lines and columns * len(rows) - len(crops) <= 1
        # They fill the height of the image and the width of the page, and none lies on another.
        assert max(box.y1 for box in crops) == pytest.approx(whole.y1)
        assert min(box.y0 for box in crops) == pytest.approx(whole.y0) or whole.width * 10 < 5.6
        assert max(box.x1 for box in crops) == pytest.approx(0.99)
        assert not any(a.overlaps(b) for a, b in itertools.combinations([whole, *crops], 2))


def test_the_best_figures_are_bold_and_images_are_capped(pictures, plain):
    torch.manual_seed(0)
    drawing = crop_grid([plain, Entry("worse", ESPCN(2))], pictures, size=16, most=1)
    told = dict(ax.get_xlabel().split("\n") for ax in drawing.figure.axes if "\n" in ax.get_xlabel())
    for place, metric in enumerate(("psnr", "ssim")):  # each for itself: the best PSNR may have another's SSIM
        best = max(drawing.rows, key=lambda row: row[metric])
        assert [name for name, text in told.items() if "mathbf" in text.split(" / ")[place]] == [best["model"]]
    assert {row["image"] for row in drawing.rows} == {pictures[0].name}
    assert drawing.notes == [f"the first 1 of {len(pictures)} images are drawn: figure.most={len(pictures)} draws all"]


def test_each_image_has_the_box_that_was_chosen(pictures):
    drawing = crop_grid([Entry("bicubic", Bicubic(2))], pictures[:2], size=8, at=[[4, 6], None])
    corner = drawing.figure.axes[0].patches[0].get_xy()
    assert corner == (5.5, 3.5) and len(drawing.figure.axes[3].patches) == 1
    with pytest.raises(UserError, match="2 corners for 1 images"):
        crop_grid([Entry("bicubic", Bicubic(2))], pictures[:1], at=[[4, 6], None])


def test_a_bicubic_that_is_given_is_not_drawn_twice(pictures):
    drawing = crop_grid([Entry("bicubic", Bicubic(2))], pictures[:1], size=16)
    assert [r["model"] for r in drawing.rows] == ["bicubic"]


def test_models_of_two_scales_and_unknown_protocols_are_refused(pictures):
    with pytest.raises(UserError, match="one scale that all"):
        crop_grid([Entry("a", Bicubic(2)), Entry("b", Bicubic(3))], pictures)
    with pytest.raises(UserError, match="protocol"):
        crop_grid([Entry("a", Bicubic(2))], pictures, protocol="z")


def test_a_dollar_sign_in_a_name_is_one(pictures, plain, png):
    """matplotlib would begin a formula, and stop at this one."""
    odd = replace(plain, name="p$\\frac{$q")
    png(crop_grid([odd], [replace(p, name="a$\\frac{$.png") for p in pictures], size=20))


def test_no_image_at_all_is_no_picture():
    with pytest.raises(UserError, match=r"figure\.most=0: at least one"):
        crop_grid([Entry("espcn", ESPCN(2))], [], most=0)
