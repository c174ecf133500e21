"""LR files that belong to another image are found, and those that were degraded on purpose are left in peace."""

import logging
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from sr.data.clip_folder import ClipFolder
from sr.data.folder import Folder
from sr.data.frame_order import shown_instead
from sr.data.images import fingerprint
from sr.errors import UserError
from sr.imaging.resize import imresize

Make = Callable[[np.ndarray, int], np.ndarray]
RNG = np.random.default_rng(0)


def scene(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    """(H, W, 3) uint8 with structure of all sizes, as photos have."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128.0)
    for cells in (3, 6, 12, 25, 50, 100):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        image += (np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float) - 128) * 0.75 / cells**0.4
    return image.clip(0, 255).astype(np.uint8)


def shrunk(hr: np.ndarray, scale: int = 4) -> np.ndarray:
    return imresize(torch.from_numpy(hr.copy()).movedim(-1, 0), 1 / scale).movedim(0, -1).numpy()


def realistic(hr: np.ndarray, seed: int) -> np.ndarray:
    """As in the NTIRE tracks of 2018: moved by up to ten HR pixels, blurred and noisy."""
    rng = np.random.default_rng(seed)
    blurred = Image.fromarray(np.roll(hr, tuple(rng.integers(-10, 11, 2)), (0, 1))).filter(ImageFilter.GaussianBlur(3))
    return (shrunk(np.asarray(blurred)) + rng.normal(0, 25, (40, 50, 3))).clip(0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=40)
    return np.asarray(Image.open(file))


@pytest.fixture
def opened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """opened(make, suffix) -> what is told about pairs whose LR is make(HR, number), in training and in measuring."""

    def build(make: Make, suffix: str = "x4", **settings: Any) -> str:
        (tmp_path / "HR").mkdir(exist_ok=True)
        (tmp_path / "LR").mkdir(exist_ok=True)
        for i in range(3):
            Image.fromarray(scene(i)).save(tmp_path / f"HR/{i}.png")
            Image.fromarray(make(scene(i), i)).save(tmp_path / f"LR/{i}{suffix}.png")
        given = {"scale": 4, "patch_size": 8, "batch_size": 1, "cache_dir": tmp_path / "cache", **settings}
        told = []
        for parts in ({"train": tmp_path / "HR", "train_lr": tmp_path / "LR", "val_share": 0},) * 2 + (
            {"test": tmp_path / "HR", "test_lr": tmp_path / "LR"},
        ):
            caplog.clear()
            data = Folder(**parts, **given)
            try:
                data.pairs("train") if "train" in parts else data.check("test")
                told.append(caplog.text)
            except UserError as error:
                told.append(f"error: {error}")
                assert "for each model anew" not in caplog.text, "a refusal is no want of room"
        assert bool(told[0]) == bool(told[1]) == bool(told[2]), told  # also when nothing is decoded any more
        return told[1]

    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.INFO, "sr.data.pairset")
    return build


def test_frames_that_come_too_late_are_a_warning(opened: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is near enough to its own HR, as motion is small: 1.2 dB were lost without a word."""
    moving = scene(0, 160, 260)
    monkeypatch.setitem(globals(), "scene", lambda i: moving[:, 8 + 2 * i : 208 + 2 * i])
    assert not opened(lambda hr, i: shrunk(hr))
    told = opened(lambda hr, i: shrunk(scene(i + 1)))
    assert "3 LR files" in told and "LR/0x4.png shows 1.png, not 0.png\n" in told and "1x4.png shows 2.png" in told
    assert "LR/2x4.png shows 1.png, not 2.png\n" in opened(lambda hr, i: shrunk(scene(i - 1) if i else hr))


def clips(shared: Path) -> list[Path]:
    video = shared / "data/video"
    return [*(video / "Vid4/GT").iterdir(), *(video / "Vimeo90K_sample/sequences").glob("*/*")]


def told_of(root: Path, order: Callable[[str, int], int], caplog: pytest.LogCaptureFixture, scale: int = 4) -> str:
    """What is said of the clips below root/HR where LR n shows frame order(clip, n)."""
    for clip in (root / "HR").iterdir():
        files = sorted(clip.iterdir())
        for n, file in enumerate(files):
            target = root / "LR" / clip.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shown = np.asarray(Image.open(files[min(max(order(clip.name, n), 0), len(files) - 1)]).convert("RGB"))
            h, w = (side // scale * scale for side in shown.shape[:2])
            Image.fromarray(shrunk(shown[:h, :w], scale)).save(target, compress_level=1)
    caplog.clear()
    ClipFolder(test=root / "HR", test_lr=root / "LR", scale=scale, cache_dir=root / "cache").check("test")
    return caplog.text


@pytest.fixture
def two_clips(tmp_path: Path) -> Path:
    """Motion of a few pixels a frame, and no two alike."""
    for name, seed, step in (("a", 0, 3), ("b", 1, 2)):
        (tmp_path / "HR" / name).mkdir(parents=True)
        for n in range(12):
            place = step * n + n % 2
            Image.fromarray(scene(seed, 160, 260)[:, place : place + 200]).save(tmp_path / f"HR/{name}/{n:02d}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("order", "wrong"),
    [
        (lambda clip, n: n, []),
        (lambda clip, n: n - (clip == "b"), [("b", n, n - 1) for n in range(1, 12)]),
        (lambda clip, n: n + 2 * (clip == "a"), [("a", n, n + 2) for n in range(10)]),
        (lambda clip, n: n - (clip == "a" and n > 5), [("a", n, n - 1) for n in range(6, 12)]),
        (lambda clip, n: {3: 5, 5: 3}.get(n, n) if clip == "a" else n, [("a", 3, 5), ("a", 5, 3)]),
        (lambda clip, n: {4: 5, 5: 4}.get(n, n) if clip == "b" else n, [("b", 4, 5), ("b", 5, 4)]),
    ],
    ids=["right", "late", "two early", "late from a dropped frame on", "exchanged", "neighbours exchanged"],
)
def test_a_clips_frames_are_judged_by_themselves(
    two_clips: Path, order: Callable[[str, int], int], wrong: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """They were told only where more than 80 % of all frames of the set were late."""
    told = told_of(two_clips, order, caplog)
    shown = {(c, int(n), int(m)) for c, n, m in re.findall(r"LR/(\w)/(\d+)\.png shows (\d+)\.png", told)}
    assert {*wrong[:5]} <= shown <= {*wrong, ("a", 10, 11)} and bool(told) == bool(wrong), told
    assert (f"{len(wrong)} LR files" in told or f"{len(wrong) + 1} LR files" in told) == bool(wrong), told


@pytest.mark.parametrize("apart", [0, 0.05], ids=["still", "nearly still"])
@pytest.mark.parametrize("noise", [0, 5, 25])
def test_right_lr_of_still_clips_is_left_in_peace(apart: float, noise: float) -> None:
    rng, still = np.random.default_rng(0), scene(0).astype(float)
    for frames in (2, 3, 7, 30):
        hr = [(still + n * apart + rng.normal(0, 2 * (apart > 0), still.shape)).clip(0, 255) for n in range(frames)]
        large = [h.astype(np.uint8) for h in hr]
        small = [(shrunk(h) + rng.normal(0, noise, (40, 50, 3))).clip(0, 255).astype(np.uint8) for h in large]
        lr, own = (np.array([fingerprint(np.ascontiguousarray(p)).thumbnail for p in each]) for each in (small, large))
        assert shown_instead(lr, own) == {}, frames


@pytest.mark.shared
@pytest.mark.parametrize("scale", [2, 4])
def test_real_clips(shared: Path, scale: int) -> None:
    """Right LR is left in peace, clean or noisy; LR late or early by one, and any two that are exchanged, are told."""
    rng = np.random.default_rng(0)
    for clip in clips(shared):
        large = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(clip.glob("*.png"))]
        low = [shrunk(p[: len(p) // scale * scale, : p.shape[1] // scale * scale], scale) for p in large]
        noisy = [(p + rng.normal(0, 15, p.shape)).clip(0, 255).astype(np.uint8) for p in low]
        hr, lr, rough = (
            np.array([fingerprint(np.ascontiguousarray(p)).thumbnail for p in each]) for each in (large, low, noisy)
        )
        last = len(hr) - 1
        assert shown_instead(lr, hr) == {} == shown_instead(rough, hr), clip
        assert shown_instead(lr[[0, *range(last)]], hr) == {n: n - 1 for n in range(1, last + 1)}, clip
        assert shown_instead(lr[[*range(1, last + 1), last]], hr) == {n: n + 1 for n in range(last)}, clip
        for i, j in ((2, 3), (1, 5)):
            order = [{i: j, j: i}.get(n, n) for n in range(last + 1)]
            assert {i: j, j: i}.items() <= shown_instead(lr[order], hr).items(), (clip, i, j)


@pytest.mark.parametrize(
    "make",
    [
        lambda hr, _: shrunk(hr),
        lambda hr, _: np.asarray(Image.fromarray(hr).resize((50, 40), Image.Resampling.LANCZOS)),
        lambda hr, i: (shrunk(hr) + np.random.default_rng(i).normal(0, 20, (40, 50, 3))).clip(0, 255).astype(np.uint8),
        lambda hr, _: jpeg(shrunk(hr)),
    ],
)
def test_right_pairs_pass_without_a_word(opened: Callable[..., str], make: Make) -> None:
    assert opened(make) == ""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda hr, i: shrunk(scene((i + 1) % 3)), r"HR/1\.png, not .*HR/0\.png"),
        (lambda hr, i: shrunk(scene(i + 50)), "shows nothing of"),
        (lambda hr, _: np.full((40, 50, 3), 128, np.uint8), "one colour"),
        (lambda hr, _: np.zeros((40, 50, 3), np.uint8), "one colour"),
        (lambda hr, _: shrunk(hr)[::-1, ::-1], "turned by 180 degrees"),
        (lambda hr, _: shrunk(hr)[:, ::-1], "mirrored"),
    ],
)
def test_lr_of_another_image_is_refused(opened: Callable[..., str], make: Make, words: str) -> None:
    told = opened(lambda hr, i: np.ascontiguousarray(make(hr, i)))
    assert told.startswith("error: 3 LR files") and re.search(words, told) and "data.check_pairs=false" in told
    assert opened(lambda hr, i: np.ascontiguousarray(make(hr, i)), check_pairs=False) == ""


@pytest.mark.parametrize(
    ("down", "right", "words"), [(0, 8, "8 HR pixels further right"), (-2, 0, "2 HR pixels higher")]
)
def test_a_shift_is_a_warning_that_names_it(opened: Callable[..., str], down: int, right: int, words: str) -> None:
    told = opened(lambda hr, _: shrunk(np.roll(hr, (-down, -right), (0, 1))))
    assert "warning: 3 LR files" in told and words in told and "0x4.png" in told


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda lr: lr[..., ::-1], "has its channels swapped: they are BGR\n"),
        (lambda lr: (lr[..., ::-1] * 0.6).astype(np.uint8), "they are BGR and is darker by a factor of 0.60"),
        (lambda lr: np.repeat(lr.mean(2, keepdims=True), 3, 2).astype(np.uint8), "is grey, HR is coloured\n"),
        (lambda lr: (lr * 0.6).astype(np.uint8), "is darker by a factor of 0.6"),
        (lambda lr: 255 - (255 - lr) // 2, "has 0.50 times the contrast and is moved by +128 levels"),
        (lambda lr: (lr * [1, 1, 0.7]).astype(np.uint8), "has other means of R, G and B ("),
    ],
)
def test_other_colours_are_a_warning_that_names_them(
    opened: Callable[..., str], make: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    told = opened(lambda hr, _: np.ascontiguousarray(make(shrunk(hr))))
    assert "warning: 3 LR files" in told and told.count(words.strip()) == 3 and "0x4.png" in told
    assert words in told + "\n"


@pytest.mark.parametrize("suffix", ["x4m", "x4d", "x4w1"])
def test_the_realistic_tracks_are_never_errors(opened: Callable[..., str], suffix: str) -> None:
    assert not opened(realistic, suffix).startswith("error")


@pytest.mark.shared
def test_the_cases(shared: Path, tmp_path: Path) -> None:
    case = shared / "cases/pairs/swap"
    with pytest.raises(UserError, match="2 LR files"):
        Folder(train=case / "HR", train_lr=case / "LR", val_share=0, scale=4, cache_dir=tmp_path).pairs("train")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_official_lr_is_left_in_peace(shared: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    home = shared / "data/benchmarks" / name
    folders = sorted(home.glob("LR_*/X*"))
    assert len(folders) >= 3
    for lr in folders:
        Folder(test=home / "HR", test_lr=lr, scale=int(lr.name[1])).check("test")
        assert not [r.message for r in caplog.records if r.levelno >= logging.WARNING], lr
