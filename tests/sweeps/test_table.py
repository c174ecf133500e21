"""The table at the end of a sweep, from runs that are made up."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from sr.runs.folder import Run
from sr.runs.own import signed
from sr.runs.record import record
from sr.scores.results import read
from sr.scores.results import write as write_scores
from sr.scores.score import Score, scores_of
from sr.sweeps.ablation import Ablation, AblationRow, Cell, Column
from sr.sweeps.lines import table_columns, table_lines
from sr.sweeps.table import write

SET5 = Column("Set5", 2, "y")


def scored(model: str, dataset: str, scale: int, psnr: float, ssim: float, images: int) -> list[Score]:
    return scores_of(model, dataset, scale, "y", {"psnr": psnr, "ssim": ssim}, images)


def paper(psnr: float, ssim: float, source: str) -> Cell:
    return Cell({"psnr": psnr, "ssim": ssim}, source)


def run(place: Path, psnr: float | None, seed: int = 0, status: str = "finished", name="edsr", **typed: str) -> Run:
    scores = scored("bicubic", "Set5", 2, 33.66, 0.93, 5)
    scores += [] if psnr is None else scored(name, "Set5", 2, psnr, 0.95, 5)
    overrides = [f"{key.replace('__', '.')}={value}" for key, value in typed.items()] + [f"seed={seed}"]
    curve = [{"step": 10.0, "train/loss": 1.0}, {"step": 10.0, "val/psnr_y": psnr or 1.0}]
    folder = place / f"{len(list(place.iterdir()))}_{seed}"
    folder.mkdir()
    return Run(folder, name, {"scale": 2}, overrides, scores if status == "finished" else [], curve,
               60.0 + 60 * seed, 10, status, seed)  # fmt: skip


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_seeds_are_averaged_and_settings_make_the_lines(tmp_path):
    runs = [run(tmp_path, 30.0 + seed + 5 * (lr == "0.1"), seed, optimizer__lr=lr, model="edsr")
            for lr in ("0.1", "0.2") for seed in (0, 1)]  # fmt: skip
    text = write(runs, tmp_path, None, {}, "sr train -m ...")
    base, first, second = rows(tmp_path)
    assert (base["line"], base["psnr"], base["n"]) == ("bicubic", "33.66", "4")
    assert (first["line"], first["n"], first["psnr"]) == ("optimizer.lr=0.1", "2", "35.5")
    assert abs(float(first["psnr_std"]) - 0.5**0.5) < 1e-6 and first["seconds"] == "90.0"
    assert second["line"] == "optimizer.lr=0.2" and "30.50 ± 0.71 / 0.9500" in text
    assert "| optimizer.lr=0.2 | 2 | 10 | 1.5 | 30.50 ± 0.71 / 0.9500 |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "curves.png").is_file()


def test_the_papers_cells_have_the_order_of_ours(tmp_path):
    made = run(tmp_path, 30.0, ablation="x/b")
    made.scores.reverse()  # SSIM first, as of metrics=[ssim,psnr]
    text = write([made], tmp_path, ablation(b=paper(38.11, 0.9601, "a")), {}, "command")
    assert "SSIM / PSNR in dB" in text and "0.9500 / 30.00" in text and "0.9601 / 38.11" in text, text


def test_below_it_stands_how_sure_the_differences_are(tmp_path):
    runs = []
    for lr, gain in {"0.1": 0.0, "0.2": 0.3}.items():
        for seed in (0, 1):
            one = run(tmp_path, None, seed, optimizer__lr=lr, model="edsr")
            images = {f"image{n}": 30 + n + gain + 0.1 * seed for n in range(6)}
            each = [scores_of("edsr", "Set5", 2, "y", {"psnr": value}, 1, name) for name, value in images.items()]
            write_scores([s for of_image in each for s in of_image], one.folder)
            runs.append(replace(one, scores=read(one.folder / "results.csv")))
    text = write(runs, tmp_path, None, {}, "sr train -m ...")
    assert "optimizer.lr=0.1          -0.30 [-0.40, -0.20] p 0.031" in text and "images and seeds" in text
    assert "| optimizer.lr=0.2 | best |" in (tmp_path / "table.md").read_text()
    with (tmp_path / "differences.csv").open(newline="") as f:
        (pair,) = csv.DictReader(f)
    assert (pair["model"], pair["other"]) == ("optimizer.lr=0.1", "optimizer.lr=0.2")
    assert (pair["runs"], pair["other_runs"], pair["images"]) == ("2", "2", "6")


def ablation(**papers: Cell) -> Ablation:
    made = {
        name: AblationRow(name, name.upper(), {}, {SET5: papers[name]} if name in papers else {}, "", False)
        for name in ("a", "b", "c")
    }
    return Ablation("x", "A title", "", "a note", (SET5, Column("Set14", 2, "y")), made)


def test_an_ablations_lines_are_the_papers_with_their_figures(tmp_path):
    runs = [run(tmp_path, 30.0, 0, ablation="x/b"), run(tmp_path, None, 1, "failed", ablation="x/b"),
            run(tmp_path, 31.0, 0, ablation="x/a")]  # fmt: skip
    text = write(runs, tmp_path, ablation(b=paper(38.11, 0.9601, "the paper, table 1")), {"c": "no weights"}, "command")
    table = (tmp_path / "table.md").read_text().splitlines()
    lines = [line for line in table if line.startswith("| ")]
    assert lines[0] == "|  | runs | steps | minutes | Set5 x2 y | paper |"
    assert lines[2:] == [
        "| A | 1 | 10 | 1.0 | 31.00 / 0.9500 |  |",
        "| B | 1, 1 failed | 10 | 1.0 | 30.00 / 0.9500 | 38.11 / 0.9601 |",
        "| C | not run |  |  |  |  |",
    ]
    assert "paper: the paper, table 1" in text and "not run: c: no weights" in text and "note: a note" in text


def test_no_figure_is_said_to_be_no_figure(tmp_path):
    text = write([run(tmp_path, 30.0, ablation="x/a")], tmp_path, ablation(), {}, "command")
    assert (
        "paper: no published figure could be sourced" in text and "paper |" not in (tmp_path / "table.md").read_text()
    )


def test_a_cell_of_fewer_seeds_says_so(tmp_path):
    runs = [run(tmp_path, 30.0, seed, ablation="x/a") for seed in (0, 1)]
    runs[0].scores.extend(scored("edsr", "Set14", 2, 28.0, 0.9, 14))
    text = write(runs, tmp_path, ablation(), {}, "command")
    assert "28.00 / 0.9000 (n=1)" in text and "30.00 / 0.9500" in text


def test_self_ensemble_has_a_line_of_its_own_beside_its_own_figures(tmp_path):
    made = run(tmp_path, 30.0, ablation="x/a")
    made.scores.extend(scored("edsr+", "Set5", 2, 30.5, 0.96, 5))
    rows_of = {"a": AblationRow("a", "A", {}, {}, "edsr", False)}
    whole = Ablation("x", "t", "", "", (Column("Set5", 2, "y_uint8"), SET5), rows_of)
    base, plain, plus = table_lines([made], whole, {})
    assert (base.label, plain.label, plus.label) == ("bicubic", "A", "A +")
    assert [r.values["psnr"] for line in (plus, plain) for r in line.results[SET5]] == [30.5, 30.0]
    known = Column("Set5", 2, "y_uint8")
    assert [line.paper[known].values["psnr"] for line in (plain, plus)] == [38.11, 38.20]
    assert table_columns([base, plain, plus], whole) == [known, SET5]


def test_many_columns_are_a_table_for_each_scale(tmp_path):
    made = run(tmp_path, 30.0, model="edsr")
    made.scores[:] = [s for scale in (2, 3) for name in "ABCDE" for s in scored("edsr", name, scale, 30.0, 0.9, 5)]
    write([made], tmp_path, None, {}, "command")
    heads = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("|  |")]
    assert len(heads) == 2 and "A x2 y" in heads[0] and "E x3 y" in heads[1] and "x3" not in heads[0]


def test_what_changes_no_result_makes_no_line_of_its_own(tmp_path):
    runs = [run(tmp_path, 30.0, 0, model="edsr"),
            run(tmp_path, 31.0, 1, model="edsr", logger="csv", trainer__enable_progress_bar="false")]  # fmt: skip
    _, line = table_lines(runs, None, {})
    assert (line.label, len(line.runs)) == ("edsr", 2)


def test_a_part_of_a_set_is_told(tmp_path):
    made = run(tmp_path, 30.0, ablation="x/b")
    made.scores.extend(scored("edsr", "Set14", 2, 28.0, 0.9, 3))
    text = write([made], tmp_path, ablation(b=paper(38.11, 0.9601, "a")), {}, "command")
    assert "Set14: 3 images here" in text and "Set5: " not in text, "of Set5 all were measured"
    made.scores[:] = scored("edsr", "Set5", 2, 30.0, 0.9, 3)
    text = write([made], tmp_path, ablation(b=paper(38.11, 0.9601, "a")), {}, "command")
    told = "Set5: 3 images here, the papers' figures are of 5"
    assert told in text and f"- {told}\n" in (tmp_path / "table.md").read_text()


def test_means_over_other_images_are_never_averaged(tmp_path):
    runs = [run(tmp_path, 30.0 + seed, seed, ablation="x/a") for seed in range(4)]
    runs[2].scores[:] = scored("edsr", "Set5", 2, 40.0, 0.95, 2)
    runs[3].scores[:] = [replace(s, left_out=int(s.metric == "psnr")) for s in scored("edsr", "Set5", 2, 50.0, 0.95, 5)]
    text = write(runs, tmp_path, ablation(a=paper(38.11, 0.9601, "the paper")), {}, "command")
    cells = "30.50 ± 0.71 / 0.9500 (n=2, 5 images); 40.00 / 0.9500 (n=1, 2 images); 50.00 / 0.9500 (n=1, 5 images, 1 of"
    assert "identical: the output is HR itself" in text
    assert cells in text and "Set5: 2 or 5 images here, the papers' figures are of 5" in text
    found = [(r["psnr"], r["images"], r["left_out"], r["n"]) for r in rows(tmp_path) if r["line"] == "A"]
    assert found == [("30.5", "5", "", "2"), ("40.0", "2", "", "1"), ("50.0", "5", "1 of 5 identical", "1")]


def test_sets_of_one_name_and_other_images_are_never_averaged(tmp_path):
    runs = [run(tmp_path, 30.0 + seed, seed, data__root="ab"[seed > 1]) for seed in range(4)]
    for one in runs[2:]:
        one.scores[:] = [replace(s, value=s.value + 5) if s.metric == "psnr" else s for s in one.scores]
    text = write(runs, tmp_path, None, {}, "command")
    base, _, first, second = [(r["line"], r["dataset"], r["psnr"], r["n"]) for r in rows(tmp_path)]
    assert base == ("bicubic", "Set5", "33.66", "2") and first == ("data.root=a", "Set5", "30.5", "2")
    assert second == ("data.root=b", "Set5 (2)", "37.5", "2") and "38.66" in text
    assert "Set5 (2): not the images, or not the LR, of Set5" in text


def test_runs_that_were_not_trained_alike_are_told_where_they_are_averaged(tmp_path):
    runs = [run(tmp_path, 30.0, seed, status, ablation="x/a") for seed, status in
            enumerate(["finished", "finished", "failed"])]  # fmt: skip
    for one, steps in zip(runs, (100, 100, 5), strict=True):
        one.config.update(seed=one.seed, data={"seed": one.seed}, steps=steps, optimizer={"lr": 0.1}, logger=one.seed)
    assert "trained alike" not in write(runs, tmp_path, ablation(), {}, "command")
    runs[1].config["optimizer"] = {"lr": 0.2}
    text = write(runs, tmp_path, ablation(), {}, "command")
    assert "the finished runs of A were not trained alike: optimizer.lr is 0.1 or 0.2. They keep" in text
    for one in runs:
        one.config.update(optimizer={"lr": 0.1}, model={"residual": bool(one.seed)})  # as the seed is: False is 0
    text = write(runs, tmp_path, ablation(), {}, "command")
    assert "the finished runs of A were not trained alike: model.residual is False or True. They keep" in text
    runs[1].config["scale"] = 3  # another column, which averages nothing with the first
    assert "trained alike" not in write(runs, tmp_path, ablation(), {}, "command")


def test_rows_that_nothing_shows_to_be_the_users_are_told_and_his_own_counts(tmp_path):
    """Who gave a folder to stand in knew what the sweep's would be called: rows of his stood there as the user's."""
    theirs, mine = (run(tmp_path, psnr, 0, ablation="x/a", model="edsr") for psnr in (40.0, 30.0))
    assert theirs.folder.name < mine.folder.name
    (mine.folder / "composed.yaml").write_text(signed("config: {}\n"))
    text = write([theirs, mine], tmp_path, ablation(), {}, "command")
    assert [r["psnr"] for r in rows(tmp_path) if r["line"] == "A"] == ["30.0"], text
    text = write([theirs], tmp_path, ablation(), {}, "command")
    assert f"nothing shows that you began {theirs.folder.name} on this machine" in text
    assert "nothing shows" not in write([mine], tmp_path, ablation(), {}, "command")


def test_code_that_was_changed_between_runs_is_told(tmp_path):
    """A loss of one's own was changed, and one seed more trained: the mean was over both, without a word."""
    runs = [run(tmp_path, 30.0, seed, ablation="x/a") for seed in (0, 1)]
    first = {"my.Loss": "3.11-2 ab", "my.Net": "3.11-2 cd"}
    other_python = first | {"my.Loss": "3.12-2 ef"}
    for second, told in ((first, ""), (other_python, ""), ({"my.Net": "3.11-2 0"}, "note: my.Net was changed")):
        for made, own in zip(runs, (first, second), strict=True):
            record(made.folder, "finished", digests=own)
        text = write(runs, tmp_path, ablation(), {}, "command")
        assert told in text and ("between the trainings" in text) == bool(told), text


