"""How a run is validated and measured at its end, and what is told of that before its first step."""

import csv
import math
import re
import sys

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from small_runs import SMALL, rows

from sr.compose.image_sets import refuse_same_names
from sr.data.folder import SETS, Folder
from sr.errors import UserError
from sr.runs.record import recorded
from sr.scores.published import IMAGES
from sr.training.build import test_sets as sets_to_measure
from sr.training.stage_configs import StageConfig


@pytest.mark.shared
def test_a_run_begins_with_the_papers_figures_and_ends_beside_them(command, div2k, shared):
    outcome = command(
        "train.py", "model=srcnn", "scale=3", "data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[set5]",
        f"data_dir={shared}/data", "budget.test_images=null", "budget.test_middle=null",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    begin, _, end = outcome.out.partition("Beside the published figures:")
    assert "x3 y_classic: Set5 32.39 (github:Lornatang/SRCNN-PyTorch README" in begin
    assert re.search(r"srcnn +Set5 x3 +y_classic .* 32\.39 +-\d+\.\d\d +github:Lornatang", end), end


def test_one_identical_image_freezes_neither_the_mean_nor_the_best_checkpoint(command, div2k):
    Image.new("RGB", (96, 72)).save(div2k / "DIV2K_valid_HR/0802.png")  # black, as the network puts it out at first
    outcome = command(
        "train.py", "model=vdsr", "model.num_layers=3", "scale=2", "data=div2k", f"data.root={div2k}", "budget=smoke",
        "val_every_steps=1", "callbacks=[]", "protocols=[y]", "seed=0",
    )  # fmt: skip
    assert outcome.code == 0 and "note: of x2's validation images 1 of 3 identical" in outcome.out, outcome
    curve = [float(row["val/psnr_y"]) for row in rows(outcome.folder)]
    best = torch.load(outcome.folder / "checkpoints/best.ckpt", weights_only=True)
    assert all(map(math.isfinite, curve)) and best["global_step"] == 1 + curve.index(max(curve)) > 1
    measured = (outcome.folder / "results.csv").read_text()
    assert "inf" not in measured and "psnr_left_out" in measured and "(1 of 3 identical: " in outcome.out


OWN = "from sr.metrics.metric import Metric\nMETRIC = Metric('own', lambda sr, hr: {}, smallest={})\n"


@pytest.mark.parametrize(
    ("typed", "code", "told"),
    [
        ("protocols=[nope]", "", "there is no protocol 'nope'"),
        ("test_protocols=[nope]", "", "there is no protocol 'nope'"),
        ("protocols=[y_classic] degradation=bicubic_noise", "", "protocol=y_classic makes bicubic LR from HR itself"),
        ("protocol=y_float degradation=bicubic_noise protocols=[y]", "", "is made by MatlabBicubic, GaussianNoise"),
        ("metrics=[psnr,nope]", "", "metrics=[nope]: there is no such metric"),
        ("metrics=[psnr,own.py]", OWN.format("sr.mean(1).foo", 1), "metrics: own fails under protocol y on a picture"),
        ("metrics=[psnr,own.py]", OWN.format("0.5", 1), "AttributeError: 'float' object has no attribute 'reshape'"),
        ("metrics=[psnr,own.py]", OWN.format("sr", 1) + "1 / 0", "the file cannot be run: ZeroDivisionError"),
        ("metrics=[psnr,own.py]", "def", "the file cannot be run: SyntaxError"),
        ("metrics=[psnr,own.py]", OWN.format("sr.mean((1, 2, 3))", 71), "0801.png: an image of 72 x 96 pixels"),
    ],
)
def test_what_can_be_wrong_about_measuring_is_told_before_the_first_step(
    command, div2k, tmp_path, monkeypatch, typed, code, told
):
    monkeypatch.delitem(sys.modules, "sr.metrics.own", raising=False)
    (tmp_path / "own.py").write_text(code)
    small = [word for word in SMALL if word != "benchmarks=[]"]
    outcome = command("train.py", *small, "data=div2k", f"data.root={div2k}", "steps=2", *typed.split())
    monkeypatch.delitem(sys.modules, "sr.metrics.own", raising=False)
    assert outcome.code == 1 and told in outcome.err and "Traceback" not in outcome.err, outcome
    assert not (outcome.folder / "checkpoints").exists() and not (outcome.folder / "metrics.csv").exists()


def test_validation_under_a_protocol_that_makes_its_lr(command, div2k):
    first = command("train.py", *SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke", "protocol=y_classic")
    assert first.code == 0, first
    one = command("evaluate.py", f"checkpoint={first.folder}", "data=[div2k]", f"data.root={div2k}",
                  "protocol=y_classic", folder="m")  # fmt: skip
    with (one.folder / "results.csv").open(newline="") as f:
        mine = next(r for r in csv.DictReader(f) if r["model"] == "ecbsr_m4c8")
    assert float(rows(first.folder)[-1]["val/psnr_y_classic"]) == pytest.approx(float(mine["psnr"]), abs=1e-4)


def test_figures_of_former_weights_and_of_other_protocols_are_kept(command, div2k):
    typed = [*(word for word in SMALL if word != "benchmarks=[]"), "data=div2k", f"data.root={div2k}"]
    first = command("train.py", *typed, "steps=2", "val_every_steps=2", "protocols=[y]")
    assert first.code == 0, first
    results = first.folder / "results.csv"
    figures_y = results.read_text()
    for protocols in ("[y]", "[rgb]", "[y,rgb]"):
        assert command("train.py", f"resume={first.folder}", f"protocols={protocols}").code == 0
    kept = results.with_name("results_2.csv")
    assert kept.read_text() == figures_y and not results.with_name("results_3.csv").exists()
    assert {row["protocol"] for row in csv.DictReader(results.open())} == {"y", "rgb"}
    former = results.read_text()
    done = command("train.py", f"resume={first.folder}", "steps=4", "protocols=[y,rgb]")
    assert done.code == 0 and "is kept in results_3.csv" in done.out, done
    assert results.with_name("results_3.csv").read_text() == former != results.read_text()
    assert command("train.py", f"resume={first.folder}", "steps=3", "protocols=[y]").code == 0  # it has done 4
    logged = [row["step"] for row in rows(first.folder) if any(row[key] for key in row if key.startswith("test/"))]
    assert logged == ["2", "4"]


def test_the_objective_of_a_complete_run_is_of_the_metric_that_is_asked_for(command, div2k):
    first = command("train.py", *SMALL, "data=div2k", f"data.root={div2k}", "steps=2", "val_every_steps=2")
    assert first.code == 0 and 5 < recorded(first.folder)["objective"] < 60, first
    assert command("train.py", f"resume={first.folder}").code == 0 and recorded(first.folder)["objective"] > 5
    assert command("train.py", f"resume={first.folder}", "metrics=[ssim]").code == 0
    assert recorded(first.folder)["objective"] is None, "a PSNR"


def test_images_of_ones_own_are_not_taken_for_a_papers_set(command, photos, tmp_path):
    photos(tmp_path / "train", 3)
    photos(tmp_path / "mine/Set5", 5, first=50)
    photos(tmp_path / "benchmarks/Set5/HR", 5, first=70)
    typed = [*(word for word in SMALL if word != "benchmarks=[]"), "data=folder", "steps=2", f"data_dir={tmp_path}"]
    done = command("train.py", *typed, f"data.train={tmp_path}/train", f"data.val={tmp_path}/mine/Set5")
    assert done.code == 0, done
    found = {(row["dataset"], row["images"]) for row in csv.DictReader((done.folder / "results.csv").open())}
    assert found == {("own Set5", "5"), ("other Set5", "5")}
    assert set(IMAGES) < set(SETS)


def test_two_sets_of_one_name_are_refused_before_they_are_measured(photos, tmp_path):
    folders = [photos(tmp_path / place / "photos", 2)[0].parent for place in "ab"]
    sets = [Folder(root=folder, scale=2, cache_dir=tmp_path) for folder in folders]
    with pytest.raises(UserError, match=r"two test sets are called photos: that in .*a/photos and that in .*b/photos"):
        refuse_same_names(sets)


def test_the_set_that_is_trained_on_may_be_named_among_those_that_are_measured(photos, tmp_path):
    """benchmarks=[folder] beside data=folder asked for the data.root that was typed."""
    own = Folder(
        root=photos(tmp_path / "photos", 4)[0].parent, scale=2, cache_dir=tmp_path, val_share=0.5, patch_size=8
    )
    own.check("fit")
    cfg = OmegaConf.create({"benchmarks": ["folder"], "choices": {"data": "folder"}, "scale": 2})
    stage = StageConfig(1, 1, "", cfg, 0, 4)
    assert sets_to_measure(cfg, [stage], [own]) == {2: [own]} and own.test_name == "photos held-out"
    cfg.choices.data = "t91"
    with pytest.raises(UserError, match=r"^benchmarks=\[folder\]: data\.\* are the keys of data=t91 here"):
        sets_to_measure(cfg, [stage], [own])


def test_what_is_typed_twice_is_measured_once(command, photos, tmp_path):
    photos(tmp_path / "mine", 2)
    typed = ["model=bicubic", "scale=2", "benchmarks=[folder,folder]", "protocols=[y,y]", "metrics=[psnr,psnr]"]
    done = command("evaluate.py", *typed, f"data.root={tmp_path}/mine", "panels=0")
    assert done.code == 0, done
    with (done.folder / "results.csv").open() as f:
        (row,) = csv.DictReader(f)
    assert row["images"] == "2"


def test_a_first_metric_that_has_a_value_now_and_then_ends_no_run(command, div2k, photos, tmp_path):
    """Lightning refused that PSNR stood in the bar where the image of the rehearsal was too small for NIQE."""
    small, large = photos(tmp_path / "val", 1, 112, 112), photos(tmp_path / "large", 1, 208, 224, 5)
    large[0].rename(tmp_path / "val/z.png")
    outcome = command(
        "train.py", *SMALL, "data=folder", f"data.train={div2k}/DIV2K_train_HR", f"data.val={tmp_path}/val", "steps=2",
        "val_every_steps=1", "metrics=[niqe,psnr]", "trainer.log_every_n_steps=1",
    )  # fmt: skip
    assert small and outcome.code == 0 and "without a NIQE" in outcome.out + outcome.err, outcome
    assert "val/niqe_y" in rows(outcome.folder)[-1]


def test_a_run_that_ends_before_its_first_validation_says_so(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=3"]
    for every, told in ((4, True), (3, False)):
        outcome = command("train.py", *typed, f"val_every_steps={every}", folder=str(every))
        assert outcome.code == 0 and ("never validated" in outcome.out + outcome.err) == told, outcome
        assert (outcome.folder / "checkpoints/best.ckpt").is_file() != told


LATE = """
import torch
from lightning.pytorch import Callback

class Late(Callback):
    def on_train_end(self, trainer, model):
        with torch.no_grad():
            [p.zero_() for p in model.parameters()]
"""


def test_what_a_callback_changes_when_training_has_ended_is_kept_and_not_measured(
    command, div2k, tmp_path, monkeypatch
):
    """Lightning's SWA put the first weights back: results.csv had their figures, last.ckpt the trained ones."""
    (tmp_path / "late_callback.py").write_text(LATE)
    monkeypatch.syspath_prepend(tmp_path)
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[div2k]", "seed=0"]
    plain = command("train.py", *typed, "callbacks=[]", folder="plain")
    assert plain.code == 0 and "a callback changed" not in plain.out + plain.err, plain
    late = command("train.py", *typed, "callbacks=[]", "+callbacks.late._target_=late_callback.Late", folder="late")
    assert late.code == 0 and "a callback changed the weights when training had ended" in late.out + late.err, late
    assert (late.folder / "results.csv").read_text() == (plain.folder / "results.csv").read_text()
    (file,) = (late.folder / "checkpoints").glob("after_step_*.ckpt")
    kept = torch.load(file, weights_only=True)["state_dict"]
    assert not any(value.any() for key, value in kept.items() if key.endswith("weight"))
