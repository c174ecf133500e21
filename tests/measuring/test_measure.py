"""measure.py as a user types it."""

import csv
import json

import pytest
from small_runs import ROOT

from sr.measuring.reproduced import of_row, read


def table(folder):
    with (folder / "models.csv").open(newline="") as f:
        return {r["model"]: r for r in csv.DictReader(f)}


def test_two_models(command, tmp_path):
    results = tmp_path / "results.csv"
    results.write_text("model,dataset,scale,protocol,psnr,images\nespcn,Set5,2,y_classic,36.5,5\n")
    done = command(
        "measure.py",
        "model=[espcn,ecbsr_m4c16]",
        "scale=2",
        "size=[16,16]",
        "rounds=2",
        "reference=bicubic",
        f"results={results}",
    )
    assert done.code == 0, done
    rows = table(done.folder)
    assert list(rows) == ["espcn", "ecbsr_m4c16"]
    assert rows["espcn"]["parameters"] == "21284" and rows["espcn"]["published_macs_g"] == "4.88"
    assert rows["ecbsr_m4c16"]["parameters"] == "39956" and rows["ecbsr_m4c16"]["merged_parameters"] == "10100"
    assert rows["espcn"]["reproduced_psnr"].startswith("36.50 /")
    assert rows["espcn"]["published_psnr"].startswith("36.83 /")
    text = (done.folder / "models.md").read_text()
    assert "| espcn | x2 |" in text and "to bicubic in the same round" in text and " thread" in text


def test_figures_of_other_lr_are_not_reproduced_ones(command, tmp_path):
    head = "model,dataset,scale,protocol,psnr,images"
    rows = ["bicubic,Set5,2,y,33.69,5", "espcn,Set5,2,y_classic,36.5,5", "bicubic,Set14,2,y,27.0,14",
            "espcn,Set14,2,y_classic,28.0,14"]  # fmt: skip
    (tmp_path / "results.csv").write_text("\n".join([head, *rows]) + "\n")
    done = command(
        "measure.py", "model=espcn", "scale=2", "rounds=0", "receptive_field=false", f"results={tmp_path}/results.csv"
    )
    assert "Set14 x2" in done.out and "bicubic has 27.00 dB there, 30.24 in the papers" in done.out, done
    assert table(done.folder)["espcn"]["reproduced_psnr"] == "36.50 / - / - / -"
    noisy = "model,dataset,scale,protocol,psnr,images,lr\nespcn,Set5,2,y,36.5,5,made by Noise\n"
    (tmp_path / "x.csv").write_text(noisy)  # where bicubic was not measured
    assert read(str(tmp_path / "x.csv")) == {tmp_path / "x.csv": []}


def test_a_model_of_another_size(command):
    done = command("measure.py", "model=espcn", "model.channels=[8,4]", "rounds=0", "receptive_field=false")
    assert done.code == 0, done
    row = table(done.folder)["espcn"]
    assert int(row["parameters"]) < 3000 and row["published_psnr"] == row["published_macs_g"] == ""


def test_models_without_this_scale(command):
    done = command("measure.py", "model=[espcn,lapsrn]", "scale=3", "rounds=0", "receptive_field=false")
    assert done.code == 0, done
    assert list(table(done.folder)) == ["espcn"] and "lapsrn left out" in done.out + done.err
    typed = ["model=[espcn,mdsr_baseline]", "scale=8", "rounds=0", "receptive_field=false"]  # whose scales are a list
    done = command("measure.py", *typed, folder="c")
    assert done.code == 0 and "mdsr_baseline left out: this MDSR serves scale 2, 3, 4" in done.out + done.err, done
    done = command("measure.py", "model=lapsrn", "scale=3", "rounds=0", folder="b")
    assert done.code == 1 and "no scale 3" in done.err