def test_rows_that_were_edited_after_they_were_trained_are_told(tmp_path):
    """A finished row is skipped when the command is typed again: its former figures stood under its new settings."""
    made = run(tmp_path, 30.0, ablation="x/a")
    config = {"choices": {"ablation": "x/a", "loss": "l1"}, "model": {"channels": 32}, "optimizer": {"lr": 0.001}}
    (made.folder / "composed.yaml").write_text(json.dumps({"config": config}))
    settings = {"model.channels": 32, "optimizer.lr": "1e-3", "loss": "l1", "+callbacks.ema.decay": 1, "data": "paper"}
    for changed, told in (
        ({}, ""),
        ({"model.channels": 16}, "A: model.channels is 32, and 16 in the ablation. Delete"),
    ):
        rows_of = {"a": AblationRow("a", "A", settings | changed, {}, "", False)}
        whole = Ablation("x", "t", "", "", (), rows_of)
        text = write([made], tmp_path, whole, {}, "command")
        assert told in text and ("in the ablation" in text) == bool(told), text
    typed = replace(made, overrides=["ablation=x/a", "model.channels=32"])  # which wins over what all rows have
    assert "in the ablation" not in write([typed], tmp_path, whole, {}, "command")


def test_rows_between_which_a_config_was_changed_are_told(tmp_path):
    """`model.channels=32` more in a sweep, after lr of its recipe was changed: the rows beside it have the former."""
    runs = [run(tmp_path, 30.0, model__channels=str(channels)) for channels in (8, 16, 32)]
    for one, lr in zip(runs, (1e-3, 1e-3, 1e-2), strict=True):
        choices = {"recipe": "own", "ablation": None}
        config = {"choices": choices, "optimizer": {"lr": lr}, "model": {"channels": lr}, "seed": lr, "cache_dir": lr}
        (one.folder / "composed.yaml").write_text(json.dumps({"config": config}))
    text = write(runs, tmp_path, None, {}, "command")
    assert (
        "rows differ in what nobody typed, as a config was changed between them: optimizer.lr is 0.001 or 0.01. F"
        in text
    )
    config = {"choices": {"recipe": "another"}, "optimizer": {"lr": 1e-2}}  # which has a rate of its own
    (runs[2].folder / "composed.yaml").write_text(json.dumps({"config": config}))
    assert "nobody typed" not in write(runs, tmp_path, None, {}, "command")


