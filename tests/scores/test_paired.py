"""Whether a difference is real, against counts and simulations that know."""

import csv
import math
import tracemalloc
from itertools import product
from statistics import fmean

import numpy as np
import pytest

from sr.scores.paired import Paired, differences
from sr.scores.results import measured, stored, write
from sr.scores.score import averages, of_clips, scores_of
from sr.scores.wilcoxon import p_values

PLACE = ("Set5", 4, "y", "psnr")


def values(*numbers):
    return {f"image{n}": value for n, value in enumerate(numbers)}


def test_wilcoxons_p_is_the_share_of_signs_that_are_as_extreme():
    each = [0.3, -0.1, 0.5, 0.7, 0.2, 0.45]
    d = differences({"a": [values(*each)], "b": [values(*[0.0] * 6)]})["a", "b"]
    order = sorted(each, key=abs)
    ranks = [order.index(x) + 1 for x in each]
    seen = sum(rank for rank, x in zip(ranks, each, strict=True) if x > 0)
    sums = [sum(r for r, sign in zip(ranks, signs, strict=True) if sign) for signs in product((0, 1), repeat=6)]
    assert d.p == pytest.approx(2 * sum(s >= seen for s in sums) / len(sums))
    assert d.mean == pytest.approx(fmean(each)) and d.low < d.mean < d.high and (d.images, d.runs) == (6, 1)


def test_the_interval_of_one_run_is_scipys_bootstrap():
    from scipy.stats import bootstrap

    each = np.random.default_rng(1).normal(0.05, 0.1, 14)
    d = differences({"a": [values(*each)], "b": [values(*np.zeros(14))]})["a", "b"]
    wanted = bootstrap((each,), np.mean, method="percentile", rng=np.random.default_rng(2)).confidence_interval
    assert (d.low, d.high) == (pytest.approx(wanted.low, abs=3e-3), pytest.approx(wanted.high, abs=3e-3))


def test_the_interval_holds_the_true_difference_in_about_95_of_100_studies():
    """Eight seeds on thirty images: seeds move all images of a run, images move all runs."""
    generator, held = np.random.default_rng(0), []
    for _ in range(40):
        hard = generator.normal(0, 3, 30)
        gained = generator.normal(0, 0.1, 30)
        runs = [hard + generator.normal(0, 0.05, (8, 1)) + generator.normal(0, 0.02, (8, 30)) for _ in "ab"]
        a, b = ([values(*run) for run in table] for table in (runs[0] + 0.07 + gained, runs[1]))
        d = differences({"a": a, "b": b})["a", "b"]
        held.append(d.low < 0.07 < d.high)
    assert 0.85 <= fmean(held) <= 0.99


def test_what_is_not_of_the_same_images_is_not_compared():
    five, other = values(1, 2, 3, 4, 5), {"else": 1.0, "other": 2.0}
    assert differences({"a": [five], "b": [other]}) == {}
    assert differences({"a": [values(1)], "b": [values(2)]}) == {}, "one image tells nothing"
    found = differences({"a": [five, values(2, 3, 4, 5, float("inf")), other], "b": [values(1, 1, 1, 1, 1)]})
    assert (found["a", "b"].images, found["a", "b"].runs) == (4, 2)
    assert found["a", "b"].mean == pytest.approx(fmean([0, 1, 2, 3, 1, 2, 3, 4]))
    same = differences({"a": [five], "b": [dict(five)]})["a", "b"]
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_an_image_that_is_another_one_by_its_baseline_is_not_held_against_it(tmp_path):
    paired, bicubic = Paired(), values(20, 21, 22, 23, 24)
    turned = values(24, 21, 22, 23, 20)  # two files have exchanged their names
    paired.add("a", PLACE, values(30, 31, 32, 33, 34), bicubic)
    paired.add("b", PLACE, values(30, 31, 32, 33, 35), {n: v + 0.004 for n, v in bicubic.items()})
    paired.add("c", PLACE, values(34, 31, 32, 33, 30), turned)
    table, notes = paired.write(tmp_path)
    assert [line[0] for line in table] == ["difference from the best", "a", "b"]
    assert notes[0].endswith("under the names image0, image4: these are not held against each other")
    alone = Paired()
    alone.add("a", PLACE, values(30, 31), values(20, 21))
    alone.add("c", PLACE, values(31, 30), values(21, 20))
    assert alone.write(tmp_path) == ([], [notes[0].replace("image4", "image1")])


