"""evaluate.py as users type it."""

import copy
import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sr.layers.statistics import batch_norms
from sr.measuring import scoring
from sr.measuring.evaluate import with_statistics
from sr.measuring.scoring import Entry, KeptReferences
from sr.metrics.protocol import Protocol
from sr.metrics.protocols import get_protocol
from sr.models.repsr import RepSR
from sr.runs import checkpoint
from sr.scores.results import read
from sr.scores.score import table

PUBLISHED_BICUBIC = {  # EDSR paper, Table 3: PSNR and SSIM on Y
    2: {"Set5": (33.66, 0.9299), "Set14": (30.24, 0.8688), "B100": (29.56, 0.8431)},
    3: {"Set5": (30.39, 0.8682), "Set14": (27.55, 0.7742), "B100": (27.21, 0.7385)},
    4: {"Set5": (28.42, 0.8104), "Set14": (26.00, 0.7027), "B100": (25.96, 0.6675)},
}


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as f:
        return list(csv.DictReader(f))


@pytest.fixture
def run(command, div2k):
    """The folder of a finished tiny run."""
    outcome = command(
        "train.py", "model=ecbsr_m4c8", "scale=2", "data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[]",
        folder="trained",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    return outcome.folder


@pytest.mark.shared
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_gives_the_published_rows(command, shared, scale):
    outcome = command(
        "evaluate.py", "model=bicubic", "data=[set5,set14,b100]", f"scale={scale}", f"data_dir={shared}/data"
    )
    assert outcome.code == 0, outcome
    measured = {(r["dataset"], r["protocol"]): r for r in results(outcome.folder)}
    for name, (psnr, ssim) in PUBLISHED_BICUBIC[scale].items():
        row = measured[name, "y_classic"]
        assert float(row["psnr"]) == pytest.approx(psnr, abs=0.01), name
        assert float(row["ssim"]) == pytest.approx(ssim, abs=0.001), name
        assert (name, "y") in measured and (name, "rgb") in measured
    assert "y_classic" in outcome.out and "Y unrounded" in outcome.out
    assert outcome.out.rstrip().endswith("results_per_image.csv")


@pytest.mark.shared
@pytest.mark.slow
def test_bsrn_runs_on_real_images_is_resumed_and_measured_on_set5(command, shared, tmp_path):
    """A tree in DIV2K's layout made of real photos, then the three commands of the main job."""
    root = tmp_path / "DIV2K"
    for folder, source in (("DIV2K_train_HR", "train/BSD200"), ("DIV2K_valid_HR", "val/DIV2K_valid_crop256")):
        (root / folder).mkdir(parents=True)
        for number, path in enumerate(sorted((shared / "data" / source).iterdir()), 801 if "valid" in folder else 1):
            Image.open(path).save(root / folder / f"{number:04d}.png")
    first = command("train.py", "model=bsrn", "data=div2k", f"data.root={root}", "budget=smoke", "benchmarks=[]",
                    "scheduler.T_max=8")  # fmt: skip
    assert first.code == 0, first
    again = command("train.py", f"resume={first.folder}", "steps=8")
    assert again.code == 0 and "resuming at step 4 of 8" in again.out, again
    measured = command(
        "evaluate.py", f"checkpoint={first.folder}/checkpoints/last.ckpt", "data=[set5]", f"data_dir={shared}/data",
        folder="measured",
    )  # fmt: skip
    assert measured.code == 0, measured
    assert {(r["model"], r["dataset"], r["scale"], r["images"]) for r in results(measured.folder)} == {
        ("bicubic", "Set5", "4", "5"),
        ("bsrn", "Set5", "4", "5"),
    }


def test_the_bundled_photos_need_no_setting(command):
    outcome = command("evaluate.py", "model=bicubic", "scale=4", "panels=1")
    assert outcome.code == 0, outcome
    assert {r["protocol"] for r in results(outcome.folder)} == {"y_classic", "y", "rgb"}
    with Image.open(outcome.folder / "panels/Bundled_x4.png") as panel:
        assert panel.width > 300


def test_a_protocol_composed_in_place_is_measured_and_its_name_is_read_back(command):
    typed = ["model=bicubic", "scale=2", "benchmarks=bundled", "panels=0"]
    outcome = command("evaluate.py", *typed, "protocols=[{channel: rgb, shave: 4},ntire22,rgb_shave4]")
    assert outcome.code == 0 and "RGB, SR in 8-bit RGB, shave = 4" in outcome.out, outcome
    composed, listed = results(outcome.folder)
    assert (composed["protocol"], listed["protocol"]) == ("rgb_shave4", "ntire22")
    assert composed["psnr"] == listed["psnr"]
    assert table(read(outcome.folder / "results.csv")).count("rgb_shave4") == 2
    again = command("evaluate.py", *typed, "protocols=rgb_shave4", folder="again")
    assert results(again.folder) == [composed]


def test_per_image_figures_average_to_the_table(command, div2k):
    outcome = command("evaluate.py", "model=bicubic", "scale=2", "data=[div2k]", f"data.root={div2k}", "protocol=y")
    with (outcome.folder / "results_per_image.csv").open(newline="") as f:
        each = list(csv.DictReader(f))
    assert [r["image"] for r in each] == ["0801", "0802", "0803"]
    mean = sum(float(r["psnr"]) for r in each) / 3
    assert float(results(outcome.folder)[0]["psnr"]) == pytest.approx(mean, abs=1e-9)


def test_several_checkpoints_stand_side_by_side_with_and_without_self_ensemble(command, run, div2k):
    typed = [
        f"checkpoint=[{run}/checkpoints/best.ckpt,{run}]",
        "data=[div2k]",
        f"data.root={div2k}",
        "protocol=[rgb,y]",
    ]
    plain = command("evaluate.py", *typed, folder="plain")
    assert plain.code == 0, plain
    names = list(dict.fromkeys(r["model"] for r in results(plain.folder)))
    assert names == ["bicubic", "ecbsr_m4c8:trained:best", "ecbsr_m4c8:trained"]
    assert [r["protocol"] for r in results(plain.folder)][:2] == ["rgb", "y"]
    averaged = command("evaluate.py", *typed, "self_ensemble=true", folder="averaged")
    assert averaged.code == 0, averaged
    assert [r["model"] for r in results(averaged.folder)][2] == "ecbsr_m4c8:trained:best+"
    assert results(averaged.folder)[2]["psnr"] != results(plain.folder)[2]["psnr"]


@pytest.fixture
def repsr(tmp_path):
    """A RepSR whose running statistics are those of no image, and its checkpoint."""
    torch.manual_seed(0)
    settings = {"scale": 2, "num_blocks": 2, "channels": 4}
    model = RepSR(**settings).eval()
    for norm in batch_norms(model).values():
        torch.nn.init.normal_(norm.running_mean, std=0.2)
        torch.nn.init.uniform_(norm.running_var, 0.2, 2.0)
    metadata = checkpoint.describe({"_target_": "sr.models.repsr.RepSR", **settings}, "repsr", {})
    path = tmp_path / "repsr.ckpt"
    torch.save({"sr": metadata, "state_dict": model.state_dict()}, path)
    return model, path


def test_a_model_is_measured_under_its_images_own_statistics_too(command, div2k, repsr):
    model, path = repsr
    typed = [f"checkpoint={path}", "data=[div2k]", f"data.root={div2k}", "protocol=y"]
    outcome = command("evaluate.py", *typed, "statistics=[population,image]", folder="both")
    assert outcome.code == 0, outcome
    with (outcome.folder / "results_per_image.csv").open(newline="") as f:
        each = {(r["model"], r["image"]): float(r["psnr"]) for r in csv.DictReader(f)}
    assert list(dict.fromkeys(name for name, _ in each)) == ["bicubic", "repsr", "repsr (own statistics)"]
    assert "repsr (own statistics)" in outcome.out
    assert list((outcome.folder / "panels").iterdir())

    training = copy.deepcopy(model).train()
    for norm in batch_norms(training).values():
        norm.momentum = 0.0
    protocol = get_protocol("y")
    for image in ("0801", "0802", "0803"):
        with Image.open(div2k / f"DIV2K_valid_HR/{image}.png") as png:
            hr = torch.from_numpy(np.array(png)).permute(2, 0, 1)[None]
        with torch.no_grad():
            for form, name in ((model, "repsr"), (training, "repsr (own statistics)")):
                psnr = protocol.compare(form(protocol.lr(hr, 2)), hr, 2)["psnr"]
                assert each[name, image] == pytest.approx(float(psnr), abs=1e-3)
        assert abs(each["repsr", image] - each["repsr (own statistics)", image]) > 0.05

    alone = command("evaluate.py", *typed, "statistics=image", "self_ensemble=true", folder="alone")
    assert [r["model"] for r in results(alone.folder)] == ["bicubic", "repsr (own statistics)+"]
    usual = command("evaluate.py", *typed, folder="usual")
    assert results(usual.folder) == [r for r in results(outcome.folder) if "own" not in r["model"]]


def test_no_published_figure_is_held_against_own_statistics(repsr):
    model, _ = repsr
    usual, own = with_statistics([Entry("repsr", model, "repsr_m4c16")], ["population", "image"])
    assert (usual.published, usual.merge) == ("repsr_m4c16", True)
    assert (own.name, own.published, own.merge) == ("repsr (own statistics)", "", False)


def test_own_statistics_of_what_has_none_are_refused(command, run, repsr):
    outcome = command("evaluate.py", f"checkpoint=[{repsr[1]},{run}]", "statistics=image")
    words = ["statistics=image: ecbsr_m4c8 (ECBSR) has no batch norm", "Leave statistics= out"]
    assert outcome.code == 1 and all(w in outcome.err for w in words) and "Traceback" not in outcome.err, outcome


def test_self_ensemble_on_an_asymmetric_track_warns(command, div2k):
    for part, numbers in (("train", range(1, 4)), ("valid", range(801, 804))):
        folder = div2k / f"DIV2K_{part}_LR_mild"
        folder.mkdir()
        for n in numbers:
            with Image.open(div2k / f"DIV2K_{part}_HR/{n:04d}.png") as hr:
                hr.resize((24, 18)).save(folder / f"{n:04d}x4m.png")
    outcome = command("evaluate.py", "model=bicubic", "data=[div2k]", f"data.root={div2k}", "data.track=mild",
                      "self_ensemble=true")  # fmt: skip
    assert outcome.code == 0 and "self-ensemble" in outcome.out, outcome


def test_users_own_images_are_measured(command, tmp_path, photos):
    photos(tmp_path / "mine", 2, 50, 61)
    outcome = command("evaluate.py", "model=bicubic", "scale=3", "data=[folder]", f"data.root={tmp_path}/mine")
    assert outcome.code == 0, outcome
    assert results(outcome.folder)[0]["images"] == "2"


def test_a_file_that_holds_code_is_refused_and_not_run(command, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    torch.save({"state_dict": {}, "sr": Payload()}, tmp_path / "bad.ckpt")
    outcome = command("evaluate.py", f"checkpoint={tmp_path}/bad.ckpt")
    assert outcome.code == 1 and "would run code" in outcome.err and "Traceback" not in outcome.err, outcome
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_names_something_else_to_call_is_refused(command, run, tmp_path):
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    call = {"_target_": "shutil.copyfile", "_args_": [str(run / "train.log"), str(tmp_path / "called")]}
    honest = content["sr"]["model"]
    for odd in (
        {"_target_": "os.getcwd"},
        {"_target_": "collections.OrderedDict"},
        honest | {"channels": call},
        honest | {"channels": [call]},
        honest | {"_args_": [2]},
    ):
        content["sr"]["model"] = odd
        torch.save(content, tmp_path / "odd.ckpt")
        outcome = command("evaluate.py", f"checkpoint={tmp_path}/odd.ckpt")
        assert outcome.code == 1 and "is refused" in outcome.err, outcome
        assert not (tmp_path / "called").exists()


def test_lr_of_another_kind_is_not_measured_under_a_protocol_that_makes_its_own(command):
    typed = ["model=bicubic", "scale=2", "degradation=bicubic_noise"]
    outcome = command("evaluate.py", *typed, folder="a")
    assert outcome.code == 0 and {r["protocol"] for r in results(outcome.folder)} == {"y", "rgb"}, outcome
    outcome = command("evaluate.py", *typed, "protocol=y_classic", folder="b")
    assert outcome.code == 1 and "makes bicubic LR from HR itself" in outcome.err, outcome


def test_keys_about_data_reach_the_sets_that_have_them(command, tmp_path, photos):
    photos(tmp_path / "mine", 1, 50, 61)
    typed = ["model=bicubic", "scale=2", "data=[bundled,folder]", f"data.root={tmp_path}/mine"]
    assert command("evaluate.py", *typed, folder="a").code == 0
    outcome = command("evaluate.py", *typed, "data.rot=x", folder="b")
    assert outcome.code == 1 and "data.rot" in outcome.err, outcome


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["checkpoint=nowhere.ckpt"], ["nowhere.ckpt", "no such file"]),
        ([], ["nothing to measure", "checkpoint="]),
        (["model=bicubic", "data=[set55]"], ["set55", "set5"]),
        (["model=bicubic", "data=[set5]", "data_dir=nowhere"], ["Set5", "nowhere", "data_dir="]),
        (["model=bicubic", "protocol=[yy]"], ["yy"]),
        (["model=bicubic", "statistics=own"], ["statistics=[own]", "population, image"]),
        (["model=bicubic", "statistics=[]"], ["population, image"]),
        (["model=bicubic", "statistics=image"], ["bicubic (Bicubic) has no batch norm"]),
        (["model=srcnn"], ["has weights that nobody trained"]),
        (["model=bicubic", "device=gpu9"], ["device=gpu9", "device=cpu"]),
    ],
)
def test_wrong_input_is_refused_with_what_to_type(command, typed, words):
    outcome = command("evaluate.py", *typed)
    assert outcome.code == 1 and all(w in outcome.err for w in words) and "Traceback" not in outcome.err, outcome


