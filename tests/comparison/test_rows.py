"""Rows of a comparison: only the configuration that differs, figures that are never mixed, what a model costs."""

import dataclasses
import sys
import types

import pytest
import torch

from sr.comparison.columns import tabulate
from sr.comparison.compare import _mirrored, _paired
from sr.comparison.plots import cost_pictures
from sr.comparison.rows import Row, labelled, price, rows
from sr.models.base import SuperResolver
from sr.runs.code import PYTHON
from sr.runs.differences import settings, told
from sr.runs.record import record
from sr.scores.results import write
from sr.scores.score import averages, scores_of
from sr.scores.text import duration


def table(*sources):
    return tabulate(rows(labelled(sources)))


def titles(found):
    return [column.title for column in found.columns]


def test_only_what_differs(made_up):
    runs = [made_up("a").run, made_up("b", patch_size=24, seed=1).run]
    # Not data.patch_size, which repeats patch_size, nor data_dir, which changes nothing
    assert settings(runs) == [{"seed": 0, "patch_size": 16}, {"seed": 1, "patch_size": 24}]
    assert settings(runs[:1]) == [{}]


def test_a_list_of_nodes_that_follows_the_scale_tells_nothing(made_up):
    steps = [[{"_target_": "sr.degradation.MatlabBicubic", "scale": n, "edge": "mirror"}] for n in (2, 3)]
    runs = [made_up(f"x{n}", scale=n, degradation={"steps": s}).run for n, s in zip((2, 3), steps, strict=True)]
    assert settings(runs) == [{}, {}]  # the scale has a column of its own
    runs[1].config["degradation"]["steps"][0]["edge"] = "replicate"
    assert [list(s.values()) for s in settings(runs)] == [["mirror"], ["replicate"]]


def test_what_tells_no_scale_is_named(made_up, caplog):
    source = dataclasses.replace(made_up("a"), node={"_target_": "somebody.Net"})
    source.run.scores.clear()
    source.run.config.pop("scale", None)
    assert rows(labelled([source])) == [] and "warning: ecbsr_m4c8 has no row" in caplog.text


def test_an_option_stands_for_its_keys(made_up):
    runs = [made_up("a", loss="l1").run, made_up("b", loss="l2").run]
    assert settings(runs) == [{"loss": "l1"}, {"loss": "l2"}]
    changed = made_up("c", loss="l2")
    changed.run.config["loss"]["terms"] = {"only": "l3"}  # the option alone does not tell this apart
    assert [s["loss.terms.only"] for s in settings([*runs, changed.run])] == ["l1", "l2", "l3"]


def test_an_option_with_what_was_typed_about_it_stands_for_its_keys(made_up):
    def blurred(place, option, sigma=0):
        source = made_up(place, degradation={"steps": [{"_target_": f"x.{option}", "sigma": sigma, "edge": None}]})
        source.run.config["choices"] |= {"degradation": option}
        source.run.overrides.extend([f"degradation={option}", *([f"degradation.sigma={sigma}"] if sigma else [])])
        return source.run

    runs = [blurred("a", "bicubic"), blurred("b", "noise", 10), blurred("c", "noise", 25)]
    assert [s["degradation"] for s in settings(runs)] == ["bicubic", "noise(sigma=10)", "noise(sigma=25)"]
    assert settings(runs[1:]) == [{"degradation.steps.0.sigma": 10}, {"degradation.steps.0.sigma": 25}]
    node = {"_target_": "torch.optim.Adam", "lr": 0.001, "betas": [0.9, 0.99]}
    assert told(node) == "Adam(lr=0.001, betas=0.9, 0.99)" and told([[1, 2], [3]]) == "(1, 2), (3)"
    assert told("sr.losses.L1") == "L1" and told("data/a.b") == "data/a.b" and told({}) == "none"


def test_stages_of_another_loss_are_told(made_up):
    """SRGAN stood in a column "loss" with its first stage's L2."""
    gan, other = made_up("a", loss="l2").run, made_up("b", loss="l1").run
    gan.config["stages"] = {"pretrain": {}, "adversarial": {"steps": 4, "loss": {"_target_": "losses.adversarial"}}}
    assert [row["loss"] for row in settings([gan, other])] == ["l2 (another in stage adversarial)", "l1"]


