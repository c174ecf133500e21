"""Published points and runs beside them."""

import pytest

from sr.errors import UserError
from sr.figures.bubble import area, bubble, published_points, run_points
from sr.measuring.cost import Cost
from sr.models.srcnn import SRCNN


def row(model, psnr, protocol="y_classic", dataset="Set5", scale=4):
    return {"model": model, "dataset": dataset, "scale": scale, "protocol": protocol, "psnr": psnr,
            "ssim": 0.8104 if model == "bicubic" else 0.9, "images": 5}  # fmt: skip


def test_published_points_carry_protocol_and_source():
    points = {p["model"]: p for p in published_points(4, "Set5", ("y", "y_uint8", "y_classic"))}
    assert (points["bsrn"]["psnr"], points["bsrn"]["macs_g"], points["bsrn"]["parameters"]) == (32.35, 19.18, 352400)
    assert points["bsrn"]["protocol"] == "y" and points["vdsr"]["protocol"] == "y_classic"
    assert points["rlfn_s"]["kind"] == "recalled" and points["bsrn"]["kind"] == "published"
    assert "bsrn" not in {p["model"] for p in published_points(4, "Set5", ("y_classic",))}


def test_a_run_is_counted_and_placed_under_its_own_protocol_as_it_ended(make_run):
    others = [row("bicubic", 28.4), row("srcnn (first)", 29.0), row("srcnn+", 30.3), row("srcnn", 28.4, "rgb")]
    run = make_run("a", results=[row("srcnn", 30.1), *others])
    other = make_run("b", results=[row("srcnn", 25.0, dataset="B100")])
    (point,) = run_points([run, other], 4, "Set5", ("y", "y_classic"))
    assert (point["psnr"], point["protocol"], point["kind"]) == (30.1, "y_classic", "ours")
    assert point["parameters"] == sum(p.numel() for p in SRCNN(4).parameters())
    assert point["macs_g"] == pytest.approx((64 * 81 + 32 * 64 + 32 * 25) * 1280 * 720 / 1e9)


def test_a_run_of_several_protocols_is_drawn_under_the_first_as_the_papers_are(make_run):
    run = make_run("a", results=[row("srcnn", 30.1), row("srcnn", 30.4, "y")])
    assert [(p["psnr"], p["protocol"]) for p in run_points([run], 4, "Set5", ("y", "y_classic"))] == [(30.4, "y")]


def test_a_run_on_other_images_than_the_papers_is_not_among_theirs(make_run):
    """Of a folder called Set5, on which bicubic has 28.42 dB in the papers."""
    runs = [make_run(str(psnr), results=[row("bicubic", psnr), row("srcnn", 30.1)]) for psnr in (28.4, 29.0)]
    assert [p["source"] for p in run_points(runs, 4, "Set5", ("y_classic",))] == [str(runs[0].folder)]


def test_it_is_drawn_with_runs_and_says_what_was_left_out(make_run, png):
    runs = [make_run("a", results=[row("srcnn", 30.1)]), make_run("b", results=[row("srcnn", 25.0, dataset="B100")])]
    drawing = bubble(runs)
    assert [r["kind"] for r in drawing.rows].count("ours") == 1
    assert drawing.notes == [
        "1 of 2 runs have no figure on all of Set5 x4, on the papers' images and LR, "
        "under y, y_uint8, y_classic, y_float"
    ]
    assert png(drawing).std() > 5
    names = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert len(names) == len(drawing.rows) and "bsrn" in names


def test_multiply_adds_that_are_not_all_counted_are_told(make_run, monkeypatch):
    monkeypatch.setattr("sr.figures.bubble.cost", lambda *_: Cost(10**9, 1, 1, 1, ("bmm x 4",)))
    drawing = bubble([make_run("a", results=[row("srcnn", 30.1)])])
    assert drawing.notes == ["srcnn + ?: multiply-adds measured, without bmm x 4, which the counter does not know"]
    assert [r["macs_kind"] for r in drawing.rows if r["kind"] == "ours"] == ["measured, without bmm x 4"]
    assert "srcnn + ?" in [text.get_text() for text in drawing.figure.axes[0].texts]


def test_runs_of_one_network_are_named_once(make_run):
    runs = [make_run(str(n), results=[row("srcnn", 30.0 + n)]) for n in range(3)]
    names = [text.get_text() for text in bubble(runs, models=["vdsr"]).figure.axes[0].texts]
    assert sorted(names) == ["srcnn and 2 more", "vdsr"]


def test_a_choice_of_models_another_set_and_nothing_left():
    assert {r["model"] for r in bubble(scale=2, dataset="Urban100", models=["bsrn", "imdn"]).rows} == {"bsrn", "imdn"}
    with pytest.raises(UserError, match="no figure on Set6 x4"):
        bubble(dataset="Set6")
    with pytest.raises(UserError, match=r"figure\.models=bsnr: no such network.*Did you mean bsrn.* There are .*edsr"):
        bubble(models=["imdn", "bsnr"])
    (note,) = bubble(scale=3, models=["imdn", "rlfn"]).notes
    assert note.startswith("no figure and cost of rlfn on Set5 x3 under y, ")


def test_areas_are_in_proportion_to_parameters():
    assert area(2e6) == pytest.approx(2 * area(1e6)) and area(0) == 0


def test_a_network_is_drawn_at_its_own_cost_and_what_is_recalled_is_told():
    (rfdn,) = (p for p in published_points(4, "Set5", ("y",)) if p["model"] == "rfdn")
    assert (rfdn["macs_g"], rfdn["macs_kind"], rfdn["parameters_kind"], rfdn["psnr_kind"]) == (
        31.37, "counted", "readme", "readme",
    )  # fmt: skip
    assert all(p["kind"] == "recalled" for p in published_points(2, "Set5", ("y",)) if "memory" in p.values())


def test_a_run_on_a_part_of_a_set_does_not_stand_beside_figures_of_the_whole(make_run):
    assert not run_points([make_run("a", results=[row("srcnn", 30.1) | {"images": 2}])], 4, "Set5", ("y_classic",))


def test_a_run_on_other_lr_does_not_stand_beside_figures_of_the_papers(make_run):
    blurred = make_run("a", results=[row("srcnn", 29.0, "y") | {"lr": "made by GaussianBlur, MatlabBicubic"}])
    plain = make_run("b", results=[row("srcnn", 30.0, "y") | {"lr": "bicubic"}])
    assert [p["psnr"] for p in run_points([blurred, plain], 4, "Set5", ("y",))] == [30.0]
    assert bubble([blurred]).notes
