"""compare.py as a user types it."""

import csv
import gc
import json
import re
import shutil
import weakref
from collections import Counter

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from sr.comparison import fill
from sr.comparison.fill import set_words
from sr.compose.image_sets import build_sets
from sr.compose.words import Words
from sr.measuring.scoring import score_set
from sr.metrics.lpips import lpips_of
from sr.models.ecbsr import ECBSR
from sr.runs import checkpoint
from sr.runs.folder import Run
from sr.runs.own import signed


def table(done):
    with (done.folder / "table.csv").open(newline="") as f:
        return {row["entry"]: row for row in csv.DictReader(f)}


def differences(done):
    with (done.folder / "differences.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def html(done):
    return (done.folder / "index.html").read_text()


def data(done):
    return json.loads(re.search(r'id="data">(.*?)</script>', html(done), re.S)[1])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where `runs` are copied from, once they are trained."""
    return tmp_path_factory.mktemp("kept") / "sweep"


@pytest.fixture
def runs(command, kept, tmp_path):
    """Two small runs that differ in their loss."""
    if kept.exists():
        return shutil.copytree(kept, tmp_path / "sweep")
    for loss in ("l1", "l2"):
        typed = [
            "model=ecbsr_m4c8",
            "data=bundled",
            "scale=2",
            "budget=smoke",
            "budget.test_middle=null",
            f"loss={loss}",
            f"data.check_leaks={loss != 'l2'}",
        ]
        done = command("train.py", *typed, folder=f"sweep/{loss}")
        assert done.code == 0, done
    shutil.copytree(tmp_path / "sweep", kept)
    return tmp_path / "sweep"


def test_runs(command, runs, tmp_path):
    done = command("compare.py", f"runs={runs}", "sort=psnr", "filter=scale=2", "crops=1", "crop_size=32")
    assert done.code == 0, done
    rows = table(done)
    assert set(rows) == {"bicubic", "ecbsr_m4c8 loss=l1", "ecbsr_m4c8 loss=l2"}
    psnrs = [float(row["Bundled/psnr_y"]) for row in rows.values()]
    assert psnrs == sorted(psnrs, reverse=True)
    order = list(rows["bicubic"])
    assert order.index("scale") < order.index("Bundled/psnr_y") < order.index("parameters") < order.index("loss")
    assert rows["ecbsr_m4c8 loss=l1"]["parameters"] == "2748"
    assert re.search(r"\| ecbsr_m4c8 loss=l1 \| .* l1 \|$", (done.folder / "table.md").read_text(), re.M)
    assert re.search(r"^ecbsr\\_m4c8 loss=l1 & .* & l1 ", (done.folder / "table.tex").read_text(), re.M)
    assert "No LPIPS: it needs alexnet" in done.out + done.err
    assert re.findall(r"sweep/(\w+): trained with check_leaks=false", done.out) == ["l2"]
    (pair,) = (row for row in differences(done) if (row["metric"], row["protocol"]) == ("psnr", "y"))
    first, second = (float(rows[pair[key]]["Bundled/psnr_y"]) for key in ("model", "other"))
    assert float(pair["difference"]) == pytest.approx(first - second) and pair["images"] == "2"
    assert "difference from the best  Bundled x2 y" in done.out and '<table id="differences">' in html(done)
    shown = data(done)
    assert next(iter(shown["curves"])) == "val/psnr_y"
    assert [group["title"] for group in shown["crops"]] == ["Bundled x2: astronaut"]
    assert list(shown["crops"][0]["pictures"])[:3] == ["HR", "LR", "bicubic"]

    # A checkpoint that is not a run's last one is measured when a set is named; a run's stored figures stay.
    best = runs / "l1" / "checkpoints" / "best.ckpt"
    last = runs / "l2" / "checkpoints" / "last.ckpt"
    done = command("compare.py", f"checkpoint={best}", "sort=psnr", "crops=0", folder="b")
    assert done.code == 1 and "sort=psnr: there is no such column. None of these rows has figures" in done.err, done
    typed = [f"checkpoint=[{best},{last}]", "crops=0", "data=bundled", "protocol=[rgb]"]
    done = command("compare.py", *typed, "sort=[-parameters,psnr_rgb]", "filter=[loss!=l3,psnr>1]", folder="b")
    assert done.code == 0, done
    rows = table(done)
    assert all(row["Bundled/psnr_rgb"] for row in rows.values()) and len(rows) == 3
    assert float(rows["ecbsr_m4c8 loss=l1"]["Bundled/psnr_rgb"]) > 10
    assert [row["protocol"] for row in differences(done) if row["metric"] == "psnr"] == ["rgb"], "measured now"
    assert rows["ecbsr_m4c8 loss=l2"]["Bundled/psnr_y"] and not rows["ecbsr_m4c8 loss=l1"]["Bundled/psnr_y"]
    assert not data(done)["crops"]

    # LPIPS where the weights are
    state = {}
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    for number, (width, before, kernel) in shapes.items():
        state[f"features.{number}.weight"] = torch.randn(width, before, kernel, kernel) * 0.05
        state[f"features.{number}.bias"] = torch.zeros(width)
    torch.save(state, tmp_path / "alexnet.pth")
    typed = [f"runs=[{runs / 'l1'}]", "data=bundled", "lpips=alexnet.pth", "crops=0", "out=elsewhere"]
    typed += ["sort=lpips"]
    lpips = lpips_of(tmp_path / "alexnet.pth")  # nobody trained it
    done = command("compare.py", *typed, "hydra.run.dir=${out}")
    assert done.code == 0, done
    done.folder = tmp_path / "elsewhere"
    assert float(table(done)["ecbsr_m4c8"][f"Bundled/{lpips.name}_y"]) > 0
    assert (
        f"{lpips.title}: with other weights than the published ones: no LPIPS" in (done.folder / "table.md").read_text()
    )

    for typed, told in {
        "sort=paramters": "Did you mean parameters",
        "filter=scal=2": "Did you mean scale",
        "filter=scale=4": "scale is 2",
        "filter=scale": "type a column",
        "data=bundle": "Did you mean bundled",
    }.items():
        done = command("compare.py", f"runs={runs}", typed, folder="wrong")
        assert done.code == 1 and told in done.err, done


def test_figures_of_another_lr_are_not_those_of_the_set_that_is_named(command, tmp_path, monkeypatch):
    typed = ["model=ecbsr_m4c8", "data=bundled", "scale=2", "budget=smoke", "budget.test_middle=null"]
    typed += ["budget.test_images=null", "degradation=blur_noise_jpeg", "callbacks=[]", "protocols=[y]"]
    assert command("train.py", *typed).code == 0
    with (tmp_path / "run/results.csv").open() as file:
        blurred = {row["model"]: float(row["psnr"]) for row in csv.DictReader(file)}
    built = []
    monkeypatch.setattr(fill, "build_sets", lambda scale, cfg: built.append(scale) or build_sets(scale, cfg))
    done = command("compare.py", "runs=[run]", "benchmarks=[bundled]", "protocol=[y]", "crops=1", folder="c")
    assert built == [2], "once, for what is measured and shown"
    told = "Bundled (2): its LR is made by GaussianBlur, MatlabBicubic, GaussianNoise, Jpeg, that of Bundled is bicubic"
    assert done.code == 0 and told in done.out + done.err, done
    found = table(done)
    for name, value in blurred.items():
        assert float(found[name]["Bundled (2)/psnr_y"]) == pytest.approx(value, abs=1e-3)
        assert float(found[name]["Bundled/psnr_y"]) > value + 0.1, "measured now, on bicubic LR"


def test_self_ensemble_and_typed_lr(command, tmp_path):
    typed = [
        "model=ecbsr_m4c8",
        "data=bundled",
        "scale=2",
        "budget=smoke",
        "budget.test_middle=null",
        "self_ensemble=true",
    ]
    trained = command("train.py", *typed)
    assert trained.code == 0, trained
    run = f"runs=[{trained.folder}]"
    plain, plus = "ecbsr_m4c8", "ecbsr_m4c8+"

    # What is measured for the row of the self-ensemble is under it, and so is its crop.
    done = command("compare.py", run, "data=bundled", "protocol=[y_classic]", "crops=1", "crop_size=32", folder="a")
    assert done.code == 0, done
    rows, group = table(done), data(done)["crops"][0]
    stored = {name: float(row["Bundled/psnr_y"]) for name, row in rows.items()}
    assert rows[plain]["Bundled/psnr_y_classic"] != rows[plus]["Bundled/psnr_y_classic"] != ""
    assert group["pictures"][plain] != group["pictures"][plus] and group["captions"][plain] != group["captions"][plus]

    # Figures on another LR than the stored ones take their place: no column holds both.
    noisy = ["data=bundled", "degradation=bicubic_noise", "protocol=[y]", "crops=0"]
    done = command("compare.py", run, *noisy, folder="b")
    assert done.code == 0, done
    rows = table(done)
    assert set(rows) == {"bicubic", plain, plus} and "Bundled/psnr_rgb" not in rows[plain]
    assert all(abs(float(row["Bundled/psnr_y"]) - stored[name]) > 0.01 for name, row in rows.items())
    assert "as typed (degradation=bicubic_noise)" in (done.folder / "table.md").read_text()


def test_a_model_that_cannot_be_loaded_or_run_is_left_out(command, runs, monkeypatch):
    last = runs / "l2" / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["sr"]["model"]["_target_"] = "gone.Renamed"
    torch.save(content, last)
    typed = [f"runs={runs}", "crops=1", "crop_size=32"]
    done = command("compare.py", *typed, "data=bundled", "protocol=[y,y_classic]")
    assert done.code == 0, done
    assert (done.out + done.err).count("loss=l2 Renamed is left out of what is measured and shown") == 1
    rows = table(done)
    l1, l2 = "ecbsr_m4c8 loss=l1 ECBSR", "ecbsr_m4c8 loss=l2 Renamed"
    assert rows[l1]["Bundled/psnr_y_classic"] and rows[l2]["Bundled/psnr_y"]
    assert not rows[l2]["Bundled/psnr_y_classic"]
    assert [*data(done)["crops"][0]["pictures"]] == ["HR", "LR", "bicubic", l1]

    def full(entry, *rest, **kept):
        if entry.name == l1:
            raise RuntimeError("CUDA out of memory")
        return score_set(entry, *rest, **kept)

    with monkeypatch.context() as patch:
        patch.setattr(fill, "score_set", full)
        done = command("compare.py", *typed, "data=bundled", "protocol=[y,y_classic]", folder="b")
    assert done.code == 0 and "loss=l1 ECBSR is not measured on Bundled: CUDA out of memory" in done.out + done.err, (
        done
    )
    assert float(table(done)[l1]["Bundled/psnr_y"]) > 1

    # What is known is written before crops are made.
    def torn(*_):
        raise RuntimeError("no crops")

    monkeypatch.setattr(fill.Filler, "crops", torn)
    done = command("compare.py", *typed, folder="c")
    assert done.code == 1 and "no crops" in done.err, done
    assert {f.name for f in done.folder.glob("*.*")} >= {"table.md", "table.csv", "table.tex"}


def test_of_many_models_crops_are_of_the_first(command, runs, monkeypatch):
    """Of 200 runs they took most of the time and of the page."""
    monkeypatch.setattr(fill, "MOST_SHOWN", 1)
    done = command("compare.py", f"runs={runs}", "crops=1", "crop_size=32", "sort=-loss")
    assert done.code == 0 and "the crops are of the first 1 of 2 models: sort= and filter= choose them" in done.out, (
        done
    )
    first = next(name for name in table(done) if name != "bicubic")
    assert [*data(done)["crops"][0]["pictures"]] == ["HR", "LR", "bicubic", first]


@pytest.mark.slow
def test_one_model_is_held_at_a_time(command, runs, monkeypatch):
    loaded, alive, merged = Counter(), weakref.WeakSet(), ECBSR.merged

    def load(folder):
        gc.collect()
        assert not alive  # nothing of the model before
        loaded[folder.name] += 1
        return checkpoint.build(checkpoint.read(folder), folder)

    def kept(model):
        alive.add(copy := merged(model))
        return copy

    monkeypatch.setattr(checkpoint, "load", load)
    monkeypatch.setattr(ECBSR, "merged", kept)
    done = command("compare.py", f"runs={runs}", "data=[bundled]", "protocol=[rgb,y_classic]", "crops=1")
    assert done.code == 0 and loaded == {"l1": 2, "l2": 2}, done  # to measure, and for the crops


def test_a_place_may_hold_an_apostrophe_and_a_run_names_nothing_to_call(tmp_path):
    theirs = ["degradation=bicubic_noise", "data.lr=LR", "data=set5", "model=edsr", "data._target_=os.system"]
    theirs += ["data.download=false", "+data.parts.div2k.download=true"]
    (tmp_path / "composed.yaml").write_text(signed("words: []\n"))
    run = Run(tmp_path, "m", {"data_dir": "/home/o'brien/a b"}, theirs, [], [], None, 0, "finished", 0)
    parsed = OverridesParser.create().parse_overrides(set_words(run, Words(["seed=1", "++data.download=true"])))
    assert {o.key_or_group: o.value() for o in parsed} == {
        "degradation": "bicubic_noise", "data.lr": "LR", "data_dir": "/home/o'brien/a b", "seed": 1,
        "data.download": True,
    }  # fmt: skip
    assert not any("download" in word for word in set_words(run, Words()))


def test_what_cannot_be_compared(command, tmp_path):
    done = command("compare.py")
    assert done.code == 1 and "nothing to compare: type runs=" in done.err
    done = command("compare.py", "runs=[nowhere]")
    assert done.code == 1 and "nowhere: no run was found" in done.err
    done = command("compare.py", "weights=[rlfn_x5]")
    assert done.code == 1 and "neither a file nor an entry of the zoo" in done.err
    done = command("compare.py", "chekpoint=x")
    assert done.code == 1 and "Did you mean checkpoint" in done.err


@pytest.mark.shared
def test_authors_weights_on_set5(command, shared):
    typed = ["weights=[rlfn_x4,bsrn_s_x4]", "data=[set5]", "protocol=[y]", "sort=parameters", "crops=1"]
    places = [f"data_dir={shared / 'data'}", f"zoo.dir={shared / 'weights'}", "zoo.download=false"]
    done = command("compare.py", *typed, *places)
    assert done.code == 0, done
    rows = table(done)
    assert float(rows["rlfn_x4"]["Set5/psnr_y"]) == pytest.approx(32.24, abs=0.01)
    picture = data(done)["pictures"][0]
    assert picture["title"] == "Set5 x4, y"
    assert {p["label"] for p in picture["points"] if p["paper"]} >= {"rlfn", "bsrn", "imdn"}


def test_a_w_and_b_report_is_written_without_a_network(command, monkeypatch, tmp_path):
    pytest.importorskip("wandb_workspaces")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    trained = command("train.py", "model=ecbsr_m4c8", "data=bundled", "budget=smoke", "scale=2", folder="trained")
    assert trained.code == 0, trained
    outcome = command("compare.py", f"runs=[{trained.folder}]", "wandb=us/sr", "crops=0", folder="compared")
    assert outcome.code == 0, outcome
    spec = json.loads((outcome.folder / "wandb_report.json").read_text())
    assert "ecbsr_m4c8" in json.dumps(spec["report"]) and spec["urls"] == {}
    refused = command("compare.py", f"runs=[{trained.folder}]", "wandb=us", folder="refused")
    assert refused.code == 1 and "wandb=<entity>/<project>" in refused.err, refused


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("results.csv", "model,dataset,scale,protocol,psnr,ssim,images\nx,Set5,2,y,30"),  # cut off
        ("metrics.csv", "step,val/psnr_y\n10,\x00\x01"),
        (".hydra/config.yaml", "model: [a, b\nscale: }"),
        (".hydra/config.yaml", "model: nonsense"),
        ("results.csv", "\ufffd,,\n1,2,3,4,5\n"),
        ("results.csv", "model,dataset,scale,protocol,psnr,ssim,images\nx,Set5,2,of_tomorrow,30,0.9,5\n"),
        ("metrics.csv", "step,val/psnr_y\nnan,30\n"),
    ],
)
def test_a_damaged_run_is_listed_while_the_others_are_compared(command, tmp_path, file, text):
    for name in ("good", "bad"):
        folder = tmp_path / "runs" / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra/config.yaml").write_text("{scale: 2, seed: 0, choices: {model: mine}}")
        (folder / "run.json").write_text('{"status": "finished", "steps": 10}')
        (folder / "results.csv").write_text("model,dataset,scale,protocol,psnr,ssim,images\nmine,Set5,2,y,30.0,0.9,5\n")
    (tmp_path / "runs/bad" / file).write_text(text)
    outcome = command("compare.py", f"runs={tmp_path}/runs", "crops=0")
    assert outcome.code == 0 and "Traceback" not in outcome.out + outcome.err, outcome
    table = (outcome.folder / "table.md").read_text()
    assert "| mine | 30.00 / 0.9000 |" in table
    assert "damaged and not compared: " in table and f"runs/bad/{file.split('/')[0]}" in table
    alone = command("compare.py", f"runs={tmp_path}/runs/bad", "crops=0", folder="alone")
    assert alone.code == 1 and " is damaged: " in alone.err and "Traceback" not in alone.err, alone
