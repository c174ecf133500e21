"""Curves of runs: names, jitter and convergence, against numpy."""

import json
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from matplotlib import axes
from matplotlib.figure import Figure

from sr.comparison import plots
from sr.errors import UserError
from sr.figures.convergence import convergence, first_reached
from sr.figures.curves import curve, groups, labels, meaning
from sr.figures.jitter import jitter, jitter_of
from sr.runs import curves as run_curves
from sr.runs.curves import mean_line, patches_seen, psnr_by_scale
from sr.runs.folder import Run, read_run

ADAM, SGD = {"_target_": "torch.optim.Adam", "lr": 1e-3}, {"_target_": "torch.optim.SGD", "lr": 1e-4}


def test_a_curve_is_one_column_over_its_own_steps(make_run):
    run = make_run("a", [30.0, 31.0])
    column, steps, values = curve(run)
    assert column == "val/psnr_y" and steps.tolist() == [10, 20] and values.tolist() == [30, 31]
    assert curve(run, "train/loss")[1:] == (np.array([1.0]), np.array([0.5]))
    with pytest.raises(UserError, match=r"no val/ssim.*train/loss, val/psnr_y"):
        curve(run, "val/ssim")


def test_of_stages_of_several_scales_the_last_one_is_drawn(make_run):
    stages = {"x2": {"scale": 2}, "final": {}}
    run = make_run("a", [34.0, 35.0, 28.0, 29.0], steps=20, stages=stages)
    _, steps, values = curve(run)
    assert steps.tolist() == [30, 40] and values.tolist() == [28.0, 29.0]
    begun = make_run("b", [34.0], steps=20, stages=stages)
    with pytest.raises(UserError, match="no val/psnr_y of the run's last scale, x4"):
        curve(begun)


def test_a_metric_whose_name_begins_with_psnr_is_none(make_run):
    """As PSNR-B of a file of one's own."""
    run = make_run("a", [30.0, 31.0])
    run = replace(run, curve=[row | {"val/psnr_b_y": 20.0} for row in run.curve])
    assert curve(run)[0] == "val/psnr_y" and list(psnr_by_scale(run)) == ["x4, y"]
    assert (meaning("val/psnr_y"), meaning("val/x2/psnr_rgb_shave4")) == ((", dB", 1), (", dB", 1))
    assert meaning("val/psnr_b_y") == ("", 0), "of its file nothing was read"
    assert meaning("test/Set5/lpips_vgg_y") == meaning("val/lpips_weights_0123abcd_y") == ("", -1)


def test_names_tell_what_is_different_and_seeds_share_one(make_run):
    runs = [make_run("0", optimizer=ADAM), make_run("1", optimizer=ADAM, seed=1), make_run("2", optimizer=SGD)]
    assert labels(runs) == ["Adam, lr=0.001", "Adam, lr=0.001", "SGD, lr=0.0001"]
    assert {k: len(v) for k, v in groups(runs).items()} == {"Adam, lr=0.001": 2, "SGD, lr=0.0001": 1}
    for run in runs:
        run.config["data"] = {"seed": run.seed}  # as train.py composes it
    assert labels(runs) == ["Adam, lr=0.001", "Adam, lr=0.001", "SGD, lr=0.0001"]
    assert labels(runs, ["a", "a", "b"]) == ["a", "a", "b"]
    with pytest.raises(UserError, match="2 names for 3 runs"):
        labels(runs, ["a", "b"])


def test_an_option_names_a_run_and_scales_tell_runs_apart(make_run):
    losses = [make_run(n, loss={"terms": {n: 1}}, choices={"model": "srcnn", "loss": n}) for n in ("l1", "l2")]
    assert labels(losses) == ["loss=l1", "loss=l2"]
    assert labels([make_run("a"), make_run("b", scale=2)]) == ["scale=4", "scale=2"]


def test_models_are_named_and_runs_that_look_alike_by_their_folder(make_run):
    many = {f"loss_{i}": 1 for i in range(4)}
    runs = [make_run("0"), make_run("1", **many), make_run("2", model="vdsr", steps=3)]
    assert labels(runs) == ["srcnn (0)", "srcnn (1)", "vdsr"]
    assert labels(runs[:1]) == ["srcnn"]


