"""LR in folders of any name is plain bicubic where its pixels are."""

import numpy as np
import pytest
import torch
from conftest import photo
from PIL import Image

import sr
from sr.data import pairset
from sr.data.as_bicubic import is_bicubic
from sr.data.folder import Folder
from sr.data.pairset import Pairs
from sr.scores.published import comparable, lr_of


def shrunk(hr: np.ndarray, scale: int, **how) -> np.ndarray:
    return sr.imresize(torch.from_numpy(hr).movedim(-1, 0), 1 / scale, **how).movedim(0, -1).numpy()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("how", [{}, {"edge": "replicate"}, {"quantize_intermediate": False}], ids=str)
def test_as_the_public_files_are_made(scale, how):
    hr = photo(49, 62)
    hr = hr[: 49 // scale * scale, : 62 // scale * scale]
    lr = shrunk(hr, scale, **how)
    assert is_bicubic(lr, hr, scale) and is_bicubic(lr, np.pad(hr, ((0, 1), (0, 1), (0, 0))), scale)
    lr[3, 4, 1] ^= 2
    assert not is_bicubic(lr, hr, scale)


def test_a_large_picture_is_looked_at_somewhere_and_a_level_here_and_there_is_another(monkeypatch):
    """A level everywhere, on purpose, gave a network 1 dB, and it stood beside the papers' figures."""
    hr = np.tile(photo(100, 100), (9, 11, 1))
    lr = shrunk(hr, 2)
    assert all(is_bicubic(lr, hr, 2) for _ in range(5))
    few, many = lr.astype(int), lr.astype(int)
    few[100, 100] += 1
    many[::9, ::9] += 1
    assert is_bicubic(few.clip(0, 255).astype(np.uint8), hr, 2) and not is_bicubic(many.astype(np.uint8), hr, 2)
    for begin in (lambda n: 0, lambda n: n - 1):
        monkeypatch.setattr("sr.data.as_bicubic.secrets.randbelow", begin)
        assert is_bicubic(lr, hr, 2), "at every edge"


def test_other_bicubics_and_other_sizes_are_not():
    hr = photo(48, 64)
    assert not is_bicubic(np.asarray(Image.fromarray(hr).resize((32, 24), Image.Resampling.BICUBIC)), hr, 2)
    assert not is_bicubic(shrunk(hr, 2)[:-2], hr[:40], 2)


def test_which_pairs_of_a_large_set_are_looked_at_nobody_knows_before(monkeypatch):
    """Of Vimeo-90K each 55th was, and all the others could be made so that networks do better on them."""

    class Few(Pairs):
        names = tuple("abcdef")

        def whole(self, index):
            hr = photo(24, 24, index)
            return shrunk(hr, 2) // (1 if index % 3 else 2), hr, False

    monkeypatch.setattr(pairset, "SEEN", 2)
    assert {Few().plain_lr for _ in range(60)} == {True, False}


@pytest.mark.parametrize("folder", ["small", "LR_bicubic"])
@pytest.mark.parametrize(("last", "known"), [("plain", True), ("blurred", False)])
def test_a_folder_of_any_name_is_known_by_its_pixels_once_it_is_opened(tmp_path, last, known, folder):
    for place in ("hr", f"{folder}/x2"):
        (tmp_path / place).mkdir(parents=True)
    for seed in range(2):
        hr = photo(48, 64, seed)
        Image.fromarray(hr).save(tmp_path / f"hr/{seed}.png")
        small = Image.fromarray(shrunk(hr, 2))
        if seed and last == "blurred":
            small = Image.fromarray(hr).resize((32, 24), Image.Resampling.BILINEAR)
        small.save(tmp_path / f"{folder}/x2/{seed}.png")
    data = Folder(test=tmp_path / "hr", test_lr=tmp_path / f"{folder}/x2", scale=2, cache_dir=tmp_path / "cache")
    named = folder == "LR_bicubic"
    assert lr_of(data) == ("bicubic, " if named else "") + f"read from {folder}/x2"
    data.setup("test")
    told = "" if known or not named else ", which is not HR as MATLAB shrinks it"
    assert lr_of(data) == ("bicubic, " if known else "") + f"read from {folder}/x2{told}" and comparable(data) == known
