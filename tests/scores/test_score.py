"""Means of scores and the files that hold them."""

import csv
import math
from dataclasses import replace

import pytest

from sr.errors import UserError
from sr.metrics.psnr import METRIC as PSNR
from sr.scores.results import read, write
from sr.scores.score import Score, as_table, averages, table


def each(model: str, *values: float, metric: str = "psnr") -> list[Score]:
    return [Score(model, "Mine", 2, "y", metric, value, 1, f"{n}.png") for n, value in enumerate(values)]


def test_an_identical_image_hides_no_other_and_is_told(tmp_path):
    scores = [*each("bicubic", math.inf, 30.0), *each("mine", 40.0, 32.0), *each("same", math.inf, 33.0)]
    means = averages(scores)
    assert [(s.value, s.images, s.left_out) for s in means] == [(30.0, 2, 1), (36.0, 2, 0), (33.0, 2, 1)]
    text = table(means)
    # Means over other images have no difference.
    assert "30.00 (1 of 2 identical: 0.png)" in text and "33.00 (+3.00) (1 of 2 identical: 0.png)" in text
    assert "36.00 (" not in text
    assert "identical: the output is HR itself" in text and "PSNR 100 dB where there is none" in text
    write(scores, tmp_path)
    assert read(tmp_path / "results.csv") == means
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [r["psnr_left_out"] for r in rows] == ["1", "", "1"] and "inf" not in (tmp_path / "results.csv").read_text()


@pytest.mark.parametrize("more", [(), (math.inf, math.inf)], ids=["named", "marked"])
def test_means_that_leave_out_as_many_but_other_images_have_no_difference(tmp_path, more):
    """The count alone told them apart: 32 was "+1.00" over 31, of another image."""
    scores = each("bicubic", math.inf, 31.0, *more) + each("mine", 32.0, math.inf, *more)
    text = table(means := averages(scores))
    assert "(+" not in text and means[0].remark != means[1].remark
    assert ("the same mark, the same images" in text) == bool(more)
    write(scores, tmp_path)
    assert read(tmp_path / "results.csv") == means


def test_dashboards_are_told_of_other_lr():
    """Blind LR of Set5 stood there as Set5, bicubic 5 dB below what it has."""
    plain = Score("m", "Set5", 4, "y", "psnr", 30.0, 5, lr="bicubic")
    assert "lr" not in as_table([plain])[0]
    columns, rows = as_table([replace(plain, lr="made by GaussianNoise")])
    assert dict(zip(columns, rows[0], strict=True))["lr"] == "made by GaussianNoise"


def test_the_table_tells_what_gains_are_over_where_that_is_not_bicubic():
    told = "difference from a"
    assert told in table(averages(each("a", 30.0) + each("b", 31.0))) and told not in table(averages(each("a", 30.0)))
    assert "difference from" not in table(averages(each("bicubic", 30.0) + each("b", 31.0)))


def test_the_table_tells_what_a_reader_must_know_of_a_metric():
    assert "smaller is better" in table(averages(each("mine", 5.1, metric="niqe")))
    assert "smaller is better" not in table(averages(each("mine", 30.0)))


def test_the_caption_of_an_identical_picture_says_so():
    assert each("mine", math.inf)[0].text == "identical (y)" and each("mine", 30.0)[0].text == "30.00 dB (y)"


def test_where_all_images_are_identical_a_number_stands_for_infinity():
    (mean,) = averages(each("mine", math.inf, math.inf))
    assert (mean.value, mean.remark) == (PSNR.perfect, "2 of 2 identical: 0.png, 1.png") and mean.value == 100.0


def test_what_is_no_number_is_no_mean(caplog):
    assert averages(each("mine", math.nan, math.nan, metric="own")) == []
    assert "own of mine on Mine has no finite value" in caplog.text
    (mean,) = averages(each("mine", math.nan, 3.0, metric="own"))
    assert (mean.value, mean.remark) == (3.0, "1 of 2 without a OWN: 0.png")


def test_an_older_file_with_infinity_is_read_without_it(tmp_path):
    (tmp_path / "results.csv").write_text("model,dataset,scale,protocol,psnr,ssim,images\nmine,Set5,2,y,inf,0.9,5\n")
    assert read(tmp_path / "results.csv") == [Score("mine", "Set5", 2, "y", "ssim", 0.9, 5)]


def test_a_file_in_which_two_rows_are_of_the_same_says_so(tmp_path, caplog):
    rows = ["mine,Set5,2,y,30.1,5", "mine,Set5,2,y,31.2,5", "mine,Set14,2,y,28.0,14", "mine,Set14,2,y,28.0,14"]
    (tmp_path / "results.csv").write_text("\n".join(["model,dataset,scale,protocol,psnr,images", *rows]))
    assert [(s.dataset, s.value) for s in read(tmp_path / "results.csv")] == [("Set5", 31.2), ("Set14", 28.0)]
    assert "several figures of mine on Set5 x2 (y, psnr): the last one counts" in caplog.text


