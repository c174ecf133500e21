"""compare.py on clips: two runs that somebody trained, and a page that plays a clip's crops of both."""

import csv
import json
import re

import pytest

CLIP = "city"
FRAMES = [f"{CLIP}/{n:08d}" for n in range(4)]
RUNS = {
    "basicvsr": ["model=basicvsr", "recipe=basicvsr_stage", "model.num_blocks=1", "model.channels=4"],
    "edvr_m": ["model=edvr_m", "recipe=edvr_stage", "model.num_blocks=1", "model.channels=8", "model.groups=2"],
}


@pytest.mark.slow
def test_two_runs_are_held_beside_each_other_and_a_clip_is_played(command, clips, request, tmp_path):
    train, val = clips(count=1, folder="train"), clips(count=1, frames=2, folder="val", first=7)
    vid4 = clips(count=1, frames=len(FRAMES), folder="d/Vid4/GT", first=8)
    (vid4 / "008").rename(vid4 / CLIP)
    typed = ["data=clips", f"data.train={train}", f"data.val={val}", "frames=3", "patch_size=16", "batch_size=1"]
    typed += ["budget=smoke", "benchmarks=[vid4]", "budget.test_middle=null", f"data_dir={tmp_path / 'd'}"]
    for name, network in RUNS.items():
        done = command("train.py", *network, *typed, folder=f"runs/{name}")
        assert done.code == 0, done

    done = command("compare.py", "runs=runs", "sort=psnr_video_y", "crop_size=32")
    assert done.code == 0, done
    with (done.folder / "table.csv").open(newline="") as file:
        rows = {row["entry"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"bicubic", *RUNS}
    for protocol in ("video_y", "video_rgb"):
        assert all(float(row[f"Vid4/psnr_{protocol}"]) > 5 for row in rows.values())
    assert "of clips over frames, then over clips" in done.out

    file = done.folder / "index.html"
    (crops,) = json.loads(re.search(r'id="data">(.*?)</script>', file.read_text(), re.S)[1])["crops"]
    assert crops["title"] == f"Vid4 x4: {CLIP}, 4 frames" and crops["frames"] == FRAMES
    assert crops["pictures"].keys() == {"HR", "LR", "bicubic", *RUNS}
    assert all(len(set(pictures)) == len(FRAMES) for pictures in crops["pictures"].values())
    assert all(len(crops["captions"][name]) == len(FRAMES) for name in rows)

    browser = request.getfixturevalue("browser")  # the rest is read where there is none
    browser.open(file)
    assert browser.run("getComputedStyle(document.getElementById('crop-player')).display") == "flex"
    for number in range(len(FRAMES)):
        if number:
            browser.run("document.getElementById('crop-frame').focus()")
            browser.press("ArrowRight", 39)
        shown = browser.run("[...document.querySelectorAll('.strip img')].map((i) => i.src)")
        assert shown == [pictures[number] for pictures in crops["pictures"].values()]
    assert browser.complaints == []
