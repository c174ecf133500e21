"""Clips on disk, and what a training sample of them is."""

import shutil
import subprocess
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data as photos
from torch.utils.data import DataLoader

from sr.data.clip_folder import ClipFolder
from sr.data.clips import ClipModule
from sr.data.frame_names import gaps, refuse_several
from sr.data.leaks import find_copies
from sr.data.sampling import SampleNumbers
from sr.data.video_sets import UDM10, Reds, Vid4, Vimeo90K
from sr.errors import UserError, told_once
from sr.imaging.resize import imresize

SMALL = {"patch_size": 8, "batch_size": 2, "val_images": None, "check_leaks": False}


def clip(
    folder: Path, frames: int = 5, name: str = "{:08d}.png", first: int = 0, seed: int = 0, side: int = 32
) -> Path:
    """A window that moves over a photo: pixels to the right and down from frame to frame."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = photos.astronaut()[40 * seed :, 30 * seed :]
    for n in range(frames):
        window = photo[2 * n : 2 * n + side, 3 * n : 3 * n + side + 8]
        Image.fromarray(window).save(folder / name.format(n + first), compress_level=1)
    return folder


def read(file: Path) -> torch.Tensor:
    """(3, H, W) uint8."""
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


def shrunk(hr: Path, lr: Path, scale: int = 4, way: Callable[..., torch.Tensor] = imresize) -> None:
    """LR of every frame below a folder, by MATLAB's bicubic or another way, in the same sub-folders."""
    for path in hr.rglob("*.png"):
        target = lr / path.relative_to(hr)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(way(read(path), 1 / scale).permute(1, 2, 0).numpy()).save(target)


def blurred(pixels: torch.Tensor, factor: float) -> torch.Tensor:
    """As papers write BD: a Gaussian of 1.6 pixels, then the pixel in the middle of each square, or nearly."""
    step = round(1 / factor)
    soft = gaussian_filter(pixels.numpy().astype(float), (0, 1.6, 1.6), mode="nearest").round().clip(0, 255)
    return torch.from_numpy(soft[:, step // 2 :: step, step // 2 :: step].astype(np.uint8))


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Any]:
    def make(kind: type[ClipModule], **settings: Any) -> Any:
        given = {"scale": 4, "cache_dir": tmp_path / "cache", **SMALL}
        if issubclass(kind, (Vid4, UDM10)):
            given = {"scale": 4, "cache_dir": tmp_path / "cache", "data_dir": tmp_path}
        return kind(**{**given, **settings})

    return make


def names(clips: list[Any]) -> list[str]:
    return [c.name for c in clips]


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (["000", "001", "002", "005", "006", "008"], ["3 to 4", "7"]),
        (["im1", "im2", "im3"], []),
        (["f8", "f10", "f12", "f16"], ["14"]),  # each second frame of a film
        (["0", "3", "6", "10"], []),  # these do not count
        (["12.033", "12.067", "13.000"], []),
        (["a", "b", "d"], []),
        (["a_1", "b_3", "c_4"], []),
        (["1", "01", "2"], []),
        (["7"], []),
    ],
)
def test_numbers_that_are_missing_between_frames(there: list[str], missing: list[str]) -> None:
    assert gaps(there) == missing


