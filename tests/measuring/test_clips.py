"""Clips measured as users type it: every network, frame by frame, by clip."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sr.imaging.ensemble import self_ensemble
from sr.imaging.resize import imresize
from sr.measuring.frames import outputs_of
from sr.metrics.protocols import get_protocol
from sr.models.basicvsr import BasicVSR
from sr.models.edsr import EDSR
from sr.models.edvr import EDVR

LENGTHS = {"calendar": 3, "city": 5}


def rows(folder: Path, name: str = "results") -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as f:
        return list(csv.DictReader(f))


@pytest.fixture
def vid4(tmp_path, photos) -> Path:
    """data_dir of a small Vid4: two of its clips, a window that moves over a photo."""
    (path,) = photos(tmp_path / "photo", 1, 80, 100)
    picture = np.asarray(Image.open(path))
    for k, (name, frames) in enumerate(LENGTHS.items()):
        (tmp_path / f"d/Vid4/GT/{name}").mkdir(parents=True)
        for n in range(frames):
            window = picture[8 * k + n : 8 * k + n + 48, 2 * n : 2 * n + 64]
            Image.fromarray(window).save(tmp_path / f"d/Vid4/GT/{name}/{n + 1:03d}.png")
    return tmp_path / "d"


def checkpoint(path: Path, node: dict, model: torch.nn.Module) -> Path:
    torch.save(
        {"state_dict": model.state_dict(), "sr": {"format": 2, "name": path.stem, "model": node, "config": {}}}, path
    )
    return path


@pytest.fixture
def networks(tmp_path) -> list[Path]:
    torch.manual_seed(0)
    sizes = {"scale": 4, "num_blocks": 1, "channels": 4}
    return [
        checkpoint(tmp_path / "edsr.ckpt", {"_target_": "sr.models.edsr.EDSR", **sizes}, EDSR(**sizes)),
        checkpoint(tmp_path / "vsr.ckpt", {"_target_": "sr.models.basicvsr.BasicVSR", **sizes}, BasicVSR(**sizes)),
    ]


def test_bicubic_an_image_network_and_one_on_clips_in_one_table(command, vid4, networks):
    done = command(
        "evaluate.py", f"checkpoint=[{networks[0]},{networks[1]}]", "benchmarks=[vid4]", f"data_dir={vid4}", "panels=1"
    )
    assert done.code == 0, done
    table = {(r["model"], r["protocol"]): r for r in rows(done.folder)}
    models = {model for model, _ in table}
    assert len(models) == 3 and {p for _, p in table} == {"video_y", "video_rgb"}
    assert {r["images"] for r in table.values()} == {"8"} and not any(r["paper_psnr"] for r in table.values())
    assert "of clips over frames, then over clips" in done.out and "Beside the published" not in done.out
    assert "Vid4: 8 images here, the papers' figures are of 171" in done.out, "it was called Vid4 without a word"
    by_clip = {(r["model"], r["protocol"], r["clip"]): r for r in rows(done.folder, "results_per_clip")}
    frames = rows(done.folder, "results_per_image")
    assert {r["image"] for r in frames} == {f"{c}/{n + 1:03d}" for c, length in LENGTHS.items() for n in range(length)}
    for key, row in table.items():
        clips = [float(by_clip[(*key, name)]["psnr"]) for name in LENGTHS]
        assert float(row["psnr"]) == pytest.approx(np.mean(clips), abs=1e-6)
        for name, mean in zip(LENGTHS, clips, strict=True):
            own = [
                float(r["psnr"]) for r in frames if (r["model"], r["protocol"]) == key and r["image"].startswith(name)
            ]
            assert mean == pytest.approx(np.mean(own), abs=1e-6) and len(own) == LENGTHS[name]
            assert by_clip[(*key, name)]["images"] == str(LENGTHS[name])
    assert (done.folder / "panels/Vid4_x4.png").is_file() and "results_per_clip.csv" in done.out
    # bicubic by hand
    hr = torch.from_numpy(np.array(Image.open(vid4 / "Vid4/GT/city/002.png"))).permute(2, 0, 1)[None]
    made = imresize(imresize(hr, 1 / 4).float() / 255, 4)
    value = get_protocol("video_y").compare(made, hr, 4)["psnr"].item()
    (found,) = (r for r in frames if (r["model"], r["protocol"], r["image"]) == ("bicubic", "video_y", "city/002"))
    assert float(found["psnr"]) == pytest.approx(value, abs=1e-4)


def test_a_checkpoint_that_left_its_run_tells_the_folder_of_its_clips(command, vid4, networks):
    content = torch.load(networks[0], weights_only=True)
    root = vid4 / "Vid4/GT"
    content["sr"]["config"] = {"data": {"_target_": "sr.data.clip_folder.ClipFolder", "train": None, "root": str(root)}}
    torch.save(content, networks[0])
    typed = ["benchmarks=[clips]", f"data.root={root}", "data.clips=city", f"checkpoint={networks[0]}", "panels=0"]
    done = command("evaluate.py", *typed, "baseline=false", "protocols=[video_centre]")
    assert done.code == 0 and f"edsr was trained on images of {root}, which" in done.out + done.err, done


def test_one_clip_under_the_protocol_of_duf_and_with_self_ensemble(command, vid4, networks):
    typed = ["benchmarks=[vid4]", f"data_dir={vid4}", "data.clips=[city]", "panels=0"]
    done = command("evaluate.py", "model=bicubic", *typed, "protocols=[video_duf,video_centre,y]", "scale=4")
    assert done.code == 0, done
    assert {r["protocol"]: r["images"] for r in rows(done.folder)} == {"video_duf": "1", "video_centre": "1", "y": "5"}
    assert {r["image"] for r in rows(done.folder, "results_per_image") if r["protocol"] == "video_duf"} == {"city/003"}
    done = command("evaluate.py", f"checkpoint={networks[1]}", *typed, "self_ensemble=true", folder="plus")
    assert done.code == 0 and any(r["model"].endswith("+") for r in rows(done.folder)), done
    done = command("evaluate.py", "model=bicubic", *typed[:2], "data.clips=[walk]", "scale=4", folder="no")
    assert done.code == 1 and "data.clips=walk: Vid4 has no such clip" in done.err and "calendar, city" in done.err


@pytest.mark.parametrize(("name", "short"), [("calendar", True), ("city", False)])
def test_a_clip_too_short_for_the_protocol_of_duf_is_told(command, vid4, name, short):
    typed = ["model=bicubic", "benchmarks=[vid4]", f"data_dir={vid4}", "scale=4", "panels=0", f"data.clips=[{name}]"]
    done = command("evaluate.py", *typed, "protocols=[video_duf,video_y]")
    assert done.code == 0, done
    told = "note: 1 of 1 clip of Vid4: too short for video_duf to leave out 2 frames at each end"
    assert (told in done.out) == short and "short for video_y" not in done.out, done
    counted = {(r["protocol"], r["images"]) for r in rows(done.folder)}
    assert counted == {("video_duf", "3" if short else "1"), ("video_y", str(LENGTHS[name]))}


def test_vimeos_clips_count_by_the_frame_in_the_middle_of_a_mirrored_clip(command, vid4, networks, tmp_path):
    (tmp_path / "v/sequences").mkdir(parents=True)
    (vid4 / "Vid4/GT").rename(tmp_path / "v/sequences/00001")
    (tmp_path / "v/sep_testlist.txt").write_text("00001/city\n")
    typed = ["benchmarks=[vimeo90k]", f"data.root={tmp_path / 'v'}", f"checkpoint={networks[1]}", "panels=0"]
    figures = {}
    for mirror in ("true", "false"):
        done = command("evaluate.py", *typed, f"data.mirror={mirror}", folder=mirror)
        assert done.code == 0, done
        figures[mirror] = {r["model"]: float(r["psnr"]) for r in rows(done.folder)}
        assert [(r["image"], r["protocol"]) for r in rows(done.folder, "results_per_image")] == [
            ("00001/city/003", "video_centre")
        ] * 2
    own = next(name for name in figures["true"] if name != "bicubic")
    assert figures["true"]["bicubic"] == figures["false"]["bicubic"] and figures["true"][own] != figures["false"][own]


@pytest.mark.parametrize(
    "model",
    [
        lambda: BasicVSR(num_blocks=1, channels=4),
        lambda: EDVR(num_blocks=1, channels=8, frames=3, groups=2),
        lambda: EDSR(4, 1, 4),
    ],
    ids=["BasicVSR", "EDVR", "EDSR"],
)
def test_self_ensemble_and_mirrored_clips_are_what_they_are_of_the_whole(model):
    torch.manual_seed(0)
    model = model().eval()
    clip = torch.rand(1, 3, 3, 8, 12)
    frames = list(clip.unbind(1))
    with torch.inference_mode():
        ensembled = torch.stack(list(outputs_of(model, frames, 4, ensemble=True)), 1)
        wanted = self_ensemble(lambda x: model(x), clip)
        torch.testing.assert_close(ensembled, wanted, atol=2e-5, rtol=1e-4)
        mirrored = torch.stack(list(outputs_of(model, frames, 4, mirror=True)), 1)
        both = model(torch.cat([clip, clip.flip(1)], 1))
        wanted = (both[:, :3] + both[:, 3:].flip(1)) / 2 if model.clips else model(clip)
        torch.testing.assert_close(mirrored, wanted, atol=2e-5, rtol=1e-4)


WATCHED = """
import re, sys
from pathlib import Path
from sr.cli import main
from sr.metrics.protocol import Protocol

