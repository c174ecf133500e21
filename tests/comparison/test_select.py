"""What `filter=` and `sort=` choose, and what they answer to a wrong name."""

import dataclasses

import pytest

from sr.comparison.columns import tabulate
from sr.comparison.rows import labelled, rows
from sr.comparison.select import conditions, find_key, order, select
from sr.errors import UserError
from sr.scores.score import scores_of


@pytest.fixture
def found(made_up):
    sources = [
        made_up("a", loss="l1", psnr=30.0, seed=0),
        made_up("b", loss="l2", psnr=31.0, seed=0),
        made_up("c", loss="l1", psnr=29.0, seed=1),
        made_up("d", loss="l2", psnr=None, seed=1),
        made_up("e", name="other", scale=4, psnr=27.0),
    ]
    return tabulate(rows(labelled(sources)))


def names(lines):
    return [line.row.source.path.name if line.row.source else f"bicubic x{line.row.scale}" for line in lines]


def chosen(found, *typed):
    return names(select(found, conditions(typed)))


def test_filters(found):
    assert chosen(found, "scale=4") == ["bicubic x4", "e"]
    assert chosen(found, "scale=x2", "loss=l1") == ["bicubic x2", "a", "c"]
    assert chosen(found, "loss!=l1", "seed<1") == ["bicubic x2", "b"]
    assert chosen(found, "psnr>29.5") == ["a", "b"]
    assert chosen(found, "set5/psnr_rgb >= 29.5") == ["b"]
    assert chosen(found, "entry~OTHER") == ["bicubic x4", "e"]
    assert chosen(found, "patch_size=16", "model~ecb*8") == ["bicubic x2", "a", "b", "c", "d"]  # differing or not
    assert len(chosen(found)) == 7


def test_orders(found):
    assert names(order(found, ["psnr"])) == ["b", "a", "c", "bicubic x2", "bicubic x4", "e", "d"]
    assert names(order(found, ["-psnr"]))[:2] == ["e", "bicubic x2"] and names(order(found, ["-psnr"]))[-1] == "d"
    assert names(order(found, ["-seed", "psnr"]))[:2] == ["c", "d"]
    assert names(order(found, ["loss", "-seed"]))[:2] == ["c", "a"]
    assert names(order(found, []))[0] == "bicubic x2"


def test_short_names(found):
    for typed, key in {
        "psnr": "Set5/psnr_y",
        "rgb": None,
        "psnr_rgb": "Set5/psnr_rgb",
        "set5": "Set5/psnr_y",
        "Set5/ssim": "Set5/ssim_y",
        "time": "seconds",
        "target": None,
    }.items():
        if key:
            assert find_key(found, typed, "sort") == key
        else:
            with pytest.raises(UserError, match=f"sort={typed}"):
                find_key(found, typed, "sort")


def test_a_set_of_two_sizes(made_up):
    part = made_up("b", name="part")
    part.run.scores[:] = [dataclasses.replace(s, images=4) for s in part.run.scores]
    found = tabulate(rows(labelled([made_up("a"), made_up("c", loss="l2"), part])))
    for typed in ("set5", "set5/psnr_y", "set5/psnr"):
        assert find_key(found, typed, "sort") == "Set5 (5 images)/psnr_y"
    assert find_key(found, "Set5 (4 images)", "sort") == "Set5 (4 images)/psnr_y"


def test_wrong_names_and_values(found):
    with pytest.raises(UserError, match=r"no such column. Did you mean parameters"):
        order(found, ["paramters"])
    with pytest.raises(UserError, match=r"filter=scal: .*Did you mean scale"):
        select(found, conditions(["scal=4"]))
    with pytest.raises(UserError, match=r"none of the 5 rows but the baseline's is like that. scale is 2, 4"):
        select(found, conditions(["scale=3"]))
    with pytest.raises(UserError, match="type a column"):
        conditions(["scale"])
    with pytest.raises(UserError, match="psnr is a number"):
        select(found, conditions(["psnr>good"]))
    with pytest.raises(UserError, match="loss is no number"):
        select(found, conditions(["loss>l1"]))


def test_what_is_no_number_is_sorted_to_the_end(found):
    lines = [dataclasses.replace(line, values={**line.values, "own": value})
             for line, value in zip(found.lines, (3.0, float("nan"), 5.0, None, 4.0), strict=False)]  # fmt: skip
    table = dataclasses.replace(found, lines=lines)
    for typed, first in (("own", [3.0, 4.0, 5.0]), ("-own", [5.0, 4.0, 3.0])):
        assert [line.values["own"] for line in order(table, [typed])][:3] == first


def test_two_conditions_on_one_column_both_hold(found):
    assert chosen(found, "psnr>28", "psnr<30.5") == ["a", "c"]


def test_a_metric_is_not_one_whose_name_begins_so(made_up):
    source = made_up("a")
    values = {"lpips_vgg": 0.4, "lpips": 0.3, "psnr_b": 20.0}
    scores = [*source.run.scores, *scores_of("ecbsr_m4c8", "Set5", 2, "y", values, 5)]
    more = [*scores, *scores_of("ecbsr_m4c8", "Set14", 2, "y", {"psnr_b": 20.0, "dists_weights_0123": 0.2}, 14)]
    found = tabulate(rows(labelled([dataclasses.replace(source, run=dataclasses.replace(source.run, scores=more))])))
    assert find_key(found, "lpips", "sort") == "Set5/lpips_y" and find_key(found, "psnr", "sort") == "Set5/psnr_y"
    assert find_key(found, "lpips_vgg", "sort") == "Set5/lpips_vgg_y"
    assert find_key(found, "dists", "sort") == "Set14/dists_weights_0123_y"