def test_frames_that_are_missing_are_told(build: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "torn"
    for n, name in enumerate(("p", "q")):
        clip(root / name, 6, seed=n)
    (root / "q/00000002.png").unlink()
    assert len(build(ClipFolder, root=root).test_pairs()) == len(build(ClipFolder, root=root).test_pairs()) == 11
    assert caplog.text.count("frames of torn are missing, by their numbers: 2 of clip q. ") == 1


# ---- layouts ----------------------------------------------------------------------------------------------


def reds(root: Path, layout: str) -> Path:
    """REDS in small: training clips 000, 001, 011, 015, 020, validation clips 000 and 029."""
    inside = "train/" if layout == "inside" else ""
    for n, name in enumerate(("000", "001", "011", "015", "020")):
        clip(root / f"{inside}train_sharp" / name, seed=n)
    for n, name in enumerate(("000", "029"), 5):
        merged = (
            f"{inside}train_sharp/{int(name) + 240}" if layout == "merged" else f"{inside and 'val/'}val_sharp/{name}"
        )
        clip(root / merged, seed=n)
    level = "" if layout == "merged" else "/X4"
    for part in ("train", "val") if layout != "merged" else ("train",):
        place = root / part if inside else root
        shrunk(place / f"{part}_sharp", place / f"{part}_sharp_bicubic{level}")
    return root


@pytest.mark.parametrize("layout", ["raw", "inside", "merged"])
def test_reds_in_every_layout_trains_on_all_but_reds4(build: Any, tmp_path: Path, layout: str) -> None:
    data = build(Reds, root=reds(tmp_path / "REDS", layout), frames=3)
    assert names(data.train_clips()) == ["001", "240", "269"] and data.test_name == "REDS4"
    assert names(data.val_clips()) == names(data.test_clips()) == ["000", "011", "015", "020"]
    frame = data.test_clips()[0].frames[2]
    assert frame.name == "000/00000002" and frame.lr is not None and "bicubic" in str(frame.lr)
    later = data.train_clips()[1].frames[0]
    assert later.name == "240/00000000" and later.hr.parent.name == ("240" if layout == "merged" else "000")
    data.setup("fit")
    data.setup("test")
    assert data.runs("test") == [range(0, 5), range(5, 10), range(10, 15), range(15, 20)]
    assert data.pairs("test").grids[0] == (8, 10)


def test_reds_lr_of_another_scale_or_degradation_is_made(build: Any, tmp_path: Path) -> None:
    root = reds(tmp_path / "REDS", "raw")
    assert all(f.lr is None for c in build(Reds, root=root, scale=2).train_clips() for f in c.frames)
    assert all(f.lr is None for c in build(Reds, root=root, lr=False).train_clips() for f in c.frames)
    shutil.rmtree(root / "train_sharp_bicubic/X4/011")
    with pytest.raises(UserError, match=r"LR frames of clip 011 not found(?s:.*)type data.lr=false to make LR from HR"):
        build(Reds, root=root).val_clips()
    clip(root / "val_sharp/extra")  # a folder without a number keeps its name
    assert "extra" in names(build(Reds, root=root, lr=False).train_clips())
    with pytest.raises(UserError, match=r"REDS's clips not found(?s:.*)data.root="):
        build(Reds, root=tmp_path / "nowhere").train_clips()


def test_vimeo_follows_its_lists(build: Any, tmp_path: Path) -> None:
    root = tmp_path / "vimeo_septuplet"
    for n, name in enumerate(("00001/0001", "00001/0002", "00002/0007")):
        clip(root / "sequences" / name, 7, "im{}.png", 1, seed=n)
    assert names(build(Vimeo90K, root=root).test_clips()) == ["00001/0001", "00001/0002", "00002/0007"]
    (root / "sep_trainlist.txt").write_text("00001/0001\n00002/0007\n\n")
    with pytest.raises(UserError, match=r"list sep_testlist.txt not found"):
        build(Vimeo90K, root=root).test_clips()
    (root / "sep_testlist.txt").write_text("00001/0002\n")
    data = build(Vimeo90K, root=root)
    assert names(data.train_clips()) == ["00001/0001", "00002/0007"] and names(data.test_clips()) == ["00001/0002"]
    assert [f.name for f in data.test_clips()[0].frames][::6] == ["00001/0002/im1", "00001/0002/im7"]
    data.setup("fit")
    assert data.runs("train") == [range(7), range(7, 14)]
    (root / "sep_testlist.txt").write_text("00001/0002\n./00001//0002\n00001/0002 7\n")
    assert names(build(Vimeo90K, root=root).test_clips()) == ["00001/0002"], "each once"
    for name in ("/home/me/Pictures", "../../Pictures"):  # the user's own stood in panels and pages
        (root / "sep_testlist.txt").write_text(f"00001/0002\n{name}\n")
        with pytest.raises(UserError, match=f"names {name}, which leads out of the set"):
            build(Vimeo90K, root=root).test_clips()
    (root / "sep_testlist.txt").write_text("00001/0009\n")
    with pytest.raises(UserError, match=r"Frames of Vimeo-90K's clip 00001/0009 not found"):
        build(Vimeo90K, root=root).test_clips()
    with pytest.raises(UserError, match=r"list sep_trainlist.txt not found"):
        build(Vimeo90K, root=tmp_path).train_clips()


@pytest.mark.parametrize("home", ["video/Vid4/GT", "Vid4/GT", "vid4"])
def test_vid4_is_found_and_measured_only(build: Any, tmp_path: Path, home: str) -> None:
    for n, name in enumerate(("calendar", "city")):
        clip(tmp_path / home / name, 3, "{:03d}.png", 1, seed=n)
    data = build(Vid4)
    assert names(data.test_clips()) == ["calendar", "city"] and not data.has("train")
    assert names(build(Vid4, clips=["city"])._chosen(data.test_clips())) == ["city"]
    with pytest.raises(UserError, match=r"data.clips=ctiy: Vid4 has no such clip. Did you mean.*city"):
        build(Vid4, clips="ctiy").test_pairs()
    with pytest.raises(UserError, match="for measuring only"):
        data.train_pairs()
    with pytest.raises(UserError, match="UDM10's clips not found"):
        build(UDM10).test_pairs()


def test_clips_with_hr_and_lr_inside_as_spmcs_has_them(build: Any, tmp_path: Path) -> None:
    root = tmp_path / "SPMCS"
    for n, name in enumerate(("car05_001", "hdclub_003")):
        clip(root / name / "truth", 3, "{:04d}.png", seed=n)
        shrunk(root / name / "truth", root / name / "input4")
    made, read = (build(ClipFolder, root=root, test_lr=lr).test_clips() for lr in (None, root))
    assert names(made) == names(read) == ["car05_001", "hdclub_003"]
    assert [f.name for f in read[0].frames] == [f"car05_001/{n:04d}" for n in range(3)]
    assert [f.lr for f in read[1].frames] == sorted((root / "hdclub_003/input4").iterdir()) and not made[0].frames[0].lr
    shrunk(root / "car05_001/truth", root / "car05_001/blur4")
    with pytest.raises(UserError, match=r"input4.*blur4: which of them LR is nobody tells"):
        build(ClipFolder, root=root, test_lr=root).test_clips()
    root.rename(tmp_path / "UDM10")
    assert names(build(UDM10).test_clips()) == ["car05_001", "hdclub_003"]


def test_vid4_reads_the_lr_that_lies_beside_it(build: Any, tmp_path: Path) -> None:
    """Of both degradations beside one GT, that which is named."""
    hr, ways = tmp_path / "Vid4/GT", {"BIx4": imresize, "BDx4": blurred}
    clip(hr / "city", 3, "{:03d}.png", 1)
    for name, way in ways.items():
        shrunk(hr, tmp_path / "Vid4" / name, way=way)
    given = {}
    for name in ways:
        data = build(Vid4, lr=name)
        data.check("test")
        given[name] = [f.lr for f in data.test_pairs()]
        assert given[name] == [tmp_path / "Vid4" / name / f"city/{n:03d}.png" for n in (1, 2, 3)]
        last = data.whole("test")[2]
        assert torch.equal(last.lr[0], read(given[name][2])) and torch.equal(last.hr[0], read(hr / "city/003.png"))
    assert not torch.equal(*(read(files[0]) for files in given.values()))
    (tmp_path / "Vid4/BDx4/city/002.png").unlink()
    with pytest.raises(UserError, match=r"HR without LR"):
        build(Vid4, lr="BDx4").test_pairs()


@pytest.mark.parametrize(
    ("hr", "lr", "typed"),
    [("GT/{}", "BDx4/{}", "BDx4"), ("{}/truth", "{}/blur4", "."), ("{}", None, None)],
)
def test_udm10_is_found_as_it_is_handed_on(
    build: Any, tmp_path: Path, hr: str, lr: str | None, typed: str | None
) -> None:
    """Its authors' folders truth and blur4 in each clip, BasicSR's GT and BDx4 around all, or frames alone."""
    root, clips = tmp_path / "video/UDM10", ["000", "001", "009"]
    for n, name in enumerate(clips):
        clip(root / hr.format(name), 2, "{:04d}.png", seed=n)
        if lr:
            shrunk(root / hr.format(name), root / lr.format(name), way=blurred)
    data = build(UDM10, lr=typed, clips=["000", "009"])
    assert names(data.test_clips()) == clips and not data.has("train") and data.name == "UDM10"
    data.check("test")
    pairs = data.test_pairs()
    assert [f.name for f in pairs] == ["000/0000", "000/0001", "009/0000", "009/0001"]
    assert [f.hr for f in pairs[2:]] == [root / hr.format("009") / f"{n:04d}.png" for n in (0, 1)]
    assert [f.lr for f in pairs[2:]] == [lr and root / lr.format("009") / f"{n:04d}.png" for n in (0, 1)]


def test_frames_are_in_the_order_of_their_numbers(build: Any, tmp_path: Path) -> None:
    clip(tmp_path / "mine/a", 12, "frame{}.png")
    (found,) = build(ClipFolder, root=tmp_path / "mine").test_clips()
    assert [f.name for f in found.frames] == [f"a/frame{n}" for n in range(12)]


@pytest.mark.parametrize(
    ("names", "several"),
    [
        (["00000000", "00000001", "00000002"], False),  # REDS
        (["001", "002", "003"], False),  # Vid4
        (["Frame 001", "Frame 002"], False),
        (["im1", "im2", "im3", "im10"], False),  # Vimeo-90K
        (["0001_HR_x4", "0002_HR_x4"], False),
        (["12-00-58", "12-00-59", "12-01-00", "12-01-01"], False),  # times
        (["2024-01-01", "2024-01-02", "2024-02-01", "2024-02-02"], False),
        (["5_000", "5_500", "6_000", "6_500"], False),
        (["shot1_0001", "shot1_0002", "shot2_0003", "shot2_0004"], False),  # of one film
        (["first", "second"], False),  # nothing counts
        (["left1", "right1"], False),
        (["a_0001", "a_0002", "b_0001", "b_0002"], "2 as a_0001, 2 as b_0001"),
        (["0001_left", "0001_right", "0002_left", "0002_right"], "2 as 0001_left, 2 as 0001_right"),
        (["0001", "0002", "a0001", "a0002"], "2 as 0001, 2 as a0001"),
        (["1_0001", "1_0002", "2_0001", "2_0002"], "2 as 1_0001, 2 as 2_0001"),
        (["v1_1", "v1_2", "v1_10", "v2_1", "v2_2"], "3 as v1_1, 2 as v2_1"),
        (["000_00000000", "000_00000001", "001_00000000", "001_00000001"], "2 as 000_00000000, 2 as 001"),
        (["0001", "0002", "cover"], "holds cover beside the 2 frames 0001 to 0002"),
        (["0001", "0002", "0002a"], "holds 0002a beside the 2 frames"),
    ],
)  # fmt: skip
def test_a_clip_is_one_numbered_sequence(names: list[str], several: bool | str) -> None:
    if not several:
        return refuse_several(names)
    with pytest.raises(UserError, match=f"images= .*{several}"):
        refuse_several(names)


def test_names_that_may_be_times_or_two_clips_are_told(caplog: pytest.LogCaptureFixture) -> None:
    told_once.cache_clear()
    refuse_several(["12-00-58", "12-00-59", "12-01-00"])  # times: the second minute begins elsewhere
    assert not caplog.records
    refuse_several(["01_01", "01_02", "02_01", "02_02"])
    assert "the 4 frames 01_01 to 02_02 are taken for one clip" in caplog.text and "If they are 2 clips" in caplog.text


def test_two_sequences_in_one_folder_are_parted_by_the_command_that_is_told(build: Any, tmp_path: Path) -> None:
    for form in ("a_{:04d}.png", "it's b {:04d}.png"):
        clip(tmp_path / "mine/two clips", 3, form)
    with pytest.raises(UserError, match=r"holds frames of several clips: 3 as a_0000, 3 as it's b 0000") as told:
        build(ClipFolder, root=tmp_path / "mine").setup("test")
    subprocess.run(["sh", "-c", str(told.value).partition("LR: ")[2]], check=True)
    (tmp_path / "mine/two clips").rmdir()
    found = build(ClipFolder, root=tmp_path / "mine").test_clips()
    assert names(found) == ["two clips_a", "two clips_it's b"] and [len(c.frames) for c in found] == [3, 3]


def test_the_command_that_parts_two_sequences_takes_each_its_own_and_replaces_nothing(
    build: Any, tmp_path: Path
) -> None:
    """A frame of the same name that lay there was replaced, and a_2_0000 went with a_0000."""
    for form in ("a_{:04d}.png", "a_2_{:04d}.png"):
        clip(tmp_path / "mine/two", 3, form)
    with pytest.raises(UserError, match="several clips") as told:
        build(ClipFolder, root=tmp_path / "mine").setup("test")
    line = str(told.value).partition("LR: ")[2]
    (tmp_path / "mine/two_a_2").mkdir()
    assert subprocess.run(["sh", "-c", line], capture_output=True).returncode, "the folder is there already"
    assert len([*(tmp_path / "mine/two").iterdir()]) == 6
    for folder in (tmp_path / "mine").glob("two_*"):
        folder.rmdir()
    subprocess.run(["sh", "-c", line], check=True)
    assert [len([*(tmp_path / "mine" / name).iterdir()]) for name in ("two_a", "two_a_2", "two")] == [3, 3, 0]


def test_frames_that_do_not_pair_are_told_how_names_pair(build: Any, tmp_path: Path) -> None:
    """Clips have no key for names of other forms."""
    clip(tmp_path / "hr/a", 2)
    clip(tmp_path / "lr/a", 2, "small{}.png", side=8)
    with pytest.raises(UserError, match=r"(?s)pair up by name.*0001.png is paired with 0001.png, 0001x4.png") as told:
        build(ClipFolder, test=tmp_path / "hr", test_lr=tmp_path / "lr").test_clips()
    assert "hr_name" not in str(told.value)


def test_a_folder_of_clips_holds_some_out_or_has_folders_for_them(build: Any, tmp_path: Path) -> None:
    for n, name in enumerate("abcdef"):
        clip(tmp_path / "mine" / name, seed=n)
    clip(tmp_path / "other/x", seed=8)
    data = build(ClipFolder, root=tmp_path / "mine", val_share=0.3, frames=3)
    assert data.test_name == "mine" and names(data.test_clips()) == list("abcdef")
    train, val = names(data.train_clips()), names(data.val_clips())
    assert len(val) == 2 and sorted(train + val) == list("abcdef")
    data.setup("fit")
    assert data.test_name == "mine held-out" and names(data.test_clips()) == val
    split = build(ClipFolder, train=tmp_path / "mine", val=tmp_path / "other", frames=3)
    assert names(split.train_clips()) == list("abcdef") and names(split.val_clips()) == ["x"]
    assert names(split.test_clips()) == ["x"] and split.test_name == "other"
    tested = build(ClipFolder, root=tmp_path / "mine", test=tmp_path / "other")
    assert names(tested.test_clips()) == ["x"] and tested.test_name == "other"
    (tmp_path / "mine").rename(tmp_path / "Vid4")
    assert build(ClipFolder, root=tmp_path / "Vid4").test_name == "own Vid4"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"frames": 6},
            r"1 of 1 training clips of b are shorter than the 6 frames.*: a. Remove them, or type frames=5",
        ),
        ({"frames": 4, "intervals": [2, 3]}, r"shorter than the 7 frames of a sample: a.*type frames=3 or less"),
        ({"clips": []}, r"data.clips=\[\]: name one at least, or type data.clips=null"),
        ({"clips": 1.5}, r"data.clips=1.5: b has no such clip.*There are v"),
        ({"train": ["b", "c"]}, r"data=\['b', 'c'\]: of clips one folder is taken"),
        ({"frames": 0}, r"data.frames=0 must be a whole number, 1 or more"),
        ({"intervals": [0]}, r"data.intervals=0 must be a whole number"),
        ({"intervals": []}, r"data.intervals=0 must be"),
        ({"reverse": 1}, r"data.reverse=1 must be true or false"),
        ({"val_frames": True}, r"data.val_frames=True must be"),
        ({"val_share": 1.0}, r"data.val_share=1.0 must be a number from 0"),
        ({"augment": ["x"]}, r"data.augment: on clips"),
        ({"train": None, "val": None}, r"type data.root=<a folder of clips>"),
        ({"train": "empty"}, r"(?s)Clips.*not found.*data.root=<a folder of clips>"),
        ({"patch_size": 9}, r"\n  a\n  Remove them, or type patch_size=8"),  # the clip, as its frames may be a film's
    ],
)
def test_what_cannot_be_is_refused(build: Any, tmp_path: Path, settings: dict, message: str) -> None:
    clip(tmp_path / "b/a")
    clip(tmp_path / "c/v", seed=3)
    with pytest.raises(UserError, match=message):
        build(ClipFolder, **{"train": tmp_path / "b", "val": tmp_path / "c", "frames": 3} | settings).setup("fit")