def test_rows_of_an_ablation_are_told_by_their_names_whatever_they_set(make_run):
    def row(place: str, name: str, seed: int) -> Run:
        own = {f"loss_{i}": f"{name}{i}" for i in range(5)}
        return make_run(place, [1.0, 2.0], seed=seed, choices={"model": "srcnn", "ablation": f"x/{name}"}, **own)

    runs = [row("0", "l1", 0), row("1", "l1", 1), row("2", "l2", 0)]
    assert labels(runs) == ["l1", "l1", "l2"]
    runs[1].config["extra"] = 1  # beside the rows something was swept over
    assert len(set(labels(runs))) == 3


def test_what_is_not_finite_is_no_point_of_a_curve(make_run):
    assert curve(make_run("a", [1.0, float("inf"), float("nan"), 2.0]))[2].tolist() == [1.0, 2.0]


def test_jitter_is_the_scatter_around_a_trend():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, 4000)
    assert jitter_of(noise + np.linspace(0, 50, 4000), share=1) == pytest.approx(0.3, rel=0.05)
    assert jitter_of(np.linspace(20, 30, 50)) == pytest.approx(0, abs=1e-9)
    late = [9.0, 1.0, 5.0, 2.0, 4.0, 3.0]
    assert jitter_of(np.array(late), 0.5) == pytest.approx(np.std(np.diff(late[3:]), ddof=1) / np.sqrt(2))
    assert np.isnan(jitter_of(np.array([1.0, 2.0])))


def test_jitter_is_drawn_for_each_run(make_run, png):
    runs = [make_run("0", [20, 25, 22, 27, 24, 28], model="repsr"), make_run("1", range(20, 26))]
    drawing = jitter(runs, share=0.6)
    assert [r["label"] for r in drawing.rows] == ["repsr", "srcnn"]
    assert drawing.rows[0]["jitter"] > 1 and drawing.rows[1]["jitter"] == pytest.approx(0)
    assert png(drawing).std() > 10
    with pytest.raises(UserError, match=r"figure\.share=0"):
        jitter(runs, share=0)


def test_a_run_of_too_few_validations_for_its_jitter_is_told(make_run):
    short, long = make_run("0", [20, 25, 22], model="repsr"), make_run("1", range(20, 26))
    assert jitter([short, long]).notes == [
        "no jitter of repsr, seed 0: it has 3 values in all, and 3 in the last 50% are needed"
    ]
    with pytest.raises(UserError, match=r"no run has 3 values of val/psnr_y in the last 50%.*figure\.share=1"):
        jitter([short])
    with pytest.raises(UserError, match="The longest curve has 2 in all: train again with a smaller val_every_steps"):
        jitter([make_run("2", [20, 25], model="repsr")])  # of which figure.share=1 makes no more


def test_the_mean_is_over_the_steps_that_all_seeds_have():
    line = mean_line([{1: 5.0, 2: 6.0, 3: 7.0}, {2: 8.0, 3: 7.0, 4: 1.0}])
    assert line.steps == [2, 3] and line.mean == [7, 7]
    assert line.deviation == pytest.approx(np.std([[6, 7], [8, 7]], axis=0, ddof=1))
    assert first_reached(line, 7) == 2 and np.isnan(first_reached(line, 8))


def test_the_figure_the_page_and_a_sweeps_picture_have_the_same_line(make_run, tmp_path, monkeypatch):
    """Seeds that were not validated at the same steps are averaged where they all were, by one code."""
    runs = [make_run("0", [28, 30, 32]), make_run("1", [29, 33], seed=1)]
    drawn, plot = [], run_curves.plot

    def seen(axes, line, label, **style):
        drawn.append((label, line))
        plot(axes, line, label, **style)

    for module in ("sr.runs.curves", "sr.figures.convergence"):
        monkeypatch.setattr(f"{module}.plot", seen)
    convergence(runs)
    assert run_curves.draw({"srcnn": runs}, tmp_path / "curves.png")
    assert drawn[0] == drawn[1] and (drawn[0][1].steps, drawn[0][1].mean) == ([10, 20], [28.5, 31.5])
    assert plots.curves([("srcnn", run) for run in runs])["val/psnr_y"]["srcnn"] == [(10, 28.5), (20, 31.5)]


