"""figure.py as users type it."""

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FIGURES = sorted(p.stem for p in (ROOT / "conf/figure").glob("*.yaml"))


@pytest.fixture
def run(command, div2k):
    """The folder of a finished tiny run of a network with batch norm."""
    outcome = command(
        "train.py", "model=repsr_m4c16", "scale=2", "data=div2k", f"data.root={div2k}", "budget=smoke",
        "budget.validations=4", "benchmarks=[]", folder="trained",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    return outcome.folder


@pytest.fixture
def images(tmp_path, photos):
    photos(tmp_path / "images", 2)
    return tmp_path / "images"


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_notes_figures_are_all_there():
    assert set(FIGURES) >= {
        "batch_norm", "bubble", "convergence", "crop_grid", "feature_differences", "filters", "jitter", "kernels",
        "pasted_patch", "residuals", "temporal_profile", "frame_psnr", "alignment",
    }  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_composes(command, name):
    outcome = command("figure.py", f"figure={name}", "--cfg", "job")
    assert outcome.code == 0 and "figure:\n  _target_: " in outcome.out, outcome


def test_one_run_gives_all_figures_of_models_and_runs(command, run, images):
    given = [f"checkpoint={run}", f"images={images}"]
    small = ["figure.size=24"]
    for name, *typed in (
        ("crop_grid", *given, *small), ("batch_norm", *given, *small, "figure.batch=2"),
        ("pasted_patch", *given, *small, "figure.margin=4"), ("kernels", given[0]), ("filters", given[0]),
        ("jitter", f"runs={run}", "figure.share=1"), ("convergence", f"runs=[{run}]", "figure.labels=[ours]"),
        ("bubble", f"runs={run.parent}", "scale=2", "format=svg"),
        ("residuals", given[1], "figure.channels=[8]", "figure.num_blocks=2", "figure.steps=0"),
    ):  # fmt: skip
        outcome = command("figure.py", f"figure={name}", *typed, folder=name)
        assert outcome.code == 0, outcome
        picture = outcome.folder / f"{name}.{'svg' if name == 'bubble' else 'png'}"
        assert outcome.out.split()[-2:] == [str(picture), str(picture.with_suffix(".csv"))]
        assert rows(outcome.folder, name)
        if name != "bubble":
            assert min(Image.open(picture).size) > 200
    assert rows(run.parent / "crop_grid", "crop_grid")[1]["model"] == "repsr_m4c16"
    assert rows(run.parent / "convergence", "convergence")[0]["label"] == "ours"


def test_images_that_a_model_was_trained_on_are_told_beside_what_is_drawn_and_upscaled(command, run, photos, tmp_path):
    """Their PSNR was drawn, and written by sr upscale hr=, without a word; sr evaluate told it."""
    photos(tmp_path / "seen", 2)  # as DIV2K's stand-ins
    photos(tmp_path / "others", 2, first=40)
    (tmp_path / "lr").mkdir()
    for folder, known in (("seen", True), ("others", False)):
        typed = ["figure=crop_grid", f"checkpoint={run}", f"images={tmp_path / folder}", "figure.size=16"]
        drawn = command("figure.py", *typed, folder=folder + "_drawn")
        assert drawn.code == 0, drawn
        assert ("was trained on 2 of the 2 images of images=" in drawn.out) is known, drawn
        for file in (tmp_path / folder).iterdir():
            image = Image.open(file)
            image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX).save(tmp_path / "lr" / file.name)
        typed = [f"input={tmp_path}/lr/00*.png", f"hr={tmp_path / folder}", f"model={run}", f"output={folder}_made"]
        made = command("upscale.py", *typed, folder=folder + "_upscaled")
        assert (f"was trained on 2 of the 2 images of {folder}" in made.out) is known, made
        shutil.rmtree(tmp_path / "lr")
        (tmp_path / "lr").mkdir()


def test_the_photos_of_the_wheel_are_the_default(command, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # where torchvision would keep VGG-19
    outcome = command("figure.py", "figure=feature_differences", "figure.width=2", "figure.random_layers=[tanh]")
    assert outcome.code == 0 and "note: VGG-19's layers are left out" in outcome.out, outcome
    assert [r["image"] for r in rows(outcome.folder, "feature_differences")] == ["astronaut", "coffee"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["figure=crop_grid"], "figure=crop_grid is drawn from models, and none was given: type weights="),
        (["figure=jitter"], "figure=jitter is drawn from runs, and none was given: type runs="),
        (["figure=filters", "runs=somewhere"], "figure=filters takes no runs; leave runs= out"),
        (["figure=jitter", "runs=nowhere"], "nowhere: no run was found in it (there is no such folder)"),
        (["figure=crop_grids"], "Did you mean crop_grid?"),
        (["figure=filters", "figure.colums=3"], "Did you mean figure.columns"),
        (["figure=filters", "+figure.colums=3"], "no such argument. Did you mean columns"),
        (["figure=bubble", "figure.dataset=3"], "wants str"),
        (["figure=bubble", "figure.models=bsrn"], "not str. Type a list: figure.models=[bsrn]"),
        (["figure=bubble", "format=gif7"], "a picture is written as one of"),
        ([], "figure="),
    ],
)
def test_errors_say_what_to_type(command, typed, said):
    outcome = command("figure.py", *typed)
    assert outcome.code == 1 and said in outcome.err, outcome
    assert "Traceback" not in outcome.err


def test_a_model_that_is_given_twice_is_refused_and_two_of_a_name_carry_their_folder(command, run, tmp_path):
    twice = command("figure.py", "figure=kernels", f"checkpoint=[{run},{run}]")
    assert twice.code == 1 and "given twice" in twice.err, twice
    shutil.copytree(run, tmp_path / "copied")
    both = command("figure.py", "figure=filters", f"checkpoint=[{run},{tmp_path / 'copied'}]", folder="both")
    assert both.code == 0, both
    assert {r["model"] for r in rows(both.folder, "filters")} == {"repsr_m4c16:trained", "repsr_m4c16:copied"}


@pytest.mark.shared
def test_authors_networks_in_a_crop_grid(command, shared):
    """RLFN's and BSRN's weights on an image of Set14: the figures of the zoo's own tests."""
    outcome = command(
        "figure.py", "figure=crop_grid", "weights=[rlfn_x4,bsrn_x4]", f"zoo.dir={shared}/weights",
        f"images={shared}/data/benchmarks/Set5/HR/butterfly.png", "device=cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    psnr = {r["model"]: float(r["psnr"]) for r in rows(outcome.folder, "crop_grid")}
    assert psnr["bicubic"] < 23 and psnr["rlfn_x4"] > 27 and psnr["bsrn_x4"] > 27