def clips(model: str, metric: str = "psnr", **values: list[float]) -> list[Score]:
    return [
        Score(model, "Mine", 4, "video_y", metric, value, 1, f"{name}/{n}", clip=name)
        for name, frames in values.items()
        for n, value in enumerate(frames)
    ]


def test_clips_count_alike_whatever_their_length(tmp_path):
    scores = clips("mine", a=[20.0, 22.0, 24.0], b=[30.0]) + clips("mine", "ssim", a=[0.5, 0.6, 0.7], b=[0.9])
    psnr, ssim = averages(scores)
    assert (psnr.value, psnr.images, psnr.clips) == (26.0, 4, 2) and ssim.value == 0.75
    assert "video_y: Y unrounded, no shave" in table([psnr]) and "mean over images, of clips over frames" in table(
        [psnr]
    )
    assert "of clips" not in table(averages(each("mine", 30.0)))
    scales = [s.scale for s in averages([*scores, *each("mine", 30.0)])]
    assert scales == [4, 4, 2], "as they were measured: the first set's mean is what a search maximises"
    files = write(scores, tmp_path)
    assert [f.name for f in files] == ["results.csv", "results_per_image.csv", "results_per_clip.csv"]
    per_clip = list(csv.DictReader(files[2].open()))
    assert [(r["clip"], float(r["psnr"]), float(r["ssim"]), r["images"]) for r in per_clip] == [
        ("a", 22.0, pytest.approx(0.6), "3"), ("b", 30.0, 0.9, "1"),
    ]  # fmt: skip
    assert [r["image"] for r in csv.DictReader(files[1].open())] == ["a/0", "a/1", "a/2", "b/0"]
    assert [(s.value, s.images, s.clips) for s in read(files[0])] == [(26.0, 4, 2), (0.75, 4, 2)]
    write(clips("mine", a=[1.0]) + clips("mine", "ssim", a=[0.5]), tmp_path)
    assert not (tmp_path / "results_2.csv").exists(), "the same rows of the table were measured anew"
    assert len(list(csv.DictReader(files[2].open()))) == 1


def test_figures_of_clips_that_are_not_measured_again_are_kept_together(tmp_path):
    write(clips("bicubic", a=[20.0], b=[30.0]), tmp_path)
    write(each("mine", 40.0), tmp_path)
    assert (tmp_path / "results_per_clip_2.csv").is_file() and not (tmp_path / "results_per_clip.csv").exists()


def test_an_identical_frame_is_left_out_and_so_is_a_clip_of_such(tmp_path):
    (mean,) = averages(clips("same", a=[math.inf, 30.0], b=[40.0, 42.0]))
    assert (mean.value, mean.remark) == ((30.0 + 41.0) / 2, "1 of 4 identical: a/0")
    (mean,) = averages(clips("same", a=[math.inf, math.inf], b=[40.0]))
    assert (mean.value, mean.remark) == (40.0, "2 of 3 identical: a/0, a/1")
    (mean,) = averages(clips("same", a=[math.inf], b=[math.inf]))
    assert (mean.value, mean.remark) == (PSNR.perfect, "2 of 2 identical: a/0, b/0")
    scores = clips("odd", a=[20.0], b=[30.0]) + clips("odd", "own", a=[math.nan], b=[3.0])
    psnr, own = averages(scores)
    assert (own.value, own.images, own.remark) == (3.0, 2, "1 of 2 without a OWN: a/0")
    assert table([psnr, own]).count("\nMine") == 1, "a clip without a value gave the set a second row"
    files = write(scores, tmp_path)
    assert [row["own"] for row in csv.DictReader(files[2].open())] == ["", "3.0"]


def test_a_table_that_a_spreadsheet_saved_is_read_or_told_by_what_is_in_it(tmp_path):
    """It was "damaged: 'model'", or "damaged: 'protocol' is not in list"."""
    file, rows = tmp_path / "results.csv", "model,dataset,scale,protocol,psnr,images\nm,set,2,y,30.5,1\n"
    file.write_text(rows.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert [(s.model, s.value) for s in read(file)] == [("m", 30.5)]
    file.write_text(rows.replace(".", "#").replace(",", ";").replace("#", ","))
    with pytest.raises(UserError, match=r"its values stand between semicolons\. Put the former file back"):
        read(file)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("psnr,images", "psnr,psnr,images", "two columns called psnr"),
        ("2,y", "0,y", "scale 0"),
        ("2,y", f"{10**24},y", "scale 1000"),
        ("30.5,1", "30.5,-1", "images -1"),
    ],
)
def test_what_no_command_writes_into_a_table_is_no_figure(tmp_path, before, after, told):
    rows = "model,dataset,scale,protocol,psnr,images\nm,set,2,y,30.5,1\n"
    (tmp_path / "results.csv").write_text(rows.replace(before, after))
    with pytest.raises((UserError, ValueError), match=told):
        read(tmp_path / "results.csv")
