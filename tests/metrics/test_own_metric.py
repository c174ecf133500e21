"""A metric in a file of the user's own appears wherever PSNR does, without an edit elsewhere."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
import torch

from sr.errors import UserError
from sr.metrics.metric import Metric, declared, get_metrics
from sr.metrics.protocols import get_protocol
from sr.metrics.psnr import METRIC
from sr.scores.results import read

RMSE = '''
from torch import Tensor

from sr.metrics.metric import Metric


def rmse(sr: Tensor, hr: Tensor) -> Tensor:
    """Root of the mean squared error of each image, in grey levels."""
    return (sr - hr).square().flatten(1).mean(1).sqrt()


METRIC = Metric("rmse", rmse, unit="grey levels", digits=3, better=-1, note="RMSE: of what the protocol compares.")
'''


@pytest.fixture
def rmse(tmp_path, monkeypatch) -> Path:
    """The file, which no other test shall know of."""
    monkeypatch.setitem(sys.modules, "sr.metrics.rmse", None)
    monkeypatch.delitem(sys.modules, "sr.metrics.rmse")
    file = tmp_path / "own" / "rmse.py"
    file.parent.mkdir()
    file.write_text(RMSE)
    return file


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as f:
        return list(csv.DictReader(f))


def test_it_is_found_by_its_path_and_then_by_its_name(rmse):
    assert [m.name for m in get_metrics(["psnr", str(rmse)])] == ["psnr", "rmse"]
    assert [m.unit for m in get_metrics(["rmse"])] == ["grey levels"] and get_metrics([str(rmse)]) == get_metrics(
        ["rmse"]
    )
    hr = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    found = get_protocol("rgb").compare(hr / 255 * 0.9, hr, 2, metrics=get_metrics(["psnr", "rmse"]))
    assert found["rmse"].shape == (2,)
    torch.testing.assert_close(20 * torch.log10(255 / found["rmse"]), found["psnr"])


@pytest.mark.parametrize("colours", [False, True])
def test_one_that_writes_into_what_it_gets_changes_no_figure_after_it(colours):
    def careless(sr, hr):
        hr.zero_()
        sr.zero_()
        return torch.ones(1)

    hr, lr = (torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8) for side in (24, 12))
    metrics = [Metric("careless", careless, rgb=colours), METRIC]
    for protocol in (get_protocol("rgb"), get_protocol("y")):
        sr, true = (hr / 255 * 0.9).double(), hr.clone()
        expected = protocol.compare(sr, hr, 2)["psnr"]
        assert torch.equal(protocol.compare(sr, true, 2, metrics=metrics, lr=lr)["psnr"], expected)
        assert torch.equal(true, hr)


def test_what_is_no_metric(rmse, tmp_path):
    with pytest.raises(
        UserError, match=r"no such metric. Did you mean psnr\? There are .*lpips.*, psnr.*; .*PATH/pnsr.py"
    ):
        get_metrics(["pnsr"])
    with pytest.raises(UserError, match="there is no file"):
        get_metrics([str(tmp_path / "none.py")])
    (tmp_path / "empty.py").touch()
    with pytest.raises(UserError, match=r'declares no metric. Write into it: METRIC = Metric\("empty"'):
        get_metrics([str(tmp_path / "empty.py")])
    (tmp_path / "psnr.py").write_text(RMSE)
    with pytest.raises(UserError, match=r"a psnr\.py of its own"):
        get_metrics([str(tmp_path / "psnr.py")])
    (tmp_path / "mine.py").write_text(RMSE.replace('Metric("rmse"', 'Metric("psnr"'))
    with pytest.raises(UserError, match=r"mine\.py declares the name 'psnr', which another metric has"):
        get_metrics(["psnr", str(tmp_path / "mine.py")])
    for number, name in enumerate(("scale", "images", "lr", "PSNR", "a,b", "a|b", "", "paper_psnr", "psnr_difference")):
        (tmp_path / f"n{number}.py").write_text(RMSE.replace('Metric("rmse"', f'Metric("{name}"'))
        with pytest.raises(UserError, match="cannot be a column of its own"):
            get_metrics([str(tmp_path / f"n{number}.py")])
    assert get_metrics(["psnr"])[0].unit == "dB"
    with pytest.raises(UserError, match="name one at least"):
        get_metrics([])
    assert declared("unheard_of").text(0.25) == "0.2500"
    assert [METRIC.text(v, "+") for v in (-0.001, 0.0, 0.006, -0.006)] == ["0.00", "0.00", "+0.01", "-0.01"]


def test_it_appears_wherever_psnr_does(command, div2k, rmse):
    metrics, data = f"metrics=[psnr,ssim,{rmse}]", [f"data.root={div2k}"]
    small = ["model=ecbsr_m4c8", "scale=2", "data=div2k", *data, "budget=smoke"]
    swept = command("train.py", "-m", *small, metrics, "seed=0,1", "self_ensemble=true", folder="sweep")
    assert swept.code == 0, swept
    run, other = sorted(p.parent for p in swept.folder.glob("*/run.json"))
    # the table that ends a run, and that of a sweep
    assert "PSNR in dB / SSIM / RMSE in grey levels" in swept.out
    line = next(line for line in swept.out.splitlines() if line.startswith("DIV2K"))
    assert re.search(r"\d\d\.\d\d / 0\.\d{4} / \d+\.\d{3}", line)
    found = {(s.protocol, s.metric): s.value for s in read(run / "results.csv") if s.model == "ecbsr_m4c8"}
    assert set(found) == {(p, m) for p in ("y", "rgb") for m in ("psnr", "ssim", "rmse")}
    assert list(rows(run / "results.csv")[0])[4:8] == ["psnr", "ssim", "rmse", "images"]
    each = [r for r in rows(run / "results_per_image.csv") if (r["model"], r["protocol"]) == ("ecbsr_m4c8", "y")]
    assert sum(float(r["rmse"]) for r in each) / 3 == pytest.approx(found["y", "rmse"])
    table = next(r for r in rows(swept.folder / "table.csv") if (r["line"], r["protocol"]) == ("ecbsr_m4c8", "y"))
    assert float(table["rmse"]) > 0 and table["rmse_std"] and "/ SSIM / RMSE" in (swept.folder / "table.md").read_text()
    # what is logged while training and at its end
    logged = rows(run / "metrics.csv")
    assert float(next(r for r in logged if r["val/rmse_y"])["val/rmse_y"]) > 0
    assert float(logged[-1]["test/DIV2K/rmse_y"]) == pytest.approx(found["y", "rmse"])
    assert logged[-1]["test/DIV2K_ensemble/rmse_rgb"]
    # evaluate
    measured = command("evaluate.py", f"checkpoint={run}", "benchmarks=[div2k]", *data, metrics, folder="measured")
    assert measured.code == 0 and "RMSE in grey levels" in measured.out, measured
    again = {(s.protocol, s.metric): s.value for s in read(measured.folder / "results.csv") if s.model == "ecbsr_m4c8"}
    assert again == found
    # compare: stored, and measured where a run has it not
    plain = command("train.py", *small, "seed=2", folder="plain")
    assert plain.code == 0, plain
    done = command(
        "compare.py", f"runs=[{run},{other},{plain.folder}]", metrics, "benchmarks=[div2k]", *data, "sort=rmse",
        "filter=rmse>0", "crops=0", folder="compared",
    )  # fmt: skip
    assert done.code == 0, done
    values = [float(r["DIV2K/rmse_y"]) for r in rows(done.folder / "table.csv")]
    assert len(values) == 6 and values == sorted(values)  # bicubic, three runs and two under self-ensemble
    page = (done.folder / "index.html").read_text()
    assert "DIV2K, y, RMSE" in page and "RMSE: of what the protocol compares." in page and 'data-better="-1"' in page
    assert "val/rmse_y" in json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])["curves"]


def test_a_column_of_a_metric_that_is_not_known_here_is_still_shown(command, div2k, rmse, monkeypatch):
    typed = ["model=ecbsr_m4c8", "scale=2", "data=div2k", f"data.root={div2k}", "budget=smoke"]
    run = command("train.py", *typed, f"metrics=[{rmse},psnr]")
    assert run.code == 0, run
    # by the first metric, of which less is better, the best checkpoint is chosen
    kept = torch.load(run.folder / "checkpoints/last.ckpt", weights_only=True)["callbacks"]
    best = next(state for name, state in kept.items() if "Checkpoints" in name)
    assert best["monitor"] == "val/rmse_y" and best["best"] < 0
    monkeypatch.delitem(sys.modules, "sr.metrics.rmse")
    rmse.unlink()
    done = command("compare.py", f"runs={run.folder}", "crops=0", folder="compared")
    assert done.code == 0 and "DIV2K, y, RMSE" in done.out, done
    assert {f"{float(r['DIV2K/rmse_y']):.1f}" for r in rows(done.folder / "table.csv")} - {"0.0"}


@pytest.mark.parametrize(
    "typed",
    [
        "evaluate.py model=bicubic scale=2 protocols=[y]",
        "upscale.py input=HR hr=HR model=bicubic scale=2 protocols=[y]",
    ],
)
def test_one_that_gives_no_value_is_told_before_anything_is_measured(command, tmp_path, photos, monkeypatch, typed):
    monkeypatch.delitem(sys.modules, "sr.metrics.wrong", raising=False)
    photos(tmp_path / "HR", 1, 48, 48)
    (tmp_path / "wrong.py").write_text(RMSE.replace(".mean(1).sqrt()", "").replace('"rmse"', '"wrong"'))
    outcome = command(*typed.split(), "metrics=[psnr,wrong.py]")
    assert outcome.code == 1 and "metrics: wrong fails under protocol y on a picture" in outcome.err, outcome
    assert "Traceback" not in outcome.err and not (outcome.folder / "results.csv").exists()