def test_what_cannot_be_measured(command):
    done = command("measure.py", "model=rlfm")
    assert done.code == 1 and "Did you mean rlfn" in done.err
    done = command("measure.py")
    assert done.code == 1 and "model=all" in done.err
    done = command("measure.py", "model=espcn", "results=nowhere", "rounds=0")
    assert done.code == 1 and "no results.csv" in done.err


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"\xff\xfe\0", b"", b"model,dataset,scale,protocol,psnr,images\nx,y,2.0,y,1,5\n"]
)
def test_what_is_no_table_of_results_is_refused_before_anything_is_counted(command, tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    done = command("measure.py", "model=espcn", f"results={tmp_path}/x.csv", "rounds=0", "receptive_field=false")
    if content:
        assert done.code == 1 and "is no results.csv of this project" in done.err and "counting" not in done.out, done
    else:
        assert done.code == 0, done


def test_all_is_every_model(root):
    from sr.compose.spelling import models_listed

    argument = models_listed("all")
    assert argument.count(",") + 1 == len(list((root / "conf/model").glob("*.yaml")))


def results_of(tmp_path, **psnr):
    """Folders of runs, and one of sr evaluate, with a figure each; of `x2` in its own folder for that scale."""
    for name, value in psnr.items():
        (tmp_path / name / ("panels" if name == "evaluated" else "checkpoints")).mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "last.ckpt").touch() if name != "evaluated" else None
        place = tmp_path / name / "x2" if name.endswith("x2") else tmp_path / name
        place.mkdir(exist_ok=True)
        (place / "results.csv").write_text(
            f"model,dataset,scale,protocol,psnr,images\nespcn,Set5,2,y_classic,{value},5\n"
        )
    return read([str(tmp_path)])


@pytest.mark.slow
def test_what_the_docs_count_is_what_is_counted(command):
    """Peaks of 15 rows were those of former code."""

    def rows(text):
        head, found = [], {}
        for cells in ([c.strip() for c in line.strip("| \n").split(" | ")] for line in text.splitlines()):
            head = cells if cells[0] == "model" else head
            if len(cells) >= 9 and cells[0] != "model":
                found[cells[0]] = dict(zip(head[:9], cells, strict=False))
        return found

    done = command("measure.py", "model=all", "scale=4", "rounds=0", "receptive_field=false")
    assert done.code == 0, done
    now, told = rows((done.folder / "models.md").read_text()), rows((ROOT / "docs/costs.md").read_text())
    assert len(told) > 35
    for model, row in told.items():
        assert {k: v for k, v in now[model].items() if k != "receptive field"} == {
            k: v for k, v in row.items() if k != "receptive field"
        }, model


def test_a_run_has_no_figure_of_another_runs_weights(tmp_path, caplog):
    results = results_of(tmp_path, a=36.0, b=37.0, evaluated=38.0)
    for typed in (tmp_path / "a", tmp_path / "a" / "checkpoints" / "last.ckpt"):
        found = of_row(results, "espcn (trained)", str(typed))
        assert [(s.model, s.value) for s in found] == [("espcn (trained)", 36.0), ("espcn (trained)", 38.0)]
    assert f"{tmp_path / 'evaluated' / 'results.csv'} knows networks by their names" in caplog.text
    assert len(of_row(results, "espcn", None)) == 3


def test_figures_of_a_runs_last_weights_are_not_those_of_its_best(tmp_path):
    results = results_of(tmp_path, a=36.0)
    for name in ("best", "previous", "stage1_first"):
        (tmp_path / "a" / "checkpoints" / f"{name}.ckpt").touch()
        assert of_row(results, "espcn", str(tmp_path / "a" / "checkpoints" / f"{name}.ckpt")) == []


def test_figures_of_one_of_several_scales_are_their_runs_own(tmp_path):
    results = results_of(tmp_path, a_x2=36.0, b_x2=37.0)
    assert [s.value for s in of_row(results, "espcn", str(tmp_path / "a_x2"))] == [36.0]
    assert len(of_row(results, "espcn", str(tmp_path))) == 1, "a folder of runs means its newest one"


def test_a_network_has_no_figure_of_another_size_under_its_name(tmp_path):
    node = {"_target_": "sr.models.espcn.ESPCN", "scale": 2}
    for name, own in (("same", {"scale": 4}), ("smaller", {"channels": [8, 4]}), ("damaged", None)):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
        text = "[" if own is None else json.dumps({"model": node | own})
        (tmp_path / name / ".hydra/config.yaml").write_text(text)
        table = f"model,dataset,scale,protocol,psnr,images\n{name},Set5,2,y_classic,36.0,5\n"
        (tmp_path / name / "results.csv").write_text(table)
    assert sorted(s.model for s in of_row(read(str(tmp_path)), "espcn", None, node)) == ["damaged", "same"]