def test_a_recipe_stands_for_what_follows_from_it_and_was_not_typed(made_up):
    told = {"edsr": {"batch_size": 16, "clip": 0, "period": 5}, "rlfn": {"batch_size": 64, "clip": 1, "period": 6}}
    sources = [made_up(name, choices={"recipe": name}, **config) for name, config in told.items()]
    runs = [source.run for source in sources]
    assert settings(runs) == [{"recipe": "edsr"}, {"recipe": "rlfn"}]
    runs[1].overrides.append("batch_size=64")
    assert settings(runs) == [{"recipe": "edsr", "batch_size": 16}, {"recipe": "rlfn", "batch_size": 64}]
    again = made_up("c", choices={"recipe": "rlfn"}, batch_size=64, clip=2, period=7).run  # not told by the recipe
    assert [s["clip"] for s in settings([*runs, again])] == [0, 1, 2]
    runs[1].config["clip"] = 0  # one key says more than a name
    assert settings(runs) == [{"batch_size": 16, "period": 5}, {"batch_size": 64, "period": 6}]
    runs[1].config["callbacks"] = {}
    assert "callbacks" not in settings(runs)[1]
    for run, row in zip(runs, ("x/a", "x/b"), strict=True):
        run.overrides.clear()
        run.config["choices"]["ablation"] = row
    assert settings(runs) == [{"ablation": "x/a"}, {"ablation": "x/b"}]


def test_rows_and_columns(made_up):
    found = table(made_up("a", loss="l1", psnr=30.0), made_up("b", loss="l2", psnr=31.0))
    assert titles(found) == [
        *("entry, x2", "Set5, y", "Set5, rgb"),
        *("parameters", "while training", "multiply-adds, G", "activations, M", "steps done", "training time", "loss"),
    ]
    cells = found.cells()
    assert cells[1][:2] == ["bicubic", "28.00 / 0.7000"]  # of both runs, once
    assert cells[2][:2] == ["ecbsr_m4c8 loss=l1", "30.00 / 0.7500"] and cells[2][-1] == "l1"
    assert cells[3][0] == "ecbsr_m4c8 loss=l2" and cells[3][-3:] == ["100", "1 min 01 s", "l2"]
    assert found.best() == {(2, 1): {0, 1}, (2, 2): {0, 1}}
    assert any("y: Y unrounded" in note for note in found.notes)
    alone = tabulate([line.row for line in found.lines if line.row.label != "ecbsr_m4c8 loss=l2"])
    assert "loss" not in titles(alone), "nothing to tell apart"


def test_the_note_tells_the_order_of_the_cells(made_up):
    source = made_up("a")
    source.run.scores.reverse()  # SSIM first, as of metrics=[ssim,psnr]
    found = table(source)
    assert found.lines[-1].cell(found.columns[1]) in ("30.00 / 0.7500", "28.50 / 0.7125")
    assert found.notes[0].startswith("PSNR in dB / SSIM; ")


def test_settings_stand_as_people_write_them(made_up):
    found = table(made_up("a", betas=[0.9, 0.99]), made_up("b", betas=[0.9, 0.999]))
    assert [line[-1] for line in found.cells()[2:]] == ["0.9, 0.99", "0.9, 0.999"]


def test_labels_are_unique(made_up):
    same = [made_up("a"), made_up("b"), made_up("a")]
    labels = [source.label for source in labelled(same)]
    assert labels == ["ecbsr_m4c8:a", "ecbsr_m4c8:b", "ecbsr_m4c8:a:a:2"] or len(set(labels)) == 3
    assert [s.label for s in labelled([made_up("a"), made_up("b", name="other")])] == ["ecbsr_m4c8", "other"]
    sweeps = [source.label for source in labelled([made_up(f"{sweep}/row_1") for sweep in "abc"])]
    assert sweeps == ["ecbsr_m4c8:row_1", "ecbsr_m4c8:row_1:2", "ecbsr_m4c8:row_1:3"]


def test_figures_are_never_mixed(made_up):
    few = made_up("b", name="few")
    part = [dataclasses.replace(s, images=2) for s in few.run.scores]
    few = dataclasses.replace(few, run=dataclasses.replace(few.run, scores=part))
    found = table(made_up("a"), few)
    heads = [t for t in titles(found) if t.startswith("Set5")]
    assert heads == [f"Set5 ({n} images), {p}" for n in (5, 2) for p in ("y", "rgb")]


def test_means_of_clips_are_told_from_those_of_images(made_up):
    of_images, of_clips = made_up("a"), made_up("b")
    scores = [dataclasses.replace(s, clips=2) for s in of_clips.run.scores]
    of_clips = dataclasses.replace(of_clips, run=dataclasses.replace(of_clips.run, scores=scores))
    for made, ending in ((of_images, "mean over images."), (of_clips, "of clips over frames, then over clips.")):
        assert any(note.endswith(ending) for note in table(made).notes)


