"""The papers' figures: whole, sourced, and only held against what is comparable."""

import csv
import re

import pytest

from sr.data.benchmarks import Set5
from sr.data.clip_folder import ClipFolder
from sr.data.folder import Folder
from sr.degradation import Degradation, GaussianNoise, MatlabBicubic
from sr.measuring import cost_table
from sr.measuring.papers import other_lr
from sr.measuring.scoring import Entry, papers_protocols
from sr.metrics.protocols import PROTOCOLS
from sr.models.ecbsr import ECBSR
from sr.scores.published import IMAGES, comparable, goals, lr_of, published, published_costs, read_table
from sr.scores.results import read, write
from sr.scores.score import Score, averages, beside, scores_of


def rows():
    return read_table("published.csv")


def test_every_row_has_a_source_and_a_known_protocol(root):
    models = {p.stem for p in (root / "conf/model").glob("*.yaml")} | {"srgan", "edvr_l_vimeo_bi", "basicvsr_vimeo_bi"}
    seen = set()
    for row in rows():
        assert row["source"] and row["source_kind"] in ("page", "readme", "code", "memory") and row["stated_protocol"]
        assert row["protocol"] in ("", *PROTOCOLS)
        assert row["model"].rstrip("+") in models and row["dataset"] in IMAGES
        assert 15 < float(row["psnr"]) < 45 and (not row["ssim"] or 0.5 < float(row["ssim"]) < 1)
        if row["protocol"]:
            key = tuple(row[k] for k in ("model", "scale", "dataset", "protocol"))
            assert key not in seen, f"two figures for {key}"
            seen.add(key)


@pytest.mark.parametrize(
    ("model", "scale", "dataset", "protocol", "psnr"),
    [
        ("rlfn", 4, "Set5", "y", 32.24),
        ("bsrn", 4, "B100", "y", 27.65),
        ("edsr+", 2, "Urban100", "y_uint8", 33.10),
        ("vdsr", 3, "Set5", "y_classic", 33.66),
        ("bicubic", 4, "Set14", "y_classic", 26.00),
        ("edsr", 2, "DIV2K", "edsr_div2k", 35.03),
        ("rlfn_ntire", 4, "DIV2K", "ntire22", 29.00),
        ("basicvsr", 4, "REDS4", "video_rgb", 31.42),
        ("bicubic", 4, "Vid4", "video_y", 23.78),
        ("bicubic", 4, "Vimeo90K", "video_centre", 31.32),
    ],
)
def test_known_figures(model, scale, dataset, protocol, psnr):
    found = published(model, scale, dataset, protocol)
    assert found is not None and found.values["psnr"] == psnr


def test_rows_are_not_compared_across_protocols_or_for_parts_of_a_set():
    assert published("rlfn", 4, "Set5", "rgb") is None
    assert published("edsr", 2, "Set5", "y") is None
    assert published("rlfn", 4, "Set5", "y", images=4) is None
    assert published("rlfn", 4, "Set5", "y", images=5) is not None
    assert published("", 4, "Set5", "y") is None


def test_what_a_run_has_to_reach_is_said_with_protocol_and_source():
    told = goals("edsr", [4], ["y", "rgb"])
    assert "x4 y_uint8: Set5 32.46 / 0.8968, Set14 28.80 / 0.7876, B100 27.71 / 0.7420, Urban100 26.64 / 0.8033" in told
    assert "x4 rgb: Set5 30.55 / 0.8701" in told and "x2" not in told and "EDSR paper Table 3" in told
    assert told.endswith("type protocols=[y,rgb,y_uint8,edsr_div2k]")
    assert "protocols=" not in goals("rlfn", [4], ["y", "rgb"])
    assert "protocols=" not in goals("edsr", [4], None)  # then those of the figures are measured
    assert [line.split(":")[0].strip() for line in goals("vdsr", [2, 3], ["y_classic", "edsr_div2k"]).splitlines()] == [
        "published, PSNR in dB / SSIM", "x2 y_classic", "x2 edsr_div2k", "x3 y_classic", "x3 edsr_div2k",
    ]  # fmt: skip
    assert "not checked against the paper" in goals("bsrn", [2], ["y"])
    assert goals("", [4], ["y"]) == goals("repsr", [4], ["y"]) == goals("edsr", [8], ["y"]) == ""