def test_the_table_tells_each_from_the_best_and_the_file_holds_all_pairs(tmp_path):
    paired = Paired()
    for model, gain in {"a": 0.0, "b": 0.5, "c": 0.2}.items():
        paired.add(model, PLACE, values(*(30 + n + gain + 0.01 * n * (model == "b") for n in range(8))))
        paired.add(model, ("Two", *PLACE[1:]), values(30 + gain, 32 + gain))
        paired.add(model, ("Set5", 4, "rgb", "psnr"), values(*(30 + n + gain for n in range(5))))
    (head, *lines), notes = paired.write(tmp_path)
    assert head == ["difference from the best", "Set5 x4 y", "Two x4 y", "Set5 x4 rgb"]
    assert "over images (over 5: never below 0.062, over 2: never below 0.5)." in notes[0]
    assert [line[0] for line in lines] == ["a", "b", "c"] and lines[1][1] == "best"
    assert lines[0][1].startswith("-0.5") and lines[0][1].endswith("p 0.0078") and "differences.csv" in notes[0]
    with (tmp_path / "differences.csv").open(newline="") as f:
        all_rows = [row for row in csv.DictReader(f) if (row["dataset"], row["protocol"]) == ("Set5", "y")]
    rows = {(row["model"], row["other"]): float(row["difference"]) for row in all_rows}
    assert rows == {
        ("a", "b"): pytest.approx(-0.535),
        ("a", "c"): pytest.approx(-0.2),
        ("b", "c"): pytest.approx(0.335),
    }


def test_files_of_a_run_are_read_where_its_means_are_theirs(tmp_path):
    scores = [s for n in range(3) for s in scores_of("net", "=Set", 2, "y", {"psnr": 30.0 + n}, 1, f"+{n}")]
    frames = [s for clip in "ab" for n in range(2)
              for s in scores_of("net", "clips", 2, "y", {"psnr": 20.0 + n}, 1, f"{clip}/{n}", clip)]  # fmt: skip
    write([*scores, *frames], tmp_path)
    means = averages([*scores, *frames])
    wanted = {("net", ("=Set", 2, "y", "psnr")): {"+0": 30, "+1": 31, "+2": 32},
              ("net", ("clips", 2, "y", "psnr")): {"a": 20.5, "b": 20.5}}  # fmt: skip
    assert {(m, place): v for m, place, v in stored(tmp_path, means)} == wanted
    assert {(m, place): v for m, place, v in measured([*scores, *frames])} == wanted
    assert [s.value for s in of_clips(frames)] == [20.5, 20.5]
    others = averages(scores_of("net", "=Set", 2, "y", {"psnr": 31.5}, 3, "x"))
    doubts = []
    assert not list(stored(tmp_path, others, lambda s, told: doubts.append((s.value, told)))), "of another measuring"
    assert doubts[0][0] == 31.5 and "says 31.50 of net on =Set x2 (y), but its images have 31.00" in doubts[0][1]
    told = Paired(doubts=["it was changed"] * 2).write(tmp_path)[1]
    assert told == ["it was changed"], "of a run with self-ensemble, which is two rows of a sweep's table"
    (tmp_path / "results_per_image.csv").write_text("model,dataset\nnet,x\n\n\0")
    assert [place[0] for _, place, _ in stored(tmp_path, means)] == ["clips"]
    (tmp_path / "results_per_clip.csv").write_bytes(b"model,dataset,clip,scale,protocol,psnr\n\xff,x,y,z,1,1")
    assert not list(stored(tmp_path, means))


def test_many_images_take_little_memory_and_other_portions_give_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    runs = {m: [dict(enumerate(rng.normal(30, 1, 90)))] * n for m, n in (("a", 1), ("b", 2))}
    one = differences({m: [{str(k): v for k, v in run.items()} for run in all_] for m, all_ in runs.items()})
    monkeypatch.setattr("sr.scores.paired.CELLS", 1000)
    other = differences({m: [{str(k): v for k, v in run.items()} for run in all_] for m, all_ in runs.items()})
    assert other["a", "b"] == pytest.approx(one["a", "b"], abs=1e-12)
    monkeypatch.undo()
    monkeypatch.setattr("sr.scores.paired.MOST_CELLS", 10_000_000)
    many = {m: [{str(n): v for n, v in enumerate(rng.normal(mean, 1, 10_000))}] for m, mean in (("a", 30), ("b", 30.1))}
    tracemalloc.start()
    found = differences(many)["a", "b"]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    half = 1.96 * (2 / 10_000) ** 0.5  # of the interval
    assert most < 200e6 and (found.high - found.low) / 2 == pytest.approx(half, rel=0.15)


def test_p_of_many_samples_at_once_is_scipys():
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(0)
    for n in (2, 5, 14, 50, 51):
        table = rng.normal(0.1, 1, (6, n))
        table[0], table[1, 0], table[2, 1] = 0, 0, -table[2, 0]  # nothing, a zero, a tie
        wanted = [wilcoxon(row).pvalue if row.any() else 1 for row in table]
        assert p_values(table) == pytest.approx(wanted, rel=1e-9)