def test_runs_of_one_folder_whose_training_images_were_changed_are_told(tmp_path):
    """More photos, then more rows of the sweep: those beside them had seen half as many. Seeds are averaged, too."""
    for other in ({"seed": 2}, {"model__channels": "16"}):
        runs = [run(tmp_path, 30.0, 0), run(tmp_path, 30.0, 1), run(tmp_path, 30.0, **other)]
        # The first one is of before there was sets.json.
        for made, images in zip(runs[1:], ({"S x2: a": "1", "S x2: b": "2"}, {"b": "1", "a": "2"}), strict=True):
            (made.folder / "sets.json").write_text(json.dumps({"train": images}))
        assert "was changed between" not in write(runs, tmp_path, None, {}, "command")
        (runs[2].folder / "sets.json").write_text(json.dumps({"train": {"S x2: a": "1"}}))
        text = write(runs, tmp_path, None, {}, "command")
        assert "S x2 (2 training images) or S x2 (1 training images) was changed between the trainings" in text
        both = {"S x2: a": "1", "S x4: a": "3"}  # of stages at two scales, whose images were counted together
        for made, images in zip(runs[1:], ({"S x2: a": "1"}, both), strict=True):
            (made.folder / "sets.json").write_text(json.dumps({"train": images}))
        assert "was changed between" not in write(runs, tmp_path, None, {}, "command")
        (runs[2].folder / "sets.json").write_text(json.dumps({"train": {"S x2: a": "9"}}))
        runs[2].config["data"] = {"train": "elsewhere"}
        assert "was changed between" not in write(runs, tmp_path, None, {}, "command")


