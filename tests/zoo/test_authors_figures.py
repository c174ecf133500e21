"""Authors' files reach the authors' figures, through the command that a user types."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from sr.zoo.entries import ZOO

pytestmark = pytest.mark.shared

RGB = ["bsrn_x4", "bsrn_s_x4", "imdn_x4", "rfdn_aim_x4", "rlfn_x4", "rlfn_s_x4", "rlfn_ntire_x4"]
NTIRE26 = ["span_ntire_x4", "disp_x4"]
LUMA = ["srcnn_915_91_x3", "srcnn_955_imagenet_x3", "fsrcnn_x2"]
SLOW_LUMA = ["vdsr_x2", "vdsr_x3", "vdsr_x4", "lapsrn_x4"]

# The authors' own code on the LR that the papers used; PSNR / SSIM on Y, PSNR on RGB (where measured).
OLD_LR = {
    "Set5": {
        "rlfn_x4": (32.2396, 0.89526, 30.3216),
        "rlfn_s_x4": (32.2413, 0.89544, 30.3270),
        "rlfn_ntire_x4": (32.0984, 0.89388, 30.2068),
        "bsrn_x4": (32.3501, 0.89652, 30.4340),
        "bsrn_s_x4": (32.1628, 0.89488, 30.2546),
        "imdn_x4": (32.2115, 0.89478, 30.3021),
    },
    "Set14": {
        "rlfn_x4": (28.6240, 0.78145, 26.8190),
        "rlfn_s_x4": (28.6270, 0.78172, 26.8182),
        "rlfn_ntire_x4": (28.6031, 0.78154, 26.7961),
        "bsrn_x4": (28.7391, 0.78472, 26.9254),
        "bsrn_s_x4": (28.6367, 0.78199, 26.8261),
        "imdn_x4": (28.5869, 0.78110, 26.7812),
    },
    "B100": {
        "rlfn_x4": (27.6066, 0.73644, 26.2626),
        "rlfn_s_x4": (27.5827, 0.73596, 26.2391),
        "bsrn_s_x4": (27.5835, 0.73642, 26.2400),
    },
}


@pytest.fixture
def measured(command, shared) -> Callable[..., dict[tuple[str, str], dict[str, str]]]:
    """Run evaluate.py and read results.csv: rows by (weights, protocol)."""

    def run(weights: list[str], data: str, *typed: str) -> dict[tuple[str, str], dict[str, str]]:
        done = command(
            "evaluate.py",
            f"weights=[{','.join(weights)}]",
            f"zoo.dir={shared / 'weights'}",
            f"data=[{data}]",
            f"data_dir={shared / 'data'}",
            "panels=0",
            *typed,
        )
        assert done.code == 0, done
        assert "paper" in done.out + done.err
        return {(r["model"], r["protocol"]): r for file in _results(done.folder) for r in _rows(file)}

    return run


def _results(folder: Path) -> list[Path]:
    return sorted(folder.rglob("results.csv"))


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as f:
        return list(csv.DictReader(f))


def _check(rows: dict[tuple[str, str], dict[str, str]], expected: dict[str, tuple[float, float, float | None]]) -> None:
    for name, (psnr, ssim, rgb) in expected.items():
        assert float(rows[name, "y"]["psnr"]) == pytest.approx(psnr, abs=0.01)
        assert float(rows[name, "y"]["ssim"]) == pytest.approx(ssim, abs=0.0005)
        if rgb is not None:
            assert float(rows[name, "rgb"]["psnr"]) == pytest.approx(rgb, abs=0.01)


def test_set5_with_the_papers_lr(measured):
    _check(measured(RGB, "set5", "data.lr=LR_bicubic_old"), OLD_LR["Set5"])


@pytest.mark.slow
def test_set14_with_the_papers_lr(measured):
    _check(measured(list(OLD_LR["Set14"]), "set14", "data.lr=LR_bicubic_old"), OLD_LR["Set14"])


@pytest.mark.slow
def test_b100_with_the_papers_lr(measured):
    _check(measured(list(OLD_LR["B100"]), "b100", "data.lr=LR_bicubic_old"), OLD_LR["B100"])


def test_set5_with_our_lr(measured):
    rows = measured(RGB + NTIRE26, "set5", "protocol=y")
    for name in RGB + NTIRE26:
        assert float(rows[name, "y"]["psnr"]) == pytest.approx(ZOO[name].psnr, abs=0.01)
    assert float(rows["rlfn_x4", "y"]["paper_psnr"]) == 32.24
    assert abs(float(rows["rlfn_x4", "y"]["psnr_difference"])) < 0.01


def test_entries_that_look_like_rfdn_have_their_own_figures(command, shared):
    """The one is dilated, both take 0-1: with RFDN's own arithmetic the first has 31.67."""
    files = [shared / f"cases/checkpoints/looks_like_rfdn_{name}.pth" for name in "ab"]
    done = command("evaluate.py", f"weights=[{files[0]},{files[1]}]", "benchmarks=[set5]", "protocols=[y]", "panels=0",
                   f"data_dir={shared / 'data'}", "baseline=false")  # fmt: skip
    assert done.code == 0, done
    figures = {row["model"]: float(row["psnr"]) for row in _rows(done.folder / "results.csv")}
    wanted = {"looks_like_rfdn_a": 32.139, "looks_like_rfdn_b": 32.211}
    assert figures == pytest.approx(wanted, abs=0.01)


