"""Means of scores and the files that hold them."""

import csv
import math

from sr.metrics.psnr import METRIC as PSNR
from sr.scores.score import Score, averages, read, table, write


def each(model: str, *values: float, metric: str = "psnr") -> list[Score]:
    return [Score(model, "Mine", 2, "y", metric, value, 1, f"{n}.png") for n, value in enumerate(values)]


def test_an_identical_image_hides_no_other_and_is_told(tmp_path):
    scores = [*each("bicubic", math.inf, 30.0), *each("mine", 40.0, 32.0), *each("same", math.inf, 33.0)]
    means = averages(scores)
    assert [(s.value, s.images, s.left_out) for s in means] == [(30.0, 2, 1), (36.0, 2, 0), (33.0, 2, 1)]
    text = table(means)
    # Means over other images have no difference.
    assert "30.00 (1 of 2 identical)" in text and "33.00 (+3.00) (1 of 2 identical)" in text and "36.00 (" not in text
    assert "identical: the output is HR itself" in text and "PSNR 100 dB where there is none" in text
    write(scores, tmp_path)
    assert read(tmp_path / "results.csv") == means
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [r["psnr_left_out"] for r in rows] == ["1", "", "1"] and "inf" not in (tmp_path / "results.csv").read_text()


def test_the_caption_of_an_identical_picture_says_so():
    assert each("mine", math.inf)[0].text == "identical (y)" and each("mine", 30.0)[0].text == "30.00 dB (y)"


def test_where_all_images_are_identical_a_number_stands_for_infinity():
    (mean,) = averages(each("mine", math.inf, math.inf))
    assert (mean.value, mean.remark) == (PSNR.perfect, "2 of 2 identical") and mean.value == 100.0


def test_what_is_no_number_is_no_mean(caplog):
    assert averages(each("mine", math.nan, math.nan, metric="own")) == []
    assert "own of mine on Mine has no finite value" in caplog.text
    (mean,) = averages(each("mine", math.nan, 3.0, metric="own"))
    assert (mean.value, mean.remark) == (3.0, "1 of 2 without a OWN")


def test_an_older_file_with_infinity_is_read_without_it(tmp_path):
    (tmp_path / "results.csv").write_text("model,dataset,scale,protocol,psnr,ssim,images\nmine,Set5,2,y,inf,0.9,5\n")
    assert read(tmp_path / "results.csv") == [Score("mine", "Set5", 2, "y", "ssim", 0.9, 5)]
