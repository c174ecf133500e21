"""What is drawn over runs: curves cut where the scale changes, and the papers' points where LR is theirs."""

import dataclasses

import pytest

from sr.comparison.columns import tabulate
from sr.comparison.plots import cost_pictures, curves
from sr.comparison.rows import labelled, lr_settings, rows
from sr.runs import curves as pictures


@pytest.fixture
def staged(made_up):
    """A run that trained x2 for 20 steps and then x4, as recipe=edsr_x2_first does."""
    run = made_up("a", scale=4, steps=20, stages={"x2": {"scale": 2}, "final": {}}).run
    run.curve[:] = [{"step": float(n), "val/psnr_y": (33.0 if n <= 20 else 27.0) + n / 100} for n in (10, 20, 30, 40)]
    return run


def test_curves_of_stages_at_another_scale_stand_for_themselves(staged, made_up):
    found = curves([("a", staged), ("b", made_up("b", scale=4).run)])
    assert [(n, [step for step, _ in lines["a"]]) for n, lines in found.items() if "a" in lines] == [
        ("val/psnr_y", [30, 40]),
        ("val/psnr_y, x2", [10, 20]),
    ]
    assert len(found["val/psnr_y"]["b"]) == 3
    assert pictures.psnr_by_scale(staged) == {"x2, y": {10: 33.1, 20: 33.2}, "x4, y": {30: 27.3, 40: 27.4}}


def test_the_logged_stage_wins_over_the_counted_one(staged):
    staged.curve[2]["stage"] = 1.0
    assert [scale for _, scale in pictures.by_scale(staged)] == [2, 2, 2, 4]
    run = dataclasses.replace(staged, overrides=["steps=30"], config=staged.config | {"steps": 30})
    run.curve[2].pop("stage")
    assert [scale for _, scale in pictures.by_scale(run)] == [2, 2, 2, 4]  # what was typed holds in every stage


def test_several_scales_at_once(made_up):
    run = made_up("a", scale=[2, 4]).run
    run.curve[:] = [{"step": 1.0, "val/psnr_y": 30.0, "val/x2/psnr_y": 33.0, "val/x4/psnr_y": 27.0}]
    assert pictures.psnr_by_scale(run) == {"x2, y": {1: 33.0}, "x4, y": {1: 27.0}}


def papers(source):
    pictures = cost_pictures(tabulate(rows(labelled([source]))))
    return {c["title"].split(", ")[1]: any(p["paper"] for p in c["points"]) for c in pictures}


def test_papers_stand_only_beside_figures_on_their_lr(made_up):
    source = made_up("a", scale=4, bicubic=28.42)
    own = [dataclasses.replace(s, protocol="y_classic") for s in source.run.scores if s.protocol == "y"]
    source.run.scores.extend(own)
    assert papers(source)["y"] and papers(source)["y_classic"]
    source.run.overrides[:] = ["degradation=bicubic"]
    assert papers(source)["y"]
    source.run.overrides[:] = ["degradation=bicubic_noise"]
    assert not papers(source)["y"] and papers(source)["y_classic"]  # whose LR is its own
    now = [dataclasses.replace(row, other_lr=frozenset({"Set5"})) for row in rows(labelled([made_up("b", scale=4)]))]
    assert not any(p["paper"] for p in cost_pictures(tabulate(now))[0]["points"])
    assert not papers(made_up("c", scale=4, bicubic=29.0))["y"], "of other images, as bicubic has 28.42 on theirs"


def test_settings_that_say_what_lr_is():
    about = ["degradation=bicubic_old", "degradation.steps=[]", "+data.lr=LR_old", "data.track=wild", "data.test_lr=a"]
    assert lr_settings([*about, "data.sets.div2k.track=wild", "data=set5", "data.train_lr=b", "optimizer.lr=1"]) == [
        *about,
        "data.sets.div2k.track=wild",
    ]


def test_curves_of_one_label_at_several_scales_are_apart(made_up):
    found = curves([("A", made_up(f"x{s}", scale=s).run) for s in (2, 4)] + [("B", made_up("b").run)])
    assert [*found["train/loss, x2"]] == [*found["train/loss, x4"]] == ["A"] and [*found["train/loss"]] == ["B"]


def test_pictures_of_a_set_and_of_a_part_of_it_have_titles_of_their_own(made_up):
    part = made_up("b", psnr=34.0)
    scores = [dataclasses.replace(s, images=3) for s in part.run.scores]
    sources = [made_up("a"), dataclasses.replace(part, run=dataclasses.replace(part.run, scores=scores))]
    titles = [picture["title"] for picture in cost_pictures(tabulate(rows(labelled(sources))))]
    assert {"Set5 x2, y, 5 images", "Set5 x2, y, 3 images"} <= {*titles} and len({*titles}) == len(titles)


def test_a_typed_batch_holds_in_every_stage(made_up):
    run = made_up("a", steps=10, batch_size=4, stages={"first": {}, "second": {"batch_size": 64}}).run
    assert pictures.patches_seen(run, 20) == 680
    assert pictures.patches_seen(dataclasses.replace(run, overrides=["batch_size=4"]), 20) == 80