def test_what_is_no_number_breaks_no_table(tmp_path):
    """Results of earlier versions, with an identical image and a metric that failed, and validations of a flat one."""
    runs = [run(tmp_path, 30.0 + seed, seed) for seed in range(4)]
    for made, psnr in zip(runs[2:], ("inf", "nan"), strict=True):
        head, row = "model,dataset,scale,protocol,psnr,ssim,images", f"edsr,Set5,2,y,{psnr},0.95,5"
        (made.folder / "results.csv").write_text(f"{head}\n{row}\n")
        made.scores[:] = read(made.folder / "results.csv")
        made.curve[-1]["val/psnr_y"] = float(psnr)
    text = write(runs, tmp_path, None, {}, "command")
    found = [(r["psnr"], r["n"], r["left_out"]) for r in rows(tmp_path) if r["line"] != "bicubic"]
    assert sorted(found) == [("", "2", "no PSNR"), ("30.5", "2", "")], text
    assert "30.50 ± 0.71 / 0.9500 (n=2); - / 0.9500 (n=2, no PSNR)" in text, text
    assert "inf" not in text and "nan" not in (tmp_path / "table.csv").read_text()
    assert "identical" not in text, "no image was"


def test_lines_whose_configs_are_equal_are_told(tmp_path):
    runs = [run(tmp_path, 30.0, seed, ablation=f"x/{row}") for row in "abc" for seed in (0, 1)]
    for made, lr in zip(runs, (1, 1, 1, 1, 2, 2), strict=True):
        made.config.update(seed=made.seed, optimizer={"lr": lr}, data_dir=str(made.folder))
    told = "A and B are one and the same training: their configs are equal"
    assert told in write(runs, tmp_path, ablation(), {}, "command")
    for made in runs:
        (made.folder / "sets.json").write_text(json.dumps({"train": {"0.png": str(made in runs[:2])}}))
    assert "same training" not in write(runs, tmp_path, ablation(), {}, "command"), "of other images"
    for made in runs:
        (made.folder / "sets.json").unlink()
    runs[1].config["seed"] = runs[0].config["seed"] = 7  # of no seed of the other's
    assert "same training" not in write(runs, tmp_path, ablation(), {}, "command")


