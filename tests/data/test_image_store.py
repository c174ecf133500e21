import errno
import json
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from at_once import at_once
from owners import SOMEBODY, US, owned
from PIL import Image

from sr.data import cache, images, pairset
from sr.data.belonging import looked_at
from sr.data.benchmarks import Set5
from sr.data.cache import ImageStore
from sr.data.images import DerivedImages, Images, LazyImages, fingerprint, packed, planes, unpacked
from sr.errors import UserError
from sr.imaging.files import Picture, read_image


class Counting(LazyImages):
    """Counts what it decodes."""

    decoded = 0

    def picture(self, index: int) -> Picture:
        self.decoded += 1
        return super().picture(index)


def files_of(photos: Path) -> list[Path]:
    return sorted(photos.iterdir())


def left_behind(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.suffix != ".lock"] if folder.exists() else []


def test_store_equals_the_files(photos: Path, tmp_path: Path) -> None:
    files = files_of(photos)
    store, lazy = ImageStore(LazyImages(files), tmp_path / "cache"), LazyImages(files)
    assert len(store) == len(lazy) == 7
    for i, path in enumerate(files):
        assert np.array_equal(store[i], read_image(path).pixels) and np.array_equal(store[i], lazy[i])
        assert store.size(i) == lazy.size(i) == store[i].shape[:2]
        assert store.fingerprints[i].digest == fingerprint(store[i]).digest == lazy.fingerprints[i].digest
        assert np.array_equal(store.fingerprints[i].thumbnail, lazy.fingerprints[i].thumbnail)
        assert store.fingerprints[i].thumbnail.shape == (16, 16) and not store[i].flags.writeable
        assert store.picture(i).grey == lazy.picture(i).grey == (i == 3)


def test_pixels_are_known_however_they_lie() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 21, 3), np.uint8)  # more rows than are turned at once
    in_planes = planes(packed(pixels))
    assert np.array_equal(in_planes, pixels.transpose(2, 0, 1)) and in_planes.flags.c_contiguous
    laid = [pixels, in_planes.transpose(1, 2, 0), unpacked(packed(pixels))]
    thumbnail = np.asarray(Image.fromarray(pixels).convert("L").resize((16, 16), Image.Resampling.BOX))
    assert len({fingerprint(x).digest for x in laid}) == 1
    assert all(np.array_equal(fingerprint(x).thumbnail, thumbnail) for x in laid)


def test_nothing_is_decoded_twice(photos: Path, tmp_path: Path) -> None:
    first, second = Counting(files_of(photos)), Counting(files_of(photos))
    ImageStore(first, tmp_path / "cache")
    ImageStore(second, tmp_path / "cache")
    assert (first.decoded, second.decoded) == (7, 0)