def test_frames_of_several_sizes_are_refused(build: Any, tmp_path: Path) -> None:
    clip(tmp_path / "b/a", 3)
    clip(tmp_path / "b/a", 2, first=3, side=36)
    with pytest.raises(UserError, match=r"clip a of b has frames of several sizes: .*00000000.png is 10x8 LR.* 11x9"):
        build(ClipFolder, root=tmp_path / "b").setup("test")


def test_validation_takes_the_first_frames_of_some_clips(build: Any, tmp_path: Path) -> None:
    for n, name in enumerate("abc"):
        clip(tmp_path / "b" / name, seed=n)
    data = build(ClipFolder, train=tmp_path / "b", val=tmp_path / "b", frames=3, val_images=2, val_frames=3)
    data.setup("fit")
    assert data.pairs("val").names == [f"{name}/{n:08d}" for name in "ab" for n in range(3)]
    batches = [data.whole("val")[n] for n in range(len(data.whole("val")))]
    assert [b.lr.shape for b in batches] == [(1, 3, 3, 8, 10)] * 2 and [b.name for b in batches] == [["a"], ["b"]]


def test_a_clip_that_is_also_measured_is_refused(build: Any, tmp_path: Path) -> None:
    for n, name in enumerate("abc"):
        clip(tmp_path / "b" / name, seed=n)
    shutil.copytree(tmp_path / "b/c", tmp_path / "v/x")  # whose last frame is flat
    data = build(ClipFolder, train=tmp_path / "b", val=tmp_path / "v", frames=3, check_leaks=True)
    with pytest.raises(
        UserError, match=r"(?s)4 training images are also in the data.*b/c/00000002.png .* is .*v/x/00000002.png"
    ):
        data.setup("fit")


