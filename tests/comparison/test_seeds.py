"""The runs of an ablation in a comparison: under their labels, averaged over seeds."""

import json
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from sr.comparison.columns import tabulate
from sr.comparison.plots import curves
from sr.comparison.rows import labelled, rows
from sr.comparison.seeds import averaged
from sr.errors import UserError
from sr.models.base import Reads
from sr.models.edsr import EDSR
from sr.runs.config import RECORD
from sr.runs.own import signed
from sr.scores.rated import Rated, read, write
from sr.sweeps.ablation_rows import find


@pytest.fixture
def sources(made_up):
    """Two rows of two seeds each, and a run that is of no ablation."""
    found = [made_up("alone", name="other", psnr=33.0)]
    for row, psnr in (("l1", 30.0), ("l2", 31.0)):
        for seed in (0, 1):
            made = made_up(f"{row}{seed}", loss=row, seed=seed, psnr=psnr + seed)
            made.run.config["choices"]["ablation"] = f"l1_l2/{row}"
            made.run.overrides.extend([f"ablation=l1_l2/{row}", f"seed={seed}"])
            made.run.curve[-1]["val/psnr_y"] += seed
            found.append(made)
    return labelled(found)


def test_rows_carry_their_labels_and_average_their_seeds(sources):
    names = [find("l1_l2").rows[row].label for row in ("l1", "l2")]
    found = averaged(rows(sources))
    assert [row.label for row in found] == ["bicubic", "other", *names]
    table = tabulate(found)
    psnr, runs = (next(n for n, c in enumerate(table.columns) if key in c.keys) for key in ("Set5/psnr_y", "runs"))
    assert [cells[psnr] for cells in table.cells()[2:]] == [
        *("33.00 / 0.8250", "30.50 ± 0.71 / 0.7625", "31.50 ± 0.71 / 0.7875")
    ]
    assert [cells[runs] for cells in table.cells()[2:]] == ["1", "2", "2"]
    assert not {"seed", "ablation"} & {key for column in table.columns for key in column.keys}
    assert any("sample standard deviation" in note for note in table.notes)
    assert found[2].members[1].label == sources[2].label and len(found[2].runs) == 2


def test_an_ablation_of_ones_own_with_the_name_of_another_keeps_its_labels(sources, tmp_path):
    """An ECBSR trained with L2 stood as "SRResNet, L1", the label of the project's row of that name."""
    (tmp_path / "ablation").mkdir()
    (tmp_path / "ablation/l1_l2.yaml").write_text("title: t\nrows: {l1: {label: mine, set: {loss: l2}}}")
    sources = sources[1:3]
    for source in sources:
        source.run.folder.mkdir(exist_ok=True)
        config = {"choices": {"ablation": "l1_l2/l1", "loss": "l2", "model": "ecbsr_m4c8"}}
        words = {"config": config, "words": [], "config_dirs": [str(tmp_path)]}
        (source.run.folder / RECORD).write_text(json.dumps(words))
    assert {row.label for row in averaged(rows(sources))[1:]} == {source.label for source in sources}, "nobody's"
    for source in sources:
        (source.run.folder / RECORD).write_text(signed(OmegaConf.to_yaml(OmegaConf.create(words))))
    assert [row.label for row in averaged(rows(sources))] == ["bicubic", "mine"]


def test_means_that_leave_out_other_images_are_no_one_mean(sources):
    """A seed that made one image perfectly: its figure alone stood there as that of all."""
    odd = sources[-1].run
    odd.scores[:] = [replace(s, left_out=int(s.metric == "psnr")) for s in odd.scores]
    odd = sources[1].run  # and one that was not measured
    odd.scores[:] = [s for s in odd.scores if s.model == "bicubic"]
    _, _, *found = averaged(rows(sources))
    assert [next(s.value for s in row.scores if s.metric == "psnr") for row in found] == [31.0, 31.0]
    first, second = (note for note in tabulate(found).notes if "of its" in note)
    assert "of 1 of its 2 runs: PSNR on Set5 (y), SSIM on Set5 (y), PSNR on Set5 (rgb)" in first
    assert "of 1 of its 2 runs: PSNR on Set5 (y), PSNR on Set5 (rgb). The others have no figure there" in second


