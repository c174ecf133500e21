from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from sr.data.folder import Folder
from sr.data.images import LazyImages
from sr.data.leaks import find_copies, find_leaks, refuse_leaks, refuse_shared
from sr.errors import UserError
from sr.imaging.files import read_image


def lazy(folder: Path) -> LazyImages:
    return LazyImages(sorted(folder.iterdir()))


def test_different_photos_pass(photos: Path, tmp_path: Path, write: Callable[..., Path]) -> None:
    for i in range(5):
        write(tmp_path / "other" / f"p{i}.png", 100 + i)
    assert find_leaks(lazy(photos), lazy(tmp_path / "other")) == []


def test_photos_of_little_contrast_are_told_apart(tmp_path: Path, write: Callable[..., Path]) -> None:
    for seed in range(8):  # as on a misty day: all of them near to the same grey, and yet different photos
        pixels = np.asarray(Image.open(write(tmp_path / "photo.png", seed))).astype(float)
        place = tmp_path / ("train" if seed % 2 else "test") / f"{seed}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray((150 + (pixels - 128) / 8).astype(np.uint8)).save(place)
    assert find_leaks(lazy(tmp_path / "train"), lazy(tmp_path / "test")) == []


@pytest.mark.parametrize("kind", ["copy.png", "copy.jpg", "half.png", "mirrored.png", "turned.jpg"])
def test_copies_are_found_under_any_name(photos: Path, tmp_path: Path, write: Callable[..., Path], kind: str) -> None:
    write(tmp_path / "other" / "a.png", 100)
    source = Image.open(write(photos / "p1.png", 1, 160, 200))
    if kind == "half.png":
        source = source.resize((source.width // 2, source.height // 2), Image.Resampling.BICUBIC)
    if kind == "mirrored.png":  # as training shows it, too
        source = ImageOps.mirror(source)
    if kind == "turned.jpg":
        source = ImageOps.mirror(source).rotate(90, expand=True)
    source.save(tmp_path / "other" / kind, quality=70)
    assert find_leaks(lazy(photos), lazy(tmp_path / "other")) == [(photos / "p1.png", tmp_path / "other" / kind)]
    thumbnails = np.array([f.thumbnail.ravel() for f in lazy(photos).fingerprints])  # of what is not at hand any more
    assert find_copies(set(), thumbnails, lazy(tmp_path / "other")) == [tmp_path / "other" / kind]


def test_flat_images_are_not_taken_for_each_other(tmp_path: Path) -> None:
    for name, level in (("a/sky.png", 200), ("b/wall.png", 201)):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.full((40, 40, 3), level, np.uint8)).save(tmp_path / name)
    assert find_leaks(lazy(tmp_path / "a"), lazy(tmp_path / "b")) == []
    assert find_leaks(lazy(tmp_path / "a"), lazy(tmp_path / "a")) != []


def test_the_error_names_both_files_and_the_way_out(photos: Path) -> None:
    with pytest.raises(UserError) as error:
        refuse_shared({"mine": lazy(photos)}, {"Set5": LazyImages([photos / "p2.png"])})
    message = str(error.value)
    assert message.count("p2.png") == 2 and "Set5" in message and "data.check_leaks=false" in message


def test_leaks_that_are_allowed_are_told(folder: Callable[..., Folder], photos: Path, caplog) -> None:
    data = folder(root=None, train=photos, val=photos, check_leaks=False)
    data.setup("fit")
    assert "7 training images are also in the data to measure on" in caplog.text
    caplog.clear()
    refuse_leaks(data, [folder(root=None, test=photos)])
    assert "the figures flatter the result" in caplog.text


def test_training_on_the_validation_images_is_refused(folder: Callable[..., Folder], photos: Path) -> None:
    with pytest.raises(UserError, match="also in the data to measure on"):
        folder(root=None, train=photos, val=photos).check("fit")
    folder(root=None, train=photos, val=photos, check_leaks=False).check("fit")


def test_test_sets_of_other_modules_are_compared(folder: Callable[..., Folder], photos: Path, tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    train = folder(root=None, train=photos)
    name = train.train_pairs()[0].hr
    Image.fromarray(read_image(name).pixels).save(tmp_path / "test" / "x.jpg", quality=80)
    test = folder(root=None, test=tmp_path / "test")
    with pytest.raises(UserError, match=name.name):
        refuse_leaks(train, [test])
    refuse_leaks(folder(root=None, train=photos, check_leaks=False), [test])