def test_a_checkpoint_knows_its_scale_and_architecture(command, run):
    outcome = command("evaluate.py", f"checkpoint={run}", "scale=3")
    assert outcome.code == 1 and "is of scale 2" in outcome.err, outcome
    outcome = command("evaluate.py", f"checkpoint={run}", "model=bsrn")
    assert outcome.code == 1 and "is of ecbsr_m4c8" in outcome.err, outcome


def test_a_file_of_another_project_is_refused(command, tmp_path):
    torch.save({"params": {"conv.weight": torch.zeros(1)}}, tmp_path / "net.pth")
    outcome = command("evaluate.py", f"checkpoint={tmp_path}/net.pth")
    assert outcome.code == 1 and "was not written by this project" in outcome.err, outcome


def test_a_damaged_checkpoint_is_refused(command, run):
    path = run / "checkpoints/last.ckpt"
    whole = path.read_bytes()
    for size, told in (0, "is empty"), (2000, "it is cut short"):
        path.write_bytes(whole[:size])
        outcome = command("evaluate.py", f"checkpoint={path}")
        assert outcome.code == 1 and told in outcome.err, outcome


@pytest.mark.slow
def test_panels_may_show_where_the_models_disagree(command, div2k):
    typed = ["model=ecbsr_m4c8", "scale=2", "budget=smoke", "data=div2k", f"data.root={div2k}", "benchmarks=[]"]
    runs = [command("train.py", *typed, f"seed={seed}", folder=f"run{seed}").folder for seed in (0, 1)]
    both = [f"checkpoint=[{runs[0]},{runs[1]}]", "data=[div2k]", f"data.root={div2k}"]
    outcome = command("evaluate.py", *both, "panel_at=disagreement", "panel_size=16", folder="at")
    assert outcome.code == 0 and (outcome.folder / "panels/DIV2K_x2.png").is_file(), outcome
    refused = command("evaluate.py", *both, "panel_at=elsewhere", folder="refused")
    assert refused.code == 1 and "'detail' and 'disagreement'" in refused.err, refused