def test_only_plain_bicubic_lr_is_comparable(tmp_path):
    noisy = Degradation(2, [MatlabBicubic(2), GaussianNoise(5)])
    assert comparable(Set5(data_dir=tmp_path, scale=2))
    assert comparable(Set5(data_dir=tmp_path, scale=2, lr="LR_bicubic_old"))
    assert not comparable(Set5(data_dir=tmp_path, scale=2, lr="LR_mine"))
    assert not comparable(Set5(data_dir=tmp_path, scale=2, degradation=noisy))
    assert other_lr(Set5(data_dir=tmp_path, scale=2)) == ""
    assert "LR of Set5: made by MatlabBicubic, GaussianNoise" in other_lr(
        Set5(data_dir=tmp_path, scale=2, degradation=noisy)
    )
    assert "LR of Set5: read from LR_mine" in other_lr(Set5(data_dir=tmp_path, scale=2, lr="LR_mine"))
    assert lr_of(Set5(data_dir=tmp_path, scale=2)) == "bicubic"
    for name in ("LR_bicubic_jpeg", "blur_bicubic", "BInoise"):
        assert lr_of(Set5(data_dir=tmp_path, scale=2, lr=name)) == f"read from {name}"
    (noisy_study := tmp_path / "noise_study").mkdir()  # where it lies says nothing
    assert lr_of(Folder(test=tmp_path, test_lr=noisy_study / "LR_bicubic", scale=2)).startswith("bicubic, read from")
    assert lr_of(Set5(data_dir=tmp_path, scale=2, lr="LR_bicubic_old")) == "bicubic, read from LR_bicubic_old"
    for kind in (Folder, ClipFolder):  # of a folder of one's own that part counts which is measured
        assert comparable(kind(root=tmp_path, scale=2))
        assert comparable(kind(train=tmp_path, test=tmp_path, scale=2, train_lr=tmp_path / "own/mine"))
        assert not comparable(kind(test=tmp_path, scale=2, test_lr=tmp_path / "own/mine"))
        given = {part: tmp_path for part in ("train", "val", "test")}
        lr = {"train_lr": tmp_path / "LR_bicubic", "val_lr": tmp_path / "LR_bicubic"}
        assert not comparable(kind(**given, **lr, scale=2, degradation=noisy))
        assert comparable(kind(**given, test_lr=tmp_path / "LR_bicubic/X2", scale=2))


def test_difference_in_the_table_and_in_the_csv(tmp_path):
    key = "mine", "Set5", 4, "y"
    paper = published("rlfn", 4, "Set5", "y")
    assert paper is not None
    text = beside(scores_of(*key, {"psnr": 32.30, "ssim": 0.8960}, 5), {key: paper})
    assert "32.24 / 0.8952" in text and "+0.06 / +0.0008" in text and paper.source in text
    each = scores_of(*key, {"psnr": 32.30, "ssim": 0.8960}, 1, "baby")
    file, _ = write(each, tmp_path, {key: paper})
    assert read(file) == averages(each)
    with file.open(newline="") as f:
        (row,) = csv.DictReader(f)
    assert row["paper_psnr"] == "32.24" and float(row["psnr_difference"]) == pytest.approx(0.06)
    assert row["paper_source"] == paper.source


def test_reproduced_figures_come_from_results_csv():
    def row(model: str, dataset: str, psnr: float, images: int) -> list[Score]:
        return scores_of(model, dataset, 4, "y", {"ssim": 0.9, "psnr": psnr}, images)

    results = [*row("rlfn_x4", "Set5", 32.238, 5), *row("bsrn:run", "Set14", 28.7, 14), *row("rlfn_s_x4", "Set5", 1, 5)]
    results += [*row("bsrn", "Set5", 40.0, 3), *scores_of("espcn", "Set5", 4, "y", {"ssim": 0.9}, 5)]
    assert cost_table.reproduced_cells(results, "rlfn", 4, "y") == "32.24 / - / - / -"
    assert cost_table.reproduced_cells(results, "bsrn", 4, "y") == "- / 28.70 / - / -", "a part of a set is not the set"
    assert cost_table.reproduced_cells(results, "imdn", 4, "y") == cost_table.reproduced_cells(results, "espcn", 4, "y")
    assert cost_table.reproduced_cells(results, "imdn", 4, "y") == ""