def test_what_people_said_of_one_seed_is_not_the_means(sources):
    first = sources[1]
    known = Rated("l1", first.name, str(first.path.resolve()), "", 2, "bt", 0.5, 0.1, 0.9, 10, 100)
    alone, mean = (tabulate(found, study=[known]) for found in (rows(sources), averaged(rows(sources))))
    assert [line.values.get("study/bt") for line in alone.lines].count(0.5) == 1
    assert not any("study/bt" in line.values for line in mean.lines)


@pytest.mark.parametrize("odd", [{"value": 9.87}, {"low": 4.0, "high": 3.0}, {"raters": -5}, {"answers": 0}])
def test_figures_that_no_study_gives_are_refused(tmp_path, odd):
    """A table that was handed over told MOS 9.87 of -5 raters, and so did the comparison."""
    known = Rated("l1", "l1", "", "", 2, "mos", 3.5, 3.1, 3.9, 10, 100)
    write(tmp_path / "mos.csv", [known])
    assert read([str(tmp_path)]) == [known]
    write(tmp_path / "mos.csv", [replace(known, **odd)])
    with pytest.raises(UserError, match="which no study gives"):
        read([str(tmp_path)])


def test_weights_that_are_read_in_another_way_are_others(sources):
    """A file exchanged for one of the same weights, read as BGR: what people had said stood beside 2.94 dB."""
    model = EDSR(2, 1, 4)
    plain = sources[1].weights(model)
    model.reads = Reads(bgr=True)
    assert sources[1].weights(model) != plain


def test_seeds_that_were_not_trained_alike_are_told(sources):
    """A recipe that was changed between two seeds: the setting stood nowhere, as the row has no single value of it."""
    assert not any("trained alike" in note for note in tabulate(averaged(rows(sources))).notes)
    sources[-1].run.config["optimizer"] = {"lr": 0.5}
    (note,) = (note for note in tabulate(averaged(rows(sources))).notes if "trained alike" in note)
    assert f"the finished runs of {find('l1_l2').rows['l2'].label} were not trained alike: optimizer.lr is" in note


def test_a_mean_is_of_no_one_seed(sources):
    """It was found as its first seed and stood as trained as long as that one, though another was stopped."""
    object.__setattr__(sources[-1].run, "steps", 7)
    line = tabulate(averaged(rows(sources))).lines[-1]
    assert "seed" not in line.values and line.values["steps_done"] == 7


def test_curves_of_seeds_are_their_mean(sources):
    found = averaged(rows(sources))[-1]
    drawn = curves([(found.label, run) for run in found.runs])["val/psnr_y"]
    assert list(drawn) == [found.label] and drawn[found.label][-1] == (30, 28.5)
    del found.runs[0].curve[-1]  # one that was stopped: it cut the mean of all where it stopped
    assert (whole := curves([(found.label, run) for run in found.runs])["val/psnr_y"])[found.label][-1][0] < 30
    object.__setattr__(found.runs[0], "status", "running")
    assert (whole := curves([(found.label, run) for run in found.runs])["val/psnr_y"])[found.label][-1][0] == 30, whole


def test_an_ablation_that_is_not_known_here_is_left_as_it_is(sources):
    for source in sources:
        source.run.config["choices"]["ablation"] = "somebodys/row"
    assert [row.label for row in averaged(rows(sources))] == [row.label for row in rows(sources)]


def test_checkpoints_of_an_ablation_s_rows_are_no_seeds_of_one_row(sources):
    """A checkpoint does not tell what was typed, by which rows are told apart: all became one mean."""
    for source in sources:
        source.run.overrides.clear()
    assert averaged(found := rows(labelled(sources))) == found