def test_a_checkpoint_that_calls_itself_as_an_authors_file_is_told_from_it(command, run, tmp_path):
    content = torch.load(checkpoint.locate(run), weights_only=True)
    content["sr"]["name"] = "RLFN_x4"  # which reads like it
    torch.save(content, tmp_path / "a.ckpt")
    outcome = command("evaluate.py", f"checkpoint={tmp_path}/a.ckpt", "benchmarks=[bundled]", "panels=0")
    assert outcome.code == 0 and "RLFN_x4 (checkpoint)" in outcome.out, outcome


def test_what_is_named_twice_is_measured_once(command):
    typed = ["model=bicubic", "scale=2", "benchmarks=[bundled,bundled]", "protocols=[y,y]", "panels=0"]
    once = command("evaluate.py", *typed)
    assert once.code == 0 and [row["images"] for row in results(once.folder)] == ["2"], once


def test_an_empty_variable_of_the_shell_names_no_checkpoint(command):
    words = {"evaluate.py": ("checkpoint=", "data="), "compare.py": ("runs=",), "measure.py": ("reference=", "model=")}
    words["upscale.py"] = ("model=",)
    for script, word in ((script, word) for script, typed in words.items() for word in typed):
        refused = command(script, word, folder="refused")
        assert refused.code == 1 and f"{word}: nothing stands behind the =" in refused.err, refused