def test_of_very_many_models_each_stands_beside_the_best_one(tmp_path, monkeypatch):
    monkeypatch.setattr("sr.scores.paired.MOST_MODELS", 5)
    paired = Paired()
    for n in range(8):
        paired.add(f"m{n}", PLACE, values(*(30 + i + n / 10 + 0.01 * i * (n % 2) for i in range(6))))
    (_, *lines), notes = paired.write(tmp_path)
    assert [line[1] == "best" for line in lines] == [n == 7 for n in range(8)] and all(line[1] for line in lines)
    with (tmp_path / "differences.csv").open(newline="") as f:
        assert [(row["model"], row["other"]) for row in csv.DictReader(f)] == [(f"m{n}", "m7") for n in range(7)]
    assert "each beside the best one: differences.csv" in notes[0]


def test_the_best_is_so_on_images_that_no_model_makes_perfectly(tmp_path):
    """A black image has an infinite PSNR for all: the first model was called the best."""
    paired = Paired()
    for model, gain in {"worse": 0.0, "better": 4.5}.items():
        paired.add(model, PLACE, values(30 + gain, 31 + gain, float("inf")))
    (_, *lines), _ = paired.write(tmp_path)
    assert lines[1] == ["better", "best"] and lines[0][1].startswith("-4.50"), lines


def test_each_column_of_differences_tells_its_metric(tmp_path):
    """NIQE has no value under a protocol without colours: PSNR stood there as NIQE."""
    paired = Paired()
    for model, value in {"a": 4.0, "b": 5.0}.items():
        paired.add(model, (*PLACE[:3], "niqe"), values(value, value))
        paired.add(model, ("Set5", 4, "y_classic", "psnr"), values(30 - value, 31 - value))
    (head, *_), notes = paired.write(tmp_path)
    assert head[1:] == ["Set5 x4 y, NIQE", "Set5 x4 y_classic, PSNR"] and notes[0].startswith("NIQE / PSNR, 95 %")


def test_a_clip_that_comes_out_identical_counts_for_none(tmp_path):
    """Its mean stood as 100 dB in results_per_clip.csv, so that of no mean the clips seemed to be its own."""
    values = {"a": [math.inf, math.inf], "b": [30.0, 32.0], "c": [40.0, 40.0]}
    frames = [s for clip, found in values.items() for n, value in enumerate(found)
              for s in scores_of("net", "clips", 2, "video_y", {"psnr": value}, 1, f"{clip}/{n}", clip)]  # fmt: skip
    write(frames, tmp_path)
    doubts = []
    ((_, _, found),) = stored(tmp_path, averages(frames), lambda s, told: doubts.append(told))
    assert found == {"a": math.inf, "b": 31.0, "c": 40.0} and not doubts
    assert [value for *_, value in measured(frames)] == [found]


def test_the_best_is_so_among_models_that_measured_the_same_images(tmp_path):
    every = {"a": [37, 36, 35, 28, 27], "b": [36, 35, 34, 27, 26], "e": [35, 34, 33, 26, 25]}
    few = {"c": [34, 33, 32], "d": [33, 32, 31]}
    told = Paired()
    for model, values in (few | every).items():
        told.add(model, ("Set5", 4, "y", "psnr"), dict(enumerate(map(float, values))))
    table, _ = told.write(tmp_path)
    cells = {line[0]: line[1] for line in table[1:]}
    assert cells["a"] == "best" and cells["b"].startswith("-1.00") and cells["c"] == cells["d"] == ""


def test_none_is_called_the_best_by_a_metric_of_which_nobody_knows_whether_more_is_better(tmp_path):
    """As one of the user's own, in a command that did not read its file."""
    paired, unknown = Paired(), (*PLACE[:3], "mine_alone")
    for model, error in (("good", 5.0), ("bad", 80.0)):
        paired.add(model, unknown, values(error, error + 1))
    table, notes = paired.write(tmp_path)
    assert table == [] and (tmp_path / "differences.csv").is_file()
    assert notes == [
        "whether more or less of MINE_ALONE is better is not known here, so that none is called the best by it: its "
        "file tells (better=), as sr compare runs=[...] metrics=[PATH/mine_alone.py]"
    ]
    for model, psnr in (("good", 34.0), ("bad", 10.0)):
        paired.add(model, PLACE, values(psnr, psnr + 1))
    table, notes = paired.write(tmp_path)
    assert [line[:2] for line in table[1:]] == [["good", "best"], ["bad", "-24.00 [-24.00, -24.00] p 0.5"]]
    assert notes[0].startswith("PSNR, 95 % interval")