def test_the_cost_table_has_the_figures_of_the_paper_with_their_kind():
    assert cost_table.published_cells("edsr", 4, ("y", "rgb")) == (
        "y_uint8", "32.46 / 28.80 / 27.71 / 26.64", "readme",
    )  # fmt: skip
    assert cost_table.published_cells("rlfn_s", 4, ("y", "rgb"))[2] == "memory"
    assert cost_table.published_cells("drcn", 4, ("y_classic", "y"))[2] == "readme, memory"
    assert cost_table.published_cells("repsr", 4, ("y", "rgb")) == ("y", "", "")


def test_published_costs_name_models_and_are_those_of_the_networks(root):
    for (name, scale), known in published_costs().items():
        assert (root / f"conf/model/{name}.yaml").is_file() and scale in (2, 3, 4)
        for cell in ("parameters", "macs"):
            kinds = (
                ("page", "readme", "code", "memory", "counted")
                if known["macs_g" if cell == "macs" else cell]
                else ("",)
            )
            assert known[f"{cell}_kind"] in kinds, (name, scale)


def test_what_is_quoted_elsewhere_is_no_page_of_the_paper():
    assert not [row for row in rows() if "quoted" in row["source"] and row["source_kind"] == "page"]


@pytest.mark.parametrize(
    ("name", "scale", "protocols"),
    [
        ("edsr", 4, ["y", "rgb", "y_uint8"]),
        ("srresnet", 4, ["y", "rgb", "srgan", "y_uint8"]),
        ("mdsr", 2, ["y", "rgb", "y_uint8"]),
        ("rlfn", 4, ["y", "rgb"]),
        ("", 4, ["y", "rgb"]),
    ],
)
def test_the_protocol_of_a_published_figure_chooses_what_is_measured(tmp_path, name, scale, protocols):
    entry = Entry("mine", ECBSR(scale, num_blocks=1, channels=4), name)
    assert papers_protocols(entry, Set5(data_dir=tmp_path, scale=scale)) == protocols
    noisy = Degradation(scale, [MatlabBicubic(scale), GaussianNoise(5)])
    assert papers_protocols(entry, Set5(data_dir=tmp_path, scale=scale, degradation=noisy)) == ["y", "rgb"]


def test_of_several_reproduced_figures_the_first_is_told_as_such_and_a_file_of_the_zoo_has_its_own():
    results = [s for psnr in (30.87, 30.89) for s in scores_of("espcn", "Set5", 4, "y", {"psnr": psnr}, 5)]
    results += scores_of("rlfn_s_x4", "Set5", 4, "y", {"psnr": 32.24}, 5)
    assert cost_table.reproduced_cells(results, "espcn", 4, "y") == "30.87 / - / - / -"
    assert "first of 2 on Set5, 30.87 to 30.89 dB" in cost_table.reproduced_note(results, "espcn", 4, "y")
    assert cost_table.reproduced_cells(results, "rlfn_s_x4", 4, "y") == "32.24 / - / - / -"
    assert cost_table.reproduced_note(results, "rlfn_s_x4", 4, "y") == ""


@pytest.mark.parametrize(
    ("measured", "cells"),
    [
        ({"ssim": 0.8953, "psnr": 32.24}, ["0.8953 / 32.24", "0.8952 / 32.24", "+0.0001 / 0.00"]),
        ({"psnr": 32.24, "lpips": 0.17}, ["32.24 / 0.1700", "32.24", "0.00"]),
        ({"niqe": 6.0, "psnr": 32.24}, ["6.000 / 32.24", "- / 32.24", "- / 0.00"]),
    ],
)
def test_the_papers_figures_have_the_order_of_ours(measured, cells):
    """Which the line below the table tells: PSNR stood there as SSIM."""
    key = "rlfn", "Set5", 4, "y"
    text = beside(scores_of(*key, measured, 5), {key: published("rlfn", 4, "Set5", "y")})
    assert re.split(r"\s{2,}", text.splitlines()[-1])[3:6] == cells