def test_no_set_to_measure_on_is_refused(command):
    done = command("evaluate.py", "model=bicubic", "scale=2", "benchmarks=[]")
    assert done.code == 1 and "benchmarks=[]: name at least one set" in done.err, done


def test_a_seed_that_would_change_nothing_is_refused(command, run):
    outcome = command("evaluate.py", f"checkpoint={run}", "degradation=blur_noise_jpeg", "seed=5")
    assert outcome.code == 1 and "seed=5: evaluate trains nothing" in outcome.err, outcome


def test_the_name_of_a_set_leads_its_pictures_nowhere(command, photos, tmp_path):
    """A run that somebody else began may say it, too."""
    photos(tmp_path / "images", 1, 32, 32)
    (tmp_path / "mine_x2.png").write_text("precious")
    typed = ["model=bicubic", "scale=2", "benchmarks=[folder]", f"data.root={tmp_path}/images", "panels=1"]
    for number, name in enumerate(("../../mine", tmp_path / "mine")):
        done = command("evaluate.py", *typed, f"data.name={name}", folder=str(number))
        (drawn,) = (done.folder / "panels").iterdir()
        assert done.code == 0 and drawn.name == f"{str(name).replace('/', '_')}_x2.png", done
    assert (tmp_path / "mine_x2.png").read_text() == "precious"


