"""What stands for many images takes no object for each, and is not compared each with each."""

import gc
import os
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr.data import folder
from sr.data.compact import Fingerprint, Paths, Sizes, Texts
from sr.data.folder import Folder
from sr.data.images import Images, LazyImages
from sr.data.leaks import FLAT, NEAR, find_leaks
from sr.data.pairs import ImagePair
from sr.data.pairset import PairSet
from sr.degradation import Degradation, GaussianBlur, GaussianNoise, MatlabBicubic


def test_packed_sequences_are_the_lists_that_they_stand_for(tmp_path):
    names = ["a", "", "ä/ö", "0801"]
    texts, paths = Texts(names), Paths([tmp_path / "a", tmp_path / os.fsdecode(b"\xff.png")])
    assert texts == names and list(texts) == names and texts[-1] == "0801" and texts[::-1] == names[::-1]
    assert texts[1:3] == names[1:3] and texts != names[:3] and not Texts([]) and "ä/ö" in texts
    assert paths == [tmp_path / "a", tmp_path / os.fsdecode(b"\xff.png")] and paths[np.int64(0)] == tmp_path / "a"
    sizes = Sizes([(4, 5), (6, 7)])
    assert sizes == [(4, 5), (6, 7)] and sizes[-1] == (6, 7) and sizes[:1] == [(4, 5)] and len(Sizes([])) == 0
    assert np.array(sizes)[1].tolist() == [6, 7] and type(sizes[0][0]) is int


def test_a_loaders_worker_is_given_as_many_objects_for_many_images_as_for_few(tmp_path):
    def objects(count: int) -> int:
        place = tmp_path / f"{count}"
        place.mkdir()
        for n in range(count):
            pixels = np.random.default_rng(n).integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC).save(place / f"{n:03d}.png")
        data = Folder(root=place, scale=2, patch_size=4, batch_size=2, cache_dir=tmp_path / "cache")
        data.check("fit")
        return sum(1 for _ in pickletools.genops(pickle.dumps(data.patches().pairs)))

    assert abs(objects(60) - objects(12)) < 12  # numbers that take another code


class Frozen:
    def __getitem__(self, _):
        return gc.get_freeze_count()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers share nothing here")
def test_a_workers_collector_leaves_what_it_shares_with_the_first_process(tmp_path):
    data = Folder(root=tmp_path, scale=2, num_workers=1)
    assert next(iter(data._loader(Frozen(), [0]))) > gc.get_freeze_count() + 10_000


def test_a_folder_is_looked_through_once(tmp_path, monkeypatch):
    for n in range(12):
        pixels = np.random.default_rng(n).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
    looks, below = [], folder.images_below
    monkeypatch.setattr(folder, "images_below", lambda path, *more: looks.append(path) or below(path, *more))
    data = Folder(root=tmp_path, scale=2, patch_size=4, batch_size=2, cache_dir=tmp_path / "cache")
    data.check("fit")
    data.pairs("test").verify()
    assert looks == [tmp_path] and len(data.pairs("train")) == 11


def test_links_to_a_folder_that_is_looked_through_lead_nowhere(tmp_path):
    """Sixty of them made 216,000 folders of it; one made each picture count several times."""
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "sub/a.png")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "sub")  # another name is told elsewhere
    for n in range(60):
        (tmp_path / f"l{n}").symlink_to(tmp_path)
        (tmp_path / f"sub/l{n}").symlink_to("..")
    assert set(folder.images_below(tmp_path)) == {Path("elsewhere"), Path("sub")}


@pytest.mark.parametrize("steps", [[], [GaussianBlur([0.5, 2.0]), GaussianNoise([1, 10])]], ids=["bicubic", "random"])
def test_lr_of_many_images_at_once_is_that_of_each_alone(tmp_path, steps):
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((33, 40), (16, 16), (33, 40), (32, 41))]
    paths = [tmp_path / f"{n}.png" for n in range(len(images))]
    for path, pixels in zip(paths, images, strict=True):
        Image.fromarray(pixels).save(path)
    chain = Degradation(2, [*steps, MatlabBicubic(2)])
    pairs = [ImagePair(p.stem, p) for p in paths]
    made = PairSet(pairs, scale=2, degradation=chain, cache_dir=None, label="set", fixed=True).lr
    alone = [made[n] for n in range(len(images))]
    assert all(np.array_equal(a, b.pixels) for a, b in zip(alone, made.pictures(range(len(images))), strict=True))


class Known(Images):
    def __init__(self, thumbnails: np.ndarray) -> None:
        self.paths = LazyImages([f"{n}.png" for n in range(len(thumbnails))]).paths
        self.fingerprints = [Fingerprint(f"{id(self)} {n}", t.reshape(16, 16)) for n, t in enumerate(thumbnails)]


def test_only_neighbours_are_compared_and_nothing_is_missed():
    draw = np.random.default_rng(0)
    train = (draw.integers(0, 256, (700, 1)) + draw.normal(0, 6, (700, 256))).clip(0, 255).astype(np.uint8)
    noise = draw.normal(0, draw.choice([1, 2.9, 3.1, 5], (90, 1)), (90, 256))
    held_out = (train[draw.integers(0, 700, 90)] + noise).clip(0, 255).astype(np.uint8)
    a, b = train.astype(np.float64), held_out.astype(np.float64)
    near = ((a[:, None] - b) ** 2).mean(-1) < NEAR**2
    wanted = np.argwhere(near & (a.std(1) >= FLAT)[:, None] & (b.std(1) >= FLAT)).tolist()
    found = find_leaks(Known(train), Known(held_out))
    assert [[int(p.stem) for p in pair] for pair in found] == wanted and 30 < len(wanted) < 90