def test_stored_figures_of_mirrored_clips_are_told(made_up):
    """A network on clips has others of clips as they are, which stand in the same column."""
    source = made_up("a", data={"mirror": True})
    clips = dataclasses.replace(source.run, scores=[dataclasses.replace(s, clips=2) for s in source.run.scores])
    named = [source, dataclasses.replace(source, run=clips), made_up("b", data={"mirror": False})]
    told = "its figures on the clips of its own data are of each clip followed by itself, run backward"
    assert _mirrored(named, []) == [f"{clips.folder}: trained with data.mirror=true: {told}, of a network on clips"]
    assert _mirrored(named, ["data.mirror=false"]) == [], "then all is measured now"


def test_a_set_of_other_images_or_lr_has_columns_of_its_own(made_up):
    blurred = made_up("b", name="blurred", psnr=35.0)
    blurred.run.scores[0] = dataclasses.replace(blurred.run.scores[0], value=25.0)
    found = table(made_up("a"), blurred, made_up("c", name="again", psnr=31.0))
    assert [t for t in titles(found) if t.startswith("Set5")] == [
        *("Set5, y", "Set5, rgb", "Set5 (2), y", "Set5 (2), rgb"),
    ]
    rows = {cells[0]: cells[1:] for cells in found.cells()}
    first = titles(found).index("Set5, y") - 1
    assert [cell[:5] for cell in rows["bicubic"][first : first + 4]] == ["28.00", "26.50", "25.00", "26.50"]
    assert [cell[:5] for cell in rows["blurred"][first : first + 4]] == ["", "", "35.00", "33.50"]
    assert found.best() == {(3, first + n): {0, 1} for n in (1, 2)}, "alone on its images it is not the best of any"
    assert any(note.startswith("Set5 (2): not the images, or not the LR, of Set5") for note in found.notes)


def test_one_note_tells_all_names_of_a_set(made_up):
    sources = [made_up(place, name=place) for place in "abc"]
    for source, more in zip(sources, (0, 1, 2), strict=True):
        source.run.scores[:] = [dataclasses.replace(s, value=s.value + more) for s in source.run.scores]
    notes = [note for note in table(*sources).notes if "not the images" in note]
    assert len(notes) == 1 and notes[0].startswith("Set5 (2), Set5 (3): not the images, or not the LR, of Set5,")


def test_a_chain_of_small_differences_is_no_second_baseline(made_up):
    """The third run's bicubic differs from the first one's by more than rounding, not from the second one's."""
    sources = [made_up(place, name=place) for place in "abc"]
    for source, more in zip(sources, (0, 0.004, 0.008), strict=True):
        source.run.scores[:] = [dataclasses.replace(s, value=s.value + more) for s in source.run.scores]
    found = table(*sources)
    assert [line.row.label for line in found.lines] == ["bicubic", "a", "b", "c"]
    assert "Set5 (2), y" in titles(found)


def test_a_set_whose_own_name_has_a_number_is_no_other_ones(made_up):
    def renamed(source, name, more=0.0):
        source.run.scores[:] = [dataclasses.replace(s, dataset=name, value=s.value + more) for s in source.run.scores]
        return source

    first, second = renamed(made_up("a", name="a"), "mine"), renamed(made_up("b", name="b"), "mine (2)", 1.0)
    assert not any("not the images" in note for note in table(first, second).notes)
    found = table(first, second, renamed(made_up("c", name="c"), "mine", 2.0))
    assert "mine (2), y" in titles(found) and "mine (3), y" in titles(found)
    assert sum("not the images" in note for note in found.notes) == 1
    assert any(note.startswith("mine (3): not the images, or not the LR, of mine,") for note in found.notes)


def test_what_is_stored_of_other_lr_is_told_from_what_is_measured_now(made_up):
    now = scores_of("bicubic", "Set5", 2, "y", {"psnr": 31.0}, 5)
    found = rows(labelled([made_up("a")]), now)
    assert [
        (row.label, [(s.dataset, s.protocol, s.value) for s in row.scores if s.metric == "psnr"]) for row in found
    ] == [
        ("bicubic", [("Set5", "y", 31.0), ("Set5 (2)", "y", 28.0), ("Set5 (2)", "rgb", 26.5)]),
        ("ecbsr_m4c8", [("Set5 (2)", "y", 30.0), ("Set5 (2)", "rgb", 28.5)]),
    ]
    same = rows(labelled([made_up("a")]), scores_of("bicubic", "Set5", 2, "y", {"psnr": 28.0}, 5))
    assert {s.dataset for row in same for s in row.scores} == {"Set5"}