held, compare = [], Protocol.compare

def watched(*given, **named):  # kB of this process that lie in no file
    held.append(int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
    return compare(*given, **named)

Protocol.compare = watched
main("evaluate")
print("held", max(held[5:]))
"""


def held(folder, *typed):
    """kB that a real command of evaluate.py holds at most once five frames were measured."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *typed, "baseline=false", "panels=0", "protocols=[video_y]",
         f"hydra.run.dir={folder}"],
        cwd=folder.parent, capture_output=True, text=True,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"},  # what is freed leaves no holes
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_measuring_a_long_clip_holds_as_much_as_a_short_one(tmp_path, clips):
    """Of 100 frames more the features would be 10 MB, the enlarged frames 29 MB."""
    sizes = {"scale": 4, "num_blocks": 1, "channels": 16, "align": False}
    file = checkpoint(tmp_path / "vsr.ckpt", {"_target_": "sr.models.basicvsr.BasicVSR", **sizes}, BasicVSR(**sizes))
    kB = {}
    for frames in (10, 110):
        root = clips(count=1, frames=frames, height=128, width=192, folder=f"of_{frames}")
        for time in ("first", "second"):  # the first one decodes the frames, and leaves holes of some MB in its memory
            typed = ["benchmarks=[clips]", f"data.root={root}", f"checkpoint={file}"]
            kB[frames] = held(tmp_path / f"{time}_{frames}", *typed)
    assert kB[110] - kB[10] < 6_000