def test_of_a_short_run_whole_steps_are_told(make_run, tmp_path, monkeypatch):
    """Two validations, at steps 2 and 4: the axis told of step 2.25."""
    run, shown, save = make_run("0", [28, 29, 30]), [], Figure.savefig
    run = replace(run, curve=[row | {"step": row["step"] / 10} for row in run.curve])

    def seen(self, *given, **how):
        shown.append(self)
        save(self, *given, **how)

    monkeypatch.setattr(Figure, "savefig", seen)
    assert run_curves.draw({"srcnn": [run]}, tmp_path / "curves.png")
    shown.append(convergence([run]).figure)
    told = [[tick for ax in figure.axes for tick in ax.get_xticks()] for figure in shown]
    assert len(told) == 2 and all(ticks and all(tick == int(tick) for tick in ticks) for ticks in told)


def test_convergence_tells_when_the_common_level_is_reached(make_run, png):
    runs = [
        make_run("0", [28, 30, 32], optimizer=ADAM, batch_size=4),
        make_run("1", [28, 31, 33], optimizer=ADAM, batch_size=4, seed=1),
        make_run("2", [20, 25, 30], optimizer=SGD, batch_size=16),
    ]
    drawing = convergence(runs, labels=["Adam", "Adam", "SGD"])
    adam, sgd = drawing.rows
    assert (adam["runs"], adam["last"], adam["level"], adam["level_reached_at"]) == (2, 32.5, 30, 20)
    assert adam["deviation_at_the_end"] == pytest.approx(np.std([32, 33], ddof=1))
    assert (sgd["best"], sgd["level_reached_at"]) == (30, 30)
    assert png(drawing).std() > 5
    by_images = convergence(runs, by_images=True, log_steps=True, labels=["Adam", "Adam", "SGD"]).rows
    assert [row["level_reached_at"] for row in by_images] == [80, 480]
    staged = replace(runs[0], config={"batch_size": 4, "steps": 10, "stages": {"a": {}, "b": {"batch_size": 8}}})
    assert [patches_seen(staged, step) for step in (5, 10, 30)] == [20, 40, 200]
    typed = replace(staged, overrides=["batch_size=4", "stages.b.batch_size=8"])  # what is typed of one goes before
    assert [patches_seen(typed, step) for step in (5, 10, 30)] == [20, 40, 200]