def test_stages_and_scales(made_up):
    source = made_up("a")
    more = [
        *scores_of("ecbsr_m4c8 (first)", "Set5", 2, "y", {"psnr": 29.0, "ssim": 0.7}, 5),
        *scores_of("ecbsr_m4c8", "Set5", 3, "y", {"psnr": 27, "ssim": 0.6}, 5),
    ]
    source = dataclasses.replace(source, run=dataclasses.replace(source.run, scores=[*source.run.scores, *more]))
    found = [(row.label, row.scale, row.final) for row in rows(labelled([source]))]
    assert found == [
        ("bicubic", 2, True),
        ("ecbsr_m4c8", 2, True),
        ("ecbsr_m4c8 (first)", 2, False),
        ("ecbsr_m4c8", 3, True),
    ]


def test_a_run_that_was_not_measured(made_up):
    found = table(dataclasses.replace(made_up("a", psnr=None), run=dataclasses.replace(made_up("a").run, scores=[])))
    assert [line.row.label for line in found.lines] == ["ecbsr_m4c8"] and found.lines[0].row.scale == 2
    failed = dataclasses.replace(made_up("a").run, status="failed")
    assert "status" in titles(table(dataclasses.replace(made_up("a"), run=failed)))


def test_costs_are_of_the_merged_form(made_up):
    found = price(made_up("a").node, 2)
    assert (found.parameters, found.training_parameters) == (2748, 10804)
    assert found.counts.macs == pytest.approx(0.6137856e9)
    assert price(made_up("a").node, 4).counts.macs < found.counts.macs  # LR is smaller


def test_costs_of_a_network_whose_code_was_changed_are_told(made_up, tmp_path):
    """They were counted by today's code, and stood beside the figures of the former one."""
    source = made_up("a")
    code = dict(price(source.node, 2).code)
    for then, found in ((code, False), (code | {"sr.models.ecbsr.ECBSR": f"{PYTHON} other"}, True)):
        record(tmp_path, "finished", digests=then)
        methods = {name: of for name, of in then.items() if name != "code"}
        for one in (
            dataclasses.replace(source, path=tmp_path),
            dataclasses.replace(source, path=tmp_path / "a.ckpt", told={"methods": methods, "code": ""}),
        ):
            shown = table(one)
            assert shown.lines[-1].values["parameters"] == 2748
            told = "ecbsr_m4c8: counted by today's code, and sr.models.ecbsr.ECBSR was changed since it was trained."
            assert (told in shown.notes) is found


def test_a_stage_has_the_cost_of_its_own_network(made_up):
    """As of EDVR, whose first stage has no TSA."""
    source, stages = made_up("a"), {"narrow": {"model": {"channels": 4}}, "plain": {"steps": 5}, "last": None}
    more = [scores_of(f"ecbsr_m4c8 ({name})", "Set5", 2, "y", {"psnr": 29.0}, 5)[0] for name in ("narrow", "plain")]
    run = dataclasses.replace(source.run, scores=[*source.run.scores, *more], config=source.run.config)
    run.config["stages"] = stages
    found = {row.label: row.price for row in rows(labelled([dataclasses.replace(source, run=run)]))}
    narrow = price(source.node | {"channels": 4}, 2)
    assert narrow.parameters < found["ecbsr_m4c8"].parameters
    assert (found["ecbsr_m4c8 (narrow)"], found["ecbsr_m4c8 (plain)"]) == (narrow, found["ecbsr_m4c8"])


class Attends(SuperResolver):
    """A network with a product that is no layer's."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale=scale)
        self.conv = torch.nn.Conv2d(3, 3 * scale**2, 3, padding=1)

    def network(self, x, scale):
        x = self.conv(x)
        return torch.nn.functional.pixel_shuffle(x + torch.bmm(x.flatten(1, 2), x.flatten(1, 2).mT).mean(), scale)


def test_multiply_adds_that_are_not_all_counted_say_so_in_every_table(made_up, monkeypatch):
    monkeypatch.setitem(sys.modules, "attends", types.SimpleNamespace(Attends=Attends))
    monkeypatch.setenv("SR_TRUST", "attends")
    source = dataclasses.replace(made_up("a", name="own"), node={"_target_": "attends.Attends", "scale": 2})
    found = table(source, made_up("b"))
    cells = {line[0]: line[titles(found).index("multiply-adds, G")] for line in found.cells()}
    assert cells == {"entry, x2": "multiply-adds, G", "bicubic": "", "own": "0.07 + ?", "ecbsr_m4c8": "0.61"}
    assert "+ ?: of own the counter does not know bmm x 1" in found.notes and "uncounted" in found.keys
    assert found.numeric(titles(found).index("multiply-adds, G")) and "uncounted" not in table(made_up("b")).keys
    points = {point["label"]: point["uncounted"] for point in cost_pictures(found)[0]["points"] if not point["paper"]}
    assert points == {"bicubic": False, "own": True, "ecbsr_m4c8": False}


class Reads(SuperResolver):
    """A network that looks at a value: there is none where costs are counted."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale=scale)
        self.network = torch.nn.Identity()

    def forward(self, lr, scale=None):
        return lr * lr.mean().item()