@pytest.mark.parametrize("frames", [(3, 8), (0, 1)], ids=["another middle", "no middle"])
def test_frames_that_two_clips_share_are_found_wherever_they_stand(
    build: Any, tmp_path: Path, frames: tuple[int, int]
) -> None:
    scenes = tmp_path / "scenes"
    for n in range(12):  # cuts: no frame is like the next one
        clip(scenes, 1, f"{n:02d}.png", seed=n)
    flat = np.full((32, 40, 3), 16, np.uint8)
    for name, part in (("b/c", range(5)), ("v/x", [*range(*frames), *range(9, 12)])):
        (tmp_path / name).mkdir(parents=True)
        for n in part:
            shutil.copy(scenes / f"{n:02d}.png", tmp_path / name)
        Image.fromarray(flat).save(tmp_path / name / "99.png")  # between two scenes: alike everywhere
    shared = [f"{n:02d}.png" for n in range(5) if n in range(*frames)]
    data = build(ClipFolder, train=tmp_path / "b", val=tmp_path / "v", frames=3, check_leaks=True)
    with pytest.raises(UserError, match=rf"^{len(shared)} training images are also.*(?s:.*)c/{shared[0]}"):
        data.setup("fit")
    known = {f.digest for images in data.images("train").values() for f in images.everything.fingerprints}
    nothing = np.empty((0, 256), np.uint8)
    assert [p.name for p in find_copies(known, nothing, *data.images("val").values())] == shared
    for name in shared:
        (tmp_path / "v/x" / name).unlink()
    build(ClipFolder, train=tmp_path / "b", val=tmp_path / "v", frames=3, check_leaks=True).setup("fit")