def test_a_copy_of_a_run_is_no_other_seed(tmp_path):
    """A row's folder that was copied, or renamed and trained again, stood in the mean twice."""
    first, second = (run(tmp_path, 30.0 + seed, seed, model="edsr") for seed in (0, 1))
    copy = replace(run(tmp_path, 31.0, 1, model="edsr"), folder=tmp_path / "1_1 (copy)")
    stopped = run(tmp_path, None, 0, "interrupted", model="edsr")
    text = write([stopped, first, second, copy], tmp_path, None, {}, "c")
    base, line = rows(tmp_path)
    assert (base["n"], line["n"], line["psnr"]) == ("2", "2", "30.5") and "30.50 ± 0.71" in text
    assert "note: 1_1 (copy) is the same training as 1_1, seed and all: it counts once" in text
    assert f"{stopped.folder.name} is the same training as {first.folder.name}" in text


def test_files_are_written_in_utf8_whatever_the_locale(tmp_path):
    lines = (
        "import pathlib, sys, warnings",
        "from sr.runs import folder as runs",
        "from sr.scores import results",
        "from sr.scores import score as scores",
        "from sr.sweeps import table as sweep",
        "warnings.filterwarnings('error', category=EncodingWarning, module=r'sr\\.')",
        "place = pathlib.Path(sys.argv[1])",
        "results.write([scores.Score('modèle', 'Set5', 2, 'y', 'psnr', 30.0, 5)], place)",
        "found = results.read(place / 'results.csv')",
        "one = runs.Run(place, 'modèle', {}, ['model=modèle'], found, [], 60.0, 10, 'finished', 0)",
        "sweep.write([one], place, None, {}, 'train')",
    )
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", "\n".join(lines), str(tmp_path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all("modèle" in (tmp_path / name).read_bytes().decode() for name in ("table.md", "table.csv", "results.csv"))
