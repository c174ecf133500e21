"""Figures of one set's name that are of other images, or of LR that was made in another way."""

import csv
from dataclasses import replace

import pytest

from sr.scores.results import read, write
from sr.scores.same_images import notes, told_apart
from sr.scores.score import Score, scores_of

BLURRED = "made by GaussianBlur, MatlabBicubic"


def run(lr: str = "", psnr: float = 30.0, baseline: float | None = None) -> list[Score]:
    models = {"mine": psnr} | ({} if baseline is None else {"bicubic": baseline})
    return [s for model, db in models.items() for s in scores_of(model, "Set5", 2, "y", {"psnr": db}, 5, lr=lr)]


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        (run("bicubic"), run("bicubic"), False),
        (run("bicubic"), run("bicubic, read from LR_bicubic/X2"), False),
        (run("bicubic"), run(), False),  # of an older file nothing is known
        (run("bicubic"), run(BLURRED), True),
        (run("bicubic"), run("read from own/LR"), True),
        (run("bicubic", baseline=33.66), run("read from own/LR", baseline=33.66), False),
        (run(BLURRED, baseline=28.0), run(BLURRED, baseline=27.0), True),  # another blur
    ],
)
def test_figures_on_lr_of_another_kind_have_another_column(first, second, apart):
    found = told_apart([first, second], "bicubic")
    assert {s.dataset for s in found[0]} == {"Set5"}
    assert {s.dataset for s in found[1]} == {"Set5 (2)" if apart else "Set5"}
    assert bool(notes([*found[0], *found[1]], "bicubic")) is apart


def test_without_psnr_other_images_are_told_by_what_there_is():
    def ssim(baseline, metric="ssim"):
        models = {"mine": 0.9, "bicubic": baseline}
        return [s for model, v in models.items() for s in scores_of(model, "Set5", 2, "y", {metric: v}, 5)]

    for first, second, apart in [(0.92391, 0.93622, True), (0.92391, 0.92392, False)]:
        found = told_apart([ssim(first), ssim(second)], "bicubic")
        assert {s.dataset for s in found[1]} == {"Set5 (2)" if apart else "Set5"}
    found = told_apart([[*ssim(0.9), *ssim(28.0, "psnr")], [*ssim(0.9002), *ssim(28.0, "psnr")]], "bicubic")
    assert {s.dataset for s in found[1]} == {"Set5"}, "PSNR is the same on every machine, and enough"
    found = told_apart(
        [[*ssim(4.5, "mine"), *ssim(28.0, "psnr")], [*ssim(48.0, "mine"), *ssim(28.0, "psnr")]], "bicubic"
    )
    assert {s.dataset for s in found[1]} == {"Set5 (2)"}, "a metric whose code was changed"


def test_the_note_says_how_lr_was_made():
    first, second = told_apart([run("bicubic"), run(BLURRED)], "bicubic")
    assert notes([*first, *second], "bicubic") == [
        f"Set5 (2): its LR is {BLURRED}, that of Set5 is bicubic: only gains over bicubic compare"
    ]


def test_results_tell_how_lr_was_made_and_figures_of_other_lr_are_kept(tmp_path, caplog):
    write(run("bicubic"), tmp_path)
    assert [row["lr"] for row in csv.DictReader((tmp_path / "results.csv").open())] == ["bicubic"]
    assert [s.lr for s in read(tmp_path / "results.csv")] == ["bicubic"]
    write(run("bicubic", 31.0), tmp_path)
    assert not (tmp_path / "results_2.csv").exists()
    write(run(BLURRED, 29.0), tmp_path)
    assert [(s.lr, s.value) for s in read(tmp_path / "results_2.csv")] == [("bicubic", 31.0)]
    write(run("bicubic", baseline=28.0), tmp_path / "images")
    write(run("bicubic", 31.0, baseline=28.001), tmp_path / "images")
    assert not (tmp_path / "images/results_2.csv").exists()
    write(run("bicubic", 32.0, baseline=28.1), tmp_path / "images")
    assert [s.value for s in read(tmp_path / "images/results_2.csv")] == [31.0, 28.001]
    assert caplog.text.count("other images, or other LR, of Set5") == 1
    write(run(), tmp_path / "old")
    write(run("bicubic"), tmp_path / "old")
    assert not (tmp_path / "old/results_2.csv").exists(), "what an older file does not tell is no difference"


def test_lr_that_is_not_the_papers_is_told_where_there_is_no_other():
    told = f"LR of Set5: {BLURRED}, not plain bicubic as the papers'"
    assert notes([s for scores in told_apart([run(BLURRED), run(BLURRED)], "bicubic") for s in scores], "bicubic") == [
        told
    ]
    assert notes(run("bicubic, read from LR_bicubic/X2") + run(), "bicubic") == []


def test_a_set_is_not_the_papers_at_one_scale_alone():
    """Its LR is plain at x2: of x4 nothing was said."""
    at_four = [replace(s, scale=4) for s in run(BLURRED)]
    assert notes([*run("bicubic"), *at_four], "bicubic") == [
        f"LR of Set5 x4: {BLURRED}, not plain bicubic as the papers'"
    ]
    assert notes([*run(BLURRED), *at_four], "bicubic") == [f"LR of Set5: {BLURRED}, not plain bicubic as the papers'"]


def test_a_set_on_which_bicubic_has_another_figure_is_told_below_every_table():
    told = (
        "note: Set5 x2 is of other images or other LR than the papers': bicubic has 30.00 dB there, 33.66 in the papers"
    )
    assert notes(run("bicubic", baseline=30.0), "bicubic") == [told]
    assert notes(run("bicubic", baseline=33.7), "bicubic") == []


def test_a_part_of_a_set_is_told_below_every_table():
    """Of a short run, or of some of the clips: nothing else told it where no paper's figure stood beside."""
    named = {"Set5": 3, "Set5 middle 256": 1, "Set14": 14, "Mine": 2}
    scores = [s for name, n in named.items() for s in scores_of("mine", name, 2, "y", {"psnr": 30.0}, n)]
    assert notes(scores, "bicubic") == [
        "Set5: 3 images here, the papers' figures are of 5",
        "Set5 middle 256: 1 image here, the papers' figures are of 5",
    ]


def test_a_set_of_which_a_protocol_leaves_frames_out_is_whole_all_the_same():
    def scores(name, protocol, images, clips):
        return [replace(s, clips=clips) for s in scores_of("mine", name, 4, protocol, {"psnr": 25.0}, images)]

    whole = [*scores("Vid4", "video_y", 171, 4), *scores("Vid4", "video_duf", 155, 4)]
    whole += [*scores("Vimeo90K", "video_y", 54768, 7824), *scores("Vimeo90K", "video_centre", 7824, 7824)]
    assert notes(whole, "bicubic") == []
    part = scores("Vid4", "video_y", 34, 1) + scores("Vimeo90K", "video_centre", 10, 10)
    assert len(notes(part, "bicubic")) == 2