def test_what_a_killed_process_left_is_removed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    index = ImageStore(LazyImages(files_of(photos)), tmp_path / "cache").index_path
    index.unlink()
    for left in (f".{index.stem}-0badc0de.123.part.bin", f".{index.stem}.45.part.json"):
        (tmp_path / "cache" / left).write_bytes(b"half")
    (tmp_path / "cache/.other-0.1.part.bin").write_bytes(b"another set's, which is written now")
    ImageStore(LazyImages(files_of(photos)), tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").glob(".*")] == [".other-0.1.part.bin"]


def test_a_changed_file_makes_the_store_anew(photos: Path, tmp_path: Path, write: Callable[..., Path]) -> None:
    files = files_of(photos)
    ImageStore(LazyImages(files), tmp_path / "cache")
    write(files[2], 99)
    assert np.array_equal(ImageStore(LazyImages(files), tmp_path / "cache")[2], read_image(files[2]).pixels)
    os.utime(files[0], ns=(1, 1))  # same bytes, another time: who knows
    again = Counting(files)
    ImageStore(again, tmp_path / "cache")
    assert again.decoded == 7
    assert len([n for n in left_behind(tmp_path / "cache") if n.endswith(".bin")]) == 1


@pytest.mark.parametrize("damage", ["truncate", "zero", "bit", "garbage", "remove"])
def test_a_damaged_store_is_made_anew(
    photos: Path, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = files_of(photos)
    store = ImageStore(LazyImages(files), tmp_path / "cache")
    pixels = next((tmp_path / "cache").glob("*.bin"))
    if damage == "truncate":
        os.truncate(pixels, 100)
    elif damage in ("zero", "bit"):
        content, before = bytearray(pixels.read_bytes()), pixels.stat()
        content[-2] ^= 1  # the last byte is the empty one of the last pixel
        pixels.write_bytes(content if damage == "bit" else bytes(len(content)))
        os.utime(pixels, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif damage == "garbage":
        store.index_path.write_text("{")
    else:
        pixels.unlink()
    assert np.array_equal(ImageStore(LazyImages(files), tmp_path / "cache")[6], read_image(files[6]).pixels)
    assert (f"{pixels} is damaged: the images of images are decoded anew" in caplog.text) == (
        damage in ("truncate", "zero", "bit")
    )


def test_tiffs_are_decoded_anew_where_they_are_read_otherwise_now(photos: Path, tmp_path: Path, monkeypatch) -> None:
    Image.open(files_of(photos)[0]).save(tmp_path / "a.tif")
    decoded = []
    for number, suffix in ((cache.OF_TIFF, "tif"), (cache.OF_TIFF + 1, "tif"), (cache.OF_TIFF + 1, "tif")):
        monkeypatch.setattr(cache, "OF_TIFF", number)
        source = Counting([tmp_path / f"a.{suffix}"])
        ImageStore(source, tmp_path / "cache")
        decoded.append(source.decoded)
    assert decoded[1] and not decoded[2]


def test_an_index_under_the_name_of_another_one_is_not_taken(photos: Path, tmp_path: Path) -> None:
    """Who may rename files in a shared cache gave others LR of another degradation, under its label."""
    hr = ImageStore(LazyImages(sorted(photos.glob("*.png"))), tmp_path / "cache", "HR")

    def made(value: int) -> ImageStore:
        derived = DerivedImages(hr, lambda _, all_of: [unpacked(one) // value for one in all_of], f"by {value}")
        return ImageStore(derived, tmp_path / "cache", "LR")

    by_2, by_3 = made(2), made(3)
    wanted = by_2[0].copy()
    by_3.index_path.rename(by_2.index_path)
    assert np.array_equal(made(2)[0], wanted)


def test_other_pixels_of_the_same_size_and_time_are_seen(photos: Path, tmp_path: Path) -> None:
    files = [tmp_path / "0.bmp", tmp_path / "1.bmp"]  # whose size does not tell the pixels
    for number, file in enumerate(files):
        Image.fromarray(np.full((20, 30, 3), 50 * number, np.uint8)).save(file)
    lr = [Path(shutil.copy(file, file.with_suffix(".lr.bmp"))) for file in files]
    store = ImageStore(LazyImages(files), tmp_path / "cache")
    assert store[0].max() == 0
    looked_at(store, LazyImages(lr), [0, 1], 1, tmp_path / "cache")
    before = files[0].stat()
    Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save(files[0])
    os.utime(files[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (files[0].stat().st_size, files[0].stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    store = ImageStore(LazyImages(files), tmp_path / "cache")
    assert store[0].min() == 200
    looked_at(store, LazyImages(lr), [0, 1], 1, tmp_path / "cache")
    assert len([*(tmp_path / "cache").glob("pairs-*.json")]) == 2, "the pairs were looked at anew"


@pytest.mark.parametrize("told", ["another user's", "text", "number", "nothing"])
def test_what_was_found_of_pairs_is_believed_of_this_user_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    hr = LazyImages(files_of(photos)[:2])
    lr = LazyImages([Path(shutil.copy(file, tmp_path / file.name)) for file in hr.paths[::-1]])
    found = looked_at(hr, lr, [0, 1], 1, tmp_path / "cache")
    assert len(found.wrong) == 2
    (kept,) = (tmp_path / "cache").glob("pairs-*.json")
    forged = {"another user's": [], "text": "x", "number": [1], "nothing": None}
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"wrong": forged[told], "suspicious": []}))
    if told == "another user's":
        assert not looked_at(hr, lr, [0, 1], 1, tmp_path / "cache").wrong
        owned(monkeypatch, lambda path: SOMEBODY if path == kept else US)
    assert looked_at(hr, lr, [0, 1], 1, tmp_path / "cache") == found


def test_a_copied_cache_is_read_again(photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = files_of(photos)
    ImageStore(LazyImages(files), tmp_path / "cache")
    pixels = next((tmp_path / "cache").glob("*.bin"))
    shutil.copy(pixels, tmp_path / "copy")
    os.replace(tmp_path / "copy", pixels)
    source = Counting(files)
    assert np.array_equal(ImageStore(source, tmp_path / "cache")[6], read_image(files[6]).pixels)
    assert source.decoded == 0 and "damaged" not in caplog.text
    reads: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "digest", lambda _: reads.append(1))
        ImageStore(Counting(files), tmp_path / "cache")
    assert reads == [], "what was verified once is known by its file's state"


def test_the_map_survives_pickling(photos: Path, tmp_path: Path) -> None:
    store = ImageStore(LazyImages(files_of(photos)), tmp_path / "cache")
    expected = store[1].copy()
    message = pickle.dumps(store)
    assert len(message) < 20_000  # the pixels stay where they are
    assert np.array_equal(pickle.loads(message)[1], expected)


def test_derived_images_are_stored_under_their_own_key(photos: Path, tmp_path: Path) -> None:
    hr = ImageStore(LazyImages(files_of(photos)), tmp_path / "cache")

    def half(paths: Sequence[Path], images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [unpacked(words)[::2, ::2] for words in images]

    made = DerivedImages(hr, half, "half", shrink=2)
    store = ImageStore(made, tmp_path / "cache")
    others = DerivedImages(hr, lambda _, images: [unpacked(w)[1::2, 1::2] for w in images], "other half", shrink=2)
    other = ImageStore(others, tmp_path / "cache")
    assert np.array_equal(store[4], hr[4][::2, ::2]) and np.array_equal(other[4], hr[4][1::2, 1::2])
    assert store.size(4) == made.size(4) and store.picture(3).grey and not store.picture(4).grey


class Room(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_said_before_decoding(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Room(100, 99, 1))
    source = Counting(files_of(photos))
    with pytest.raises(UserError, match="cache_dir="):
        ImageStore(source, tmp_path / "cache")
    assert source.decoded == 0 and left_behind(tmp_path / "cache") == []


def test_a_failed_build_leaves_nothing(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_of(photos)
    files[5].write_bytes(files[5].read_bytes()[:200])
    with pytest.raises(UserError, match=r"p5\.png"):
        ImageStore(LazyImages(files), tmp_path / "cache")
    assert left_behind(tmp_path / "cache") == []

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", fail)
    with pytest.raises(UserError, match="No space left"):
        ImageStore(LazyImages(files[:3]), tmp_path / "cache")
    assert left_behind(tmp_path / "cache") == []


def test_a_folder_that_cannot_be_written(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cache_dir="):
        ImageStore(LazyImages(files_of(photos)), tmp_path / "file")


class Slow(LazyImages):
    """Writes a mark for each image that it decodes, and takes its time."""

    def picture(self, index: int) -> Picture:
        with Path(os.environ["DECODED_LOG"]).open("a") as log:
            log.write(f"{index}\n")
        multiprocessing.Event().wait(0.05)
        return super().picture(index)


def _race(files: list[Path], folder: Path, gate: Any, answers: Any) -> None:
    gate.wait()
    answers.put([int(image.sum()) for image in _all(ImageStore(Slow(files), folder))])


def _all(images: Images) -> list[np.ndarray]:
    return [images[i] for i in range(len(images))]


def test_two_processes_make_it_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODED_LOG", str(tmp_path / "decoded.txt"))
    files, context = files_of(photos), multiprocessing.get_context("fork")
    gate, answers = context.Barrier(2), context.Queue()
    arguments = (files, tmp_path / "cache", gate, answers)
    processes = [context.Process(target=_race, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    sums = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sums[0] == sums[1] == [int(read_image(f).pixels.sum()) for f in files]
    assert sorted((tmp_path / "decoded.txt").read_text().split()) == [str(i) for i in range(7)]


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (2, 4, 4, 3)])
def test_words_hold_the_pixels_and_an_empty_byte(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for one in (pixels, pixels[::-1]):
        words = packed(one)
        assert words.dtype == np.int32 and np.array_equal(unpacked(words), one)
        assert (words[..., None].view(np.uint8)[..., 3] == 0).all()


def test_a_measured_set_is_decoded_once(
    tmp_path: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model, in this command or a later one, reads what was decoded; what changed is decoded anew."""
    for i in range(2):
        write(tmp_path / f"Set5/HR/{i}.png", i)

    def measured(cache: str = "cache") -> list[Any]:
        data = Set5(data_dir=tmp_path, scale=2, cache_dir=tmp_path / cache)
        data.check("test")
        return [*data.test_dataloader(), *data.test_dataloader()]

    def same(one: list[Any], other: list[Any]) -> bool:
        return all(torch.equal(a.lr, b.lr) and torch.equal(a.hr, b.hr) for a, b in zip(one, other, strict=True))

    decoded: list[Path] = []
    read = images.read_image
    monkeypatch.setattr(images, "read_image", lambda path: decoded.append(path) or read(path))
    first = measured()
    assert len(decoded) == 2
    assert same(first, measured()) and len(decoded) == 2
    write(tmp_path / "Set5/HR/1.png", 7)
    assert not same(first, again := measured()) and len(decoded) == 4
    with monkeypatch.context() as little:  # room: each is decoded when it is asked for
        little.setattr(pairset, "ROOM", 0)
        assert same(again, measured()) and len(decoded) == 4, "what is there needs none"
        assert same(again, measured("other")) and len(decoded) > 4
        assert {p.suffix for p in (tmp_path / "other").iterdir()} <= {".lock"}
    (tmp_path / "file").write_text("")
    assert same(again, measured("file"))  # no folder can be made there


def decoded_anew(photos: Path, folder: Path) -> bool:
    source = Counting(files_of(photos))
    assert np.array_equal(ImageStore(source, folder)[6], read_image(files_of(photos)[6]).pixels)
    return source.decoded == 7


def test_a_cache_s_links_are_not_written_through(photos: Path, tmp_path: Path) -> None:
    ImageStore(LazyImages(files_of(photos)), tmp_path / "first")
    other, victim = tmp_path / "other", tmp_path / "victim"
    other.mkdir()
    victim.write_text("precious")
    for file in (tmp_path / "first").glob("*"):
        (other / f"{file.name}.tmp").symlink_to(victim)
        if file.suffix != ".lock":
            (other / file.name).symlink_to(victim)
    assert decoded_anew(photos, other) and victim.read_text() == "precious"


@pytest.mark.parametrize("place", ["absolute", "above", "link"])
def test_pixels_outside_the_cache_are_not_read(photos: Path, tmp_path: Path, place: str) -> None:
    store = ImageStore(LazyImages(files_of(photos)), tmp_path / "cache")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(store.pixels_path.stat().st_size))
    if place == "link":
        store.pixels_path.unlink()
        store.pixels_path.symlink_to(secret)
    name = {"absolute": str(secret), "above": "../secret.bin", "link": store.pixels_path.name}[place]
    index = json.loads(store.index_path.read_text()) | {"pixels": name, "written": cache._written(secret)}
    store.index_path.write_text(json.dumps(index))
    assert decoded_anew(photos, tmp_path / "cache")


@pytest.mark.parametrize("suffix", [".json", ".bin"])
@pytest.mark.parametrize("owner", ["us", "the images'", "another"])
def test_what_another_user_wrote_into_a_cache_is_decoded_anew(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str, suffix: str
) -> None:
    assert decoded_anew(photos, tmp_path / "cache")
    users = {"us": US, "the images'": 1001, "another": SOMEBODY}

    def of(path: Path) -> int:
        if path.parent.name != "cache":
            return 1001
        return users[owner] if path.suffix == suffix and "-of-" not in path.name else US

    owned(monkeypatch, of)
    before = {p: p.read_bytes() for p in (tmp_path / "cache").iterdir()}
    assert decoded_anew(photos, tmp_path / "cache") == (owner == "another")
    if suffix == ".json":  # theirs is left to them, and ours is read again
        assert not decoded_anew(photos, tmp_path / "cache")
        assert {p: p.read_bytes() for p in before} == before


def test_what_others_may_write_is_decoded_for_this_user(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With umask 002, in a group's folder: a colleague could change the pixels in place, and what the index says."""
    monkeypatch.setattr("sr.bounded._alone", lambda group: False)
    folder, former = tmp_path / "cache", os.umask(0o002)
    try:
        assert decoded_anew(photos, folder) and not decoded_anew(photos, folder)
    finally:
        os.umask(former)
    files = [p for p in folder.iterdir() if p.suffix in (".json", ".bin")]
    assert {p.stat().st_mode & 0o777 for p in files} == {0o644}
    for file in files:
        file.chmod(0o664)  # of an earlier version
    assert decoded_anew(photos, folder) and not decoded_anew(photos, folder)


def test_images_that_changed_since_another_user_decoded_them_are_decoded_for_this_user(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can write another's files in a cache of several people: "Permission denied. Free some room", it said."""
    folder = tmp_path / "cache"
    assert decoded_anew(photos, folder)
    owned(monkeypatch, lambda path: US if "-of-" in path.name else 1001)
    assert not decoded_anew(photos, folder)
    os.utime(files_of(photos)[0], ns=(1, 1))
    theirs = {p: p.read_bytes() for p in folder.iterdir()}
    assert decoded_anew(photos, folder) and not decoded_anew(photos, folder)
    assert {p: p.read_bytes() for p in theirs} == theirs


@pytest.mark.parametrize("odd", ["pipe", "large", "nested"])
def test_an_index_that_is_none_is_not_waited_for(photos: Path, tmp_path: Path, odd: str) -> None:
    index = ImageStore(LazyImages(files_of(photos)), tmp_path / "cache").index_path
    index.unlink()
    if odd == "pipe":
        os.mkfifo(index)
    elif odd == "large":
        index.touch()
        os.truncate(index, 6 << 30)
    else:
        index.write_text("[" * 20_000)
    with at_once():
        assert decoded_anew(photos, tmp_path / "cache")