@pytest.mark.parametrize(
    ("column", "best", "reached"),
    [("train/loss", [1, 2], [20, 30]), ("val/ssim_y", [4, 5], [10, 10]), ("train/l1", [None, None], [None, None])],
)
def test_what_is_no_psnr_has_its_own_unit_and_its_own_best(make_run, column, best, reached):
    """A loss of 3 is no better than one of 1, and is no decibels."""
    runs = [
        replace(run, curve=[{"step": 10 * n, column: value} for n, value in enumerate(values, 1)])
        for run, values in ((make_run("0", optimizer=ADAM), [4, 1, 3]), (make_run("1", optimizer=SGD), [5, 3, 2]))
    ]
    drawing = convergence(runs, key=column)
    assert [row["best"] for row in drawing.rows] == best
    assert [row["level_reached_at"] for row in drawing.rows] == reached
    for figure in (drawing.figure, jitter(runs, key=column, share=1).figure):
        told = [axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes]
        told += [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
        assert not any("dB" in text for text in told), told
    assert meaning("val/x2/psnr_y") == (", dB", 1) and meaning("val/lpips_rgb") == ("", -1) == meaning("train/loss")


def test_runs_without_a_common_step_are_refused_by_name(make_run):
    runs = [make_run("0", [1, 2], every=10), make_run("1", [1, 2], every=7, seed=1)]
    with pytest.raises(UserError, match=r"srcnn.*no step"):
        convergence(runs)


def test_a_seed_that_did_not_finish_cuts_no_curve(make_run):
    whole, cut = make_run("a", [30.0, 31.0, 32.0], seed=0), make_run("b", [5.0], seed=1)
    drawing = convergence([whole, replace(cut, status="failed")])
    assert [(row["runs"], row["last"]) for row in drawing.rows] == [(1, 32.0)]
    assert "1 of 2 runs did not finish and are left out" in drawing.notes[0]
    assert convergence([replace(cut, status="failed")]).rows[0]["last"] == 5.0


def test_validations_that_cannot_be_compared_are_on_no_common_axis(make_run, tmp_path):
    one = make_run("0", [28, 30, 32])
    with pytest.raises(UserError, match=r"(?s)val/psnr_y, x4: \S+0\n  val/psnr_y, x2: \S+1\n.*runs of one"):
        convergence([one, make_run("1", [33, 34, 35], scale=2)])
    other = make_run("2", [28, 30, 32])
    file = other.folder / "metrics.csv"
    file.write_text(file.read_text().replace("val/psnr_y", "val/psnr_rgb"))
    with pytest.raises(UserError, match=r"(?s)val/psnr_y: \S+0\n  val/psnr_rgb: \S+2"):
        convergence([one, read_run(other.folder)])
    for run, images in ((one, {"a": "aa bb", "b": "cc"}), (other := make_run("3", [28, 30, 32]), {"x": "aa"})):
        (run.folder / "sets.json").write_text(json.dumps({"train": {}, "val": images}))
    with pytest.raises(UserError, match=r"(?s)val/psnr_y, images 1: \S+0\n  val/psnr_y, images 2: \S+3"):
        convergence([one, other])
    both = [("one", one), ("other", other)]
    assert [*plots.curves(both)] == ["val/psnr_y, images 1", "val/psnr_y, images 2"]
    assert len(convergence([one, other], key="train/loss").rows) == 1
    ranges = [make_run(f"of {white}", [28], loss={"range": white}) for white in (1, 255)]
    with pytest.raises(UserError, match=r"(?s)train/loss, loss 1: .*of 1\n  train/loss, loss 2: .*of 255"):
        convergence(ranges, key="train/loss")  # one "reached" the level of the other's loss
    (other.folder / "sets.json").write_text(json.dumps({"train": {}, "val": {"c": "cc", "d": "aa ff"}}))
    assert [*plots.curves(both)] == ["val/psnr_y, LR 1", "val/psnr_y, LR 2"]  # of the same HR
    (other.folder / "sets.json").write_text(json.dumps({"train": {}, "val": {"c": "cc", "d": "aa bb"}}))
    assert len(convergence([one, other]).rows) == 1 and [*plots.curves(both)] == ["val/psnr_y"]
    blurred = {"steps": [{"_target_": "x.Blur", "sigma": 2, "scale": 4}]}
    third = make_run("5", [28, 30], degradation=blurred, choices={"model": "srcnn", "degradation": "blur"})
    fourth = make_run("6", [28, 30], degradation=blurred | {"edge": 1}, choices={"degradation": "bicubic"})
    with pytest.raises(UserError, match=r"(?s)val/psnr_y, blur: \S+5\n  val/psnr_y, bicubic: \S+6"):
        convergence([third, fourth])
    fifth = make_run("7", [28, 30], degradation=blurred | {"edge": 2}, choices={"degradation": "bicubic"})
    with pytest.raises(UserError, match=r"(?s)val/psnr_y, LR 1: \S+6\n  val/psnr_y, LR 2: \S+7"):
        convergence([fourth, fifth])
    titles, own = [], axes.Axes.set
    with mock.patch.object(axes.Axes, "set", lambda self, **to: titles.append(to.get("title")) or own(self, **to)):
        assert run_curves.draw({"a": [one], "b": [read_run(make_run("4", [1, 2], scale=2).folder)]}, tmp_path / "c.png")
        assert run_curves.draw({"a": [fourth], "b": [fifth]}, tmp_path / "d.png")
    assert titles == ["x4, y", "x2, y", "x4, y, LR 1", "x4, y, LR 2"]


def test_jitter_of_validations_that_cannot_be_compared_is_on_no_common_axis(make_run):
    values = [28, 29, 30, 31, 30, 32]
    one, other = make_run("0", values), make_run("1", values, scale=2)
    with pytest.raises(UserError, match=r"(?s)figure=jitter.*val/psnr_y, x4: \S+0\n  val/psnr_y, x2: \S+1\n"):
        jitter([one, other])
    assert len(jitter([one, make_run("2", values, seed=1)]).rows) == 2
