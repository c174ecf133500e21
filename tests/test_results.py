"""The pages of results/ are what results/page.py makes of results.csv, into which it brings run folders."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from sr.errors import UserError
from sr.runs.folder import read_run
from sr.runs.record import record

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("results_page", ROOT / "results/page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def folder(place: Path, status: str = "finished", psnr: float = 32.5) -> Path:
    (place / ".hydra").mkdir(parents=True)
    config = {
        "seed": 3,
        "model": {"scale": 3},
        "scale": 3,
        "protocol": "y_classic",
        "choices": {"model": "espcn", "data": "t91", "recipe": "espcn_sgd"},
    }
    typed = ["model=espcn", "seed=3", "data_dir=/shared/d", "data.val=/shared/d/v", "logger=csv", "+stages={a: 1}"]
    (place / ".hydra/config.yaml").write_text(yaml.safe_dump(config))
    (place / ".hydra/overrides.yaml").write_text(yaml.safe_dump([*typed, "hydra.run.dir=/tmp/x"]))
    record(place, status, seconds=90.04, steps=8, device="cpu")
    head = "step,time/seconds,time/cpu_seconds,train/loss,val/psnr_y_classic\n"
    (place / "metrics.csv").write_text(f"{head}4,50,10.5,0.5,31\n8,90,20.25,0.25,{psnr}\n")
    figures = f"bicubic,Set5,3,y_classic,30.39,0.9,5\nespcn,Set5,3,y_classic,{psnr},0.9,5\n"
    (place / "results.csv").write_text("model,dataset,scale,protocol,psnr,ssim,images\n" + figures)
    return place


def test_the_pages_are_what_the_command_makes_of_the_table(made):
    pages = made.pages()
    assert sum(page.read_text().count("<!-- table ") for page in pages) >= 5
    for page in pages:
        assert made.page(page.read_text(), made.rows_of()) == page.read_text(), f"type python results/page.py ({page})"


def test_every_row_says_what_it_is_and_stands_in_a_page(made):
    pages = "".join(page.read_text() for page in made.pages())
    for row in made.rows_of():
        assert row["label"] and row["commit"] and f"<!-- table {row['table']}: " in pages
        assert row["model"] == "bicubic" or row["command"].startswith(("train.py ", "evaluate.py ")), row
        assert row.get("command", "").startswith("train.py ") == ("recipe" in row), row
        assert not re.search(r"(^|[=\[, ])/", row.get("command", "")), "a path of the machine that it ran on"


def test_a_run_becomes_a_row_of_what_its_result_depends_on(made, tmp_path, monkeypatch):
    monkeypatch.setenv("SR_SHARED", "/shared")
    row = made.row_of(read_run(folder(tmp_path / "a")), "short", "ESPCN")
    assert row.pop("commit") and row == {
        "table": "short", "label": "ESPCN", "model": "espcn", "data": "t91", "device": "cpu", "steps": "8",
        "recipe": "espcn_sgd",
        "command": "train.py model=espcn data.val=$SR_SHARED/d/v '+stages={a: 1}'",
        "seconds": "90.0", "cpu_seconds": "20.2", "seed": "3",
        "Set5/psnr_y_classic": "32.5", "Set5/ssim_y_classic": "0.9",
    }  # fmt: skip
    with pytest.raises(UserError, match="no finished run"):
        made.row_of(read_run(folder(tmp_path / "b", status="failed")), "short", "ESPCN")


def test_a_table_without_recipes_is_read_and_a_run_without_them_has_none(made, tmp_path):
    (tmp_path / "results.csv").write_text("table,label,model,commit,Set5/psnr_y\nshort,A,espcn,x,32.5\n")
    old = made.rows_of(tmp_path / "results.csv")
    run = read_run(folder(tmp_path / "a"))
    run.config["choices"].pop("recipe")
    row = made.row_of(run, "short", "B")
    assert "recipe" not in row
    made.keep([*old, row, row | {"recipe": "espcn"}], tmp_path / "results.csv")
    assert made.rows_of(tmp_path / "results.csv") == [*old, row, row | {"recipe": "espcn"}]
    assert made.cell([row | {"recipe": "espcn"}, row], "recipe") == "espcn"


def test_what_was_measured_becomes_a_row_for_each_model(made, tmp_path, monkeypatch):
    monkeypatch.setenv("SR_SHARED", "/shared")
    (tmp_path / ".hydra").mkdir()
    typed = ["weights=['imdn_x4']", "zoo.dir=/shared/weights", f"hydra.run.dir={tmp_path}"]
    (tmp_path / ".hydra/overrides.yaml").write_text(yaml.safe_dump(typed))
    figures = "bicubic,Set5,4,y,28.43,0.33,0.2,5\nimdn_x4,Set5,4,y,32.21,0.17,0.1,5\n"
    (tmp_path / "results.csv").write_text(f"model,dataset,scale,protocol,psnr,lpips_vgg,lr_psnr,images\n{figures}")
    bicubic, imdn = made.measured_rows(tmp_path, "zoo")
    assert bicubic["label"] == "bicubic, x4" and imdn.pop("commit") and imdn == {
        "table": "zoo", "label": "imdn_x4", "model": "imdn_x4",
        "command": "evaluate.py weights=[imdn_x4] zoo.dir=$SR_SHARED/weights",
        "Set5/psnr_y": "32.2100", "Set5/lpips_vgg_y": "0.1700", "Set5/lr_psnr_y": "0.1000",
    }  # fmt: skip
    text = made.table([bicubic, imdn], "network=label; LPIPS=Set5/lpips_vgg_y; LR=Set5/lr_psnr_y")
    assert "| imdn_x4 | 0.1700 | 0.10 |" in text
    with pytest.raises(UserError, match=r"no folder of evaluate\.py"):
        made.measured_rows(folder(tmp_path / "a"), "zoo")


def test_a_row_tells_when_the_validations_reached_a_figure(made, tmp_path):
    run, short = read_run(folder(tmp_path / "a")), {"table": "t", "label": "ESPCN", "seed": "3"}
    row = dict(short)
    curve = made.curve_of(run, row, 32.0)
    assert row == short | {"paper": "32", "seconds_to_figure": "90.0", "cpu_seconds_to_figure": "20.2"}
    assert [(r["step"], r["cpu_seconds"], r["psnr"], r["figure"]) for r in curve] == [
        ("4", "10.5", "31.0000", "32"), ("8", "20.2", "32.5000", "32"),
    ]  # fmt: skip
    made.curve_of(run, row := dict(short), 33.0)
    assert row == short | {"paper": "33"}
    assert made.cell([row, {"cpu_seconds_to_figure": "20.2"}], "cpu_seconds_to_figure") == "20 s (1 of 2)"


def test_seeds_stand_in_one_line_and_come_through_the_file(made, tmp_path):
    runs = [read_run(folder(tmp_path / str(n), psnr=32.5 + n / 10)) for n in range(3)]
    rows = [{"table": "short", "label": "bicubic", "model": "bicubic", "commit": "x", "Set5/psnr_y_classic": "30.39"}]
    made.keep([*rows, *(made.row_of(run, "short", "ESPCN") for run in runs)], tmp_path / "results.csv")
    rows = made.rows_of(tmp_path / "results.csv")
    columns = "run=label; runs; CPU=cpu_minutes; Set5=Set5/psnr_y_classic & Set5/ssim_y_classic"
    page = made.page(f"a\n<!-- table short: {columns} -->\nold\n<!-- end of table -->\nb", rows)
    assert "| bicubic | 1 |  | 30.39 |" in page and "| ESPCN | 3 | 0.3 min | 32.60 ± 0.10 / 0.9000 ± 0.0000 |" in page
    assert "old" not in page and made.page(page, rows) == page
    with pytest.raises(UserError, match="no row of table 'gone'"):
        made.page("<!-- table gone: label -->\n<!-- end of table -->", rows)