@pytest.mark.parametrize("settings", [{"channels": -8}, {"_target_": "reads.Reads"}])
def test_a_model_that_cannot_be_counted_has_its_row(made_up, caplog, monkeypatch, settings):
    monkeypatch.setitem(sys.modules, "reads", types.SimpleNamespace(Reads=Reads))
    source = dataclasses.replace(made_up("a", name=f"odd_{next(iter(settings))}"))
    kept = {k: v for k, v in source.node.items() if k in ("_target_", "scale") or "_target_" not in settings}
    found = table(dataclasses.replace(source, node=kept | settings))
    assert [line.row.price for line in found.lines] == [None, None] and found.lines[1].values["Set5/psnr_y"] == 30.0
    told = [r.message for r in caplog.records if "costs is not known" in r.message]
    assert len(told) == 1 and f"{source.name} x2" in told[0]


def test_published_opinions_stand_beside_srgan(made_up):
    source = dataclasses.replace(made_up("a", name="srgan", scale=4), published="srgan")
    found = table(source)
    line = next(line for line in found.lines if not line.row.baseline)
    assert {k: v for k, v in line.values.items() if k.endswith("/mos_published")} == {
        "Set5/mos_published": 3.58,
        "Set14/mos_published": 3.72,
        "B100/mos_published": 3.56,
    }
    source.run.scores.extend(scores_of("srgan+", "Set5", 4, "y", {"psnr": 31.0, "ssim": 0.8}, 5))
    plus = next(line for line in table(source).lines if line.row.ensemble)
    alone = next(line for line in table(source).lines if line.row.label == "srgan")
    assert plus.values["macs"] == 8 * alone.values["macs"] and plus.values["parameters"] == alone.values["parameters"]
    assert plus.row.label == "srgan+" and not any(key.endswith("/mos_published") for key in plus.values)
    assert "Set5, published MOS" in titles(found) and any("Nobody has rated" in note for note in found.notes)
    assert not any("MOS" in title for title in titles(table(made_up("a"))))


def test_durations():
    assert [duration(s) for s in (5.4, 65, 3725)] == ["5 s", "1 min 05 s", "1 h 02 min"]


def test_the_patch_is_the_one_that_was_trained_on(made_up):
    hr = made_up("a", patch_size=48, hr_patch_size=33, scale=3)
    typed = made_up("b", patch_size=48, hr_patch_size=33, scale=3)
    typed.run.overrides.append("patch_size=48")
    several = made_up("c", patch_size=16, hr_patch_size=96, scale=2)
    several.run.config["scale"] = [2, 3]
    found = [settings([source.run for source in (hr, typed, several)])[i]["patch_size"] for i in range(3)]
    assert found == [11, 48, [48, 32]]
    assert "data.patch_size" not in settings([hr.run, typed.run])[0]


def test_what_is_measured_now_is_not_held_against_the_files_of_the_run(made_up):
    def clip(name, psnr):
        return scores_of("ecbsr_m4c8", "Vid4", 2, "video_y", {"psnr": psnr}, 1, f"{name}/001", clip=name)

    source = made_up("a")
    source.run.folder.mkdir()
    write([*clip("city", 20.0), *clip("walk", 30.0)], source.run.folder)
    now = clip("walk", 30.0)
    row = Row("a", 2, source, scores=tuple(averages(now)), each=tuple(now))
    assert _paired([row]).doubts == []
    assert "one of the two was changed" in _paired([dataclasses.replace(row, each=())]).doubts[0]


def test_a_second_metric_is_shown_where_the_first_was_not_measured(made_up):
    alone = made_up("b")
    scores = [s for s in alone.run.scores if s.metric == "ssim"]
    made = tabulate(
        rows(labelled([made_up("a"), dataclasses.replace(alone, run=dataclasses.replace(alone.run, scores=scores))]))
    )
    cells = {line[0]: line for line in made.cells()}
    assert any(cell == "- / 0.7500" for line in cells.values() for cell in line), made.cells()