def test_what_a_metric_is_computed_with_is_refused_as_weights(command, shared):
    done = command("evaluate.py", f"weights={shared}/weights/lpips/alexnet_features.pth", "benchmarks=[set5]",
                   f"data_dir={shared / 'data'}")  # fmt: skip
    assert done.code == 1 and "its 10 tensors are of no architecture that the zoo knows" in done.err, done


def _luma(rows: dict[tuple[str, str], dict[str, str]], names: list[str]) -> None:
    for name in names:
        entry = ZOO[name]
        assert float(rows[name, entry.protocol]["psnr"]) == pytest.approx(entry.psnr, abs=0.02), name


def test_older_networks_under_their_own_protocol(measured):
    _luma(measured(LUMA, "set5"), LUMA)


@pytest.mark.slow
def test_large_older_networks_under_their_own_protocol(measured):
    _luma(measured(SLOW_LUMA, "set5"), SLOW_LUMA)


@pytest.mark.slow
def test_by_path_and_as_our_checkpoint(command, shared, tmp_path):
    """A copy under another name is recognised, saved as a checkpoint, measured and trained on."""
    from sr.zoo.__main__ import main

    copy = tmp_path / "mystery.bin"
    copy.write_bytes((shared / "weights/rlfn/rlfn_ntire_x4.pth").read_bytes())
    main(["save", str(copy), str(tmp_path / "ours.ckpt")])
    set5 = ("data=[set5]", f"data_dir={shared / 'data'}", "panels=0", "protocol=y", "baseline=false")
    figures = []
    for i, what in enumerate([f"weights={copy}", f"checkpoint={tmp_path / 'ours.ckpt'}"]):
        done = command("evaluate.py", what, *set5, folder=f"run{i}")
        assert done.code == 0, done
        figures.append([r["psnr"] for r in _rows(done.folder / "results.csv")])
    assert figures[0] == figures[1] != []
    done = command(
        "train.py",
        "model=rlfn_ntire",
        f"init_from={tmp_path / 'ours.ckpt'}",
        "budget=smoke",
        "trainer=cpu",
        "benchmarks=[]",
        "data=bundled",
        folder="train",
    )
    assert done.code == 0, done


@pytest.mark.slow
def test_training_begins_from_a_name_of_the_zoo(command, shared):
    typed = ["model=rlfn_ntire", "init_from=rlfn_ntire_x4", f"zoo.dir={shared / 'weights'}", "budget=smoke"]
    done = command("train.py", *typed, "trainer=cpu", "benchmarks=[]", "data=bundled")
    assert done.code == 0 and "weights from rlfn_ntire_x4" in done.out, done