CITY = ["benchmarks=[vid4]", "data.clips=[city]"]


@pytest.mark.slow
@pytest.mark.shared
def test_bicubic_reaches_its_figure_on_city(command, shared):
    done = command("evaluate.py", "model=bicubic", "scale=4", *CITY, "panels=0", f"data_dir={shared / 'data'}")
    assert done.code == 0, done
    found = {r["protocol"]: (float(r["psnr"]), float(r["ssim"])) for r in rows(done.folder)}
    assert found["video_y"] == (pytest.approx(25.164, abs=0.001), pytest.approx(0.6027, abs=1e-4))
    assert found["video_rgb"] == (pytest.approx(23.692, abs=0.001), pytest.approx(0.5681, abs=3e-4))
    assert not any(r["paper_psnr"] for r in rows(done.folder)), "a part of a set"
    assert len(rows(done.folder, "results_per_clip")) == 2


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(3000)  # 200 s of one core
def test_the_authors_basicvsr_reaches_its_figure_on_city_and_holds_no_more_for_34_frames_than_for_10(tmp_path, shared):
    network = ["weights=basicvsr_vimeo_bi", f"zoo.dir={shared / 'weights'}"]
    city = shared / "data/video/Vid4/GT/city"
    (tmp_path / "ten/city").mkdir(parents=True)
    for frame in sorted(city.iterdir())[:10]:
        (tmp_path / "ten/city" / frame.name).symlink_to(frame)
    ten = held(tmp_path / "of_10", *network, "benchmarks=[clips]", f"data.root={tmp_path / 'ten'}")
    # Of 24 frames more the features would be 156 MB, the enlarged frames 117 MB; decoded frames leave holes of some 20.
    assert held(tmp_path / "of_34", *network, *CITY, f"data_dir={shared / 'data'}") - ten < 60_000
    (row,) = rows(tmp_path / "of_34")
    assert float(row["psnr"]) == pytest.approx(27.652, abs=0.005)
    assert float(row["ssim"]) == pytest.approx(0.8047, abs=0.0003)
    frames = {r["image"]: float(r["psnr"]) for r in rows(tmp_path / "of_34", "results_per_image")}
    assert [frames[f"city/{n:03d}"] for n in (1, 18, 34)] == pytest.approx([27.220, 26.681, 27.555], abs=0.005)