def test_a_clip_under_a_second_name_is_told(build: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a link or as a copy: it counts twice in a mean."""
    root = clip(tmp_path / "b/a").parent
    clip(root / "part of a", 4)
    build(ClipFolder, root=root).setup("test")
    assert not caplog.text
    (root / "linked").symlink_to("a")
    shutil.copytree(root / "a", root / "copied")
    build(ClipFolder, root=root).setup("test")
    assert "2 of the 4 clips of b are others under a second name, and count more than once in each" in caplog.text
    assert "copied is a" in caplog.text or "a is copied" in caplog.text


def test_what_is_no_clip_is_told(build: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip(tmp_path / "b/a")
    clip(tmp_path / "b", 2)
    (tmp_path / "b/half unpacked").mkdir()
    data = build(ClipFolder, root=tmp_path / "b")
    assert names(data.test_clips()) == names(data.test_clips()) == ["a"]
    assert "1 sub-folders without an image in them (half unpacked) and 2 images beside them" in caplog.text
    assert caplog.text.count("not read as clips") == 1


# ---- samples ----------------------------------------------------------------------------------------------


@pytest.fixture
def moving(build: Any, tmp_path: Path) -> Callable[..., ClipModule]:
    """Three clips of 7, 9 and 12 frames, to be trained on."""
    for n, length in enumerate((7, 9, 12)):
        clip(tmp_path / f"moving/clip{n}", length, seed=n, side=40)
    clip(tmp_path / "held/out", seed=6)

    def make(**settings: Any) -> ClipModule:
        data = build(ClipFolder, train=tmp_path / "moving", val=tmp_path / "held", scale=2, seed=5, **settings)
        data.setup("fit")
        return data

    return make


def take(data: ClipModule, count: int, start: int = 0, workers: int = 0) -> list[Any]:
    numbers = SampleNumbers(4, start=start)
    loader: Any = DataLoader(
        data.patches(), batch_size=None, sampler=numbers, num_workers=workers, collate_fn=lambda b: b
    )
    return list(islice(loader, count))


def same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x.lr, y.lr) and torch.equal(x.hr, y.hr) for x, y in zip(a, b, strict=True)
    )


ALL = {"frames": 3, "intervals": [1, 2], "reverse": True}


def test_neither_workers_nor_a_resume_change_the_samples(moving: Any) -> None:
    whole = take(moving(**ALL), 6)
    assert whole[0].lr.shape == (4, 3, 3, 8, 8) and whole[0].hr.shape == (4, 3, 3, 16, 16)
    assert same(whole, take(moving(**ALL), 6, workers=2))
    assert same(whole[4:], take(moving(**ALL), 2, start=4)) and not same(whole[:2], take(moving(**ALL), 2, start=4))


@pytest.mark.parametrize("mirror", [False, True])
def test_a_sample_is_one_cut_of_the_files(moving: Any, tmp_path: Path, mirror: bool) -> None:
    """Against a naive cut of the PNG files, LR by MATLAB's resize of each whole frame."""
    data = moving(**ALL, mirror=mirror)
    patches = data.patches()
    lengths, seen = [7, 9, 12], set()
    for sample in range(60):
        image, y, x, turn, _ = patches.draws[sample]
        begin, step = patches.draws.times(sample)
        seen.add((step, turn))
        frames = [begin + step * t for t in range(3)]
        assert all(0 <= n < lengths[image] for n in frames)
        wanted = []
        for n in [*frames, *(frames[::-1] if mirror else [])]:
            hr = np.array(Image.open(tmp_path / f"moving/clip{image}/{n:08d}.png"))
            lr = imresize(torch.from_numpy(hr).permute(2, 0, 1), 1 / 2).permute(1, 2, 0).numpy()
            cut = [lr[y : y + 8, x : x + 8], hr[2 * y : 2 * y + 16, 2 * x : 2 * x + 16]]
            cut = [p.swapaxes(0, 1) if turn & 4 else p for p in cut]
            cut = [p[::-1] if turn & 1 else p for p in cut]
            wanted.append([p[:, ::-1] if turn & 2 else p for p in cut])
        batch = patches[[sample]]
        for which, clips in enumerate((batch.lr, batch.hr)):
            assert np.array_equal(clips[0].permute(0, 2, 3, 1), [w[which] for w in wanted])
        assert batch.name == [f"clip{image}/{frames[1]:08d}"] and batch.grey == [False]
    assert {step for step, _ in seen} == {-2, -1, 1, 2} and len({turn for _, turn in seen}) == 8


def test_an_interval_that_a_clip_is_too_short_for_is_not_drawn(moving: Any) -> None:
    draws = moving(frames=4, intervals=[2, 3], reverse=False).patches().draws
    image, (begin, step) = draws.table(0, 3000)[0], draws.time_table(0, 3000)
    assert set(step[image == 0]) == {2}, "seven frames hold no four with two between each"
    assert set(step[image == 2]) == {2, 3} and begin.min() == 0
    for number, length in enumerate((7, 9, 12)):
        for chosen in set(step[image == number]):
            starts = begin[(image == number) & (step == chosen)]
            assert set(starts) == set(range(length - 3 * chosen)), "every start is drawn"


def test_a_sample_without_reverse_and_dihedral_runs_forward_and_upright(moving: Any) -> None:
    draws = moving(frames=3, dihedral=False).patches().draws
    assert not draws.table(0, 500)[3].any() and set(draws.time_table(0, 500)[1]) == {1}


def test_clips_are_told(moving: Any) -> None:
    assert moving(frames=3).describe() == "moving: 3 clips (28 frames), validating on 1 clips"
