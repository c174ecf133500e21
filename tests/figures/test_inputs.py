"""Photos, windows and the scale that models share."""

import numpy as np
import pytest
import torch

from sr.errors import UserError
from sr.figures.inputs import answer, common_scale, placed_window, read_photos, smooth_window
from sr.imaging.color import to_array
from sr.imaging.resize import imresize
from sr.measuring.scoring import Entry
from sr.models.bicubic import Bicubic
from sr.models.mdsr import MDSR


def test_photos_come_from_files_and_folders_in_order(tmp_path, photos):
    files = photos(tmp_path / "a", 2)
    other = photos(tmp_path / "b", 1, first=7)
    assert [p.name for p in read_photos([tmp_path / "b", files[1]])] == [other[0].stem, files[1].stem]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no image in this folder"):
        read_photos([tmp_path / "empty"])
    with pytest.raises(UserError, match=r"no image in this folder, only 3 sub-folders\. Type the path of a folder"):
        read_photos([tmp_path])
    with pytest.raises(UserError, match="no image file"):
        read_photos([tmp_path / "absent.png"])
    (tmp_path / "a.MP4").write_bytes(b"film")
    with pytest.raises(UserError, match=r"a\.MP4 is a film, and a figure is drawn of frames: give the folder"):
        read_photos([tmp_path / "a.MP4"])


def test_lr_is_matlabs_of_the_cropped_image(pictures):
    photo = pictures[0]
    assert photo.cropped(5).pixels.shape[-2:] == (70, 95)
    wanted = imresize(photo.pixels[..., :70, :95], 1 / 5).float() / 255
    assert torch.equal(photo.lr(5), wanted)
    assert np.array_equal(to_array(photo.floats), photo.array)
    with pytest.raises(UserError, match="smaller than the scale"):
        photo.cropped(100)


def test_the_smooth_window_is_where_nothing_happens():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    image[8:24, 30:46] = 77
    assert smooth_window(image, 16, 2) == (8, 30, 16, 16)
    image[20:40, 0:20] = 3  # darker is smoother still, but says nothing about colours
    assert smooth_window(image, 16, 2) == (8, 30, 16, 16)


def test_a_typed_window_stays_inside_and_on_the_grid():
    image = np.zeros((40, 61, 3), np.uint8)
    assert placed_window(image, [39, 7], 16, 4) == (24, 4, 16, 16)
    with pytest.raises(UserError, match=r"\[top, left\] inside an image of 40 x 61"):
        placed_window(image, [40, 0], 16, 4)
    with pytest.raises(UserError, match="top, left"):
        placed_window(image, [3], 16, 4)


def test_common_scale():
    two, four, many = Entry("two", Bicubic(2)), Entry("four", Bicubic(4)), Entry("many", MDSR([2, 3, 4], 1, 4))
    assert common_scale([two, many], None) == 2
    assert common_scale([many], 3) == 3
    with pytest.raises(UserError, match=r"type scale=2.*many: 2, 3, 4"):
        common_scale([many], None)
    with pytest.raises(UserError, match=r"one scale that all models are made for.*two: 2; four: 4"):
        common_scale([two, four], None)
    with pytest.raises(UserError, match="scale=3, but"):
        common_scale([two], 3)


def test_a_scale_that_was_not_trained_is_told_and_not_advised(caplog):
    many = Entry("many", MDSR([2, 3, 4], 1, 4))
    many.model.metadata = {"config": {"scale": 4}}
    assert common_scale([many], None) == 4 and not caplog.text
    assert common_scale([many], 2) == 2 and "scale=2: many was not trained for it" in caplog.text
    many.model.metadata = {"config": {"scale": [3, 4]}}
    with pytest.raises(UserError, match="type scale=3, for example"):
        common_scale([many], None)


def test_answer_leaves_the_mode_and_gives_no_gradient(pictures):
    model = Bicubic(2).train()
    found = answer(model, pictures[0].lr(2), 2)
    assert model.training and not found.requires_grad and found.shape == (1, 3, 72, 96)