def test_y_of_hr_is_made_once_for_all_models_of_a_command_and_is_no_others(command, monkeypatch):
    calls, make = [], Protocol.reference
    monkeypatch.setattr(Protocol, "reference", lambda self, hr, grey: calls.append(self.name) or make(self, hr, grey))
    typed = ["weights=[plain_m10c32_x4,plain_m10c32_x4]", "benchmarks=[bundled]", "scale=4", "panels=0"]
    typed += ["protocols=[y,y_uint8,rgb]", "metrics=[psnr,ssim]"]
    kept = command("evaluate.py", *typed, folder="kept")
    assert kept.code == 0, kept
    rows = results(kept.folder)
    count = int(rows[0]["images"])
    assert len(rows) == 9 and (calls.count("y"), calls.count("y_uint8")) == (count, count)
    assert calls.count("rgb") == 3 * count  # HR's own bytes
    calls.clear()
    monkeypatch.setattr(scoring, "KeptReferences", lambda: KeptReferences(room=0))
    anew = command("evaluate.py", *typed, folder="anew")
    assert calls.count("y") == 3 * count
    each = [(found.folder / "results_per_image.csv").read_text() for found in (kept, anew)]
    assert each[0] == each[1] and each[0].count("\n") == 1 + 9 * count
    calls.clear()
    assert command("evaluate.py", "weights=[plain_m10c32_x4]", *typed[1:], folder="two").code == 0
    assert calls.count("y") == 2 * count


def test_references_are_kept_while_there_is_room():
    hr, protocol = torch.randint(0, 256, (1, 3, 40, 40), dtype=torch.uint8), get_protocol("y")
    references = KeptReferences(room=40 * 40 * 8)
    first = references.of(protocol, 0)(hr, False)
    assert references.of(protocol, 0)(hr, False) is first and torch.equal(first, protocol.reference(hr, False))
    others = [references.of(protocol, 1)(hr + 1, False) for _ in range(2)]
    assert others[0] is not others[1] and torch.equal(*others) and not torch.equal(others[0], first)
