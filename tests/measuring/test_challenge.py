"""NTIRE's ranking scores."""

import csv
from dataclasses import fields, replace
from math import exp

import pytest

from sr.errors import UserError
from sr.measuring.challenge import CHALLENGES, get_challenge, ranking
from sr.measuring.cost_table import ModelCost


def test_the_published_row_of_2026_ranks_before_its_baseline(caplog):
    """On the organisers' machine SPAN takes 7.74 ms and DISP 6.51, with more operations and parameters."""
    empty = dict.fromkeys(field.name for field in fields(ModelCost))
    rows = [
        ModelCost(**empty | {"model": model, "macs_256": macs, "merged_parameters": parameters})
        for model, macs, parameters in (("span_ntire", 9_830_000_000, 151_000), ("disp", 10_690_000_000, 164_000))
    ]
    partly = replace(rows[1], model="swinir_light", macs_256=1, uncounted="bmm x 288")
    times = {"span_ntire": 7.74, "disp": 6.51, "swinir_light": 1.0}
    first, second = ranking(CHALLENGES["ntire26"], [*rows, partly], times)
    assert "swinir_light is not ranked" in caplog.text
    assert (first.model, second.model) == ("disp", "span_ntire")
    assert first.score == pytest.approx(0.8 * exp(2 * 6.51 / 7.74) + 0.1 * exp(2 * 10.69 / 9.83) + 0.1 * exp(328 / 151))
    assert second.score == pytest.approx(exp(2))


@pytest.mark.parametrize(
    ("year", "baseline"), [("ntire26", "span_ntire"), ("ntire25", "efdn"), ("ntire24", "rlfn_ntire")]
)
def test_a_baseline_has_the_score_that_the_challenges_publish(year, baseline):
    empty = dict.fromkeys(field.name for field in fields(ModelCost))
    row = ModelCost(**empty | {"model": baseline, "macs_256": 16_700_000_000, "merged_parameters": 276_000})
    (ranked,) = ranking(CHALLENGES[year], [row], {baseline: 16.69})
    assert ranked.score == pytest.approx(7.3891, abs=5e-5)


def test_what_is_not_ranked_is_said():
    with pytest.raises(UserError, match=r"challenge=ntire23: there are ntire26, ntire25, ntire24; .*of 2023 no source"):
        get_challenge("ntire23", 4, 7)
    with pytest.raises(UserError, match="type scale=4"):
        get_challenge("ntire26", 2, 7)
    with pytest.raises(UserError, match="rounds=7"):
        get_challenge("ntire26", 4, 0)


def test_networks_are_ranked_beside_the_baseline(command):
    done = command(
        "measure.py", "model=[plain,ecbsr_m4c8]", "challenge=ntire26", "size=[8,8]", "rounds=2", "receptive_field=false"
    )
    assert done.code == 0, done
    with (done.folder / "challenge.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {r["model"] for r in rows} == {"plain", "ecbsr_m4c8", "span_ntire"}
    assert [int(r["rank"]) for r in rows] == [1, 2, 3]
    for r in rows:
        ratios = [float(r[f"{key}_ratio"]) for key in ("latency", "macs", "parameters")]
        assert ratios[1:] == pytest.approx([int(r["macs_256"]) / 9833807872, int(r["parameters"]) / 150688])
        assert float(r["score"]) == pytest.approx(
            sum(w * exp(2 * x) for w, x in zip((0.8, 0.1, 0.1), ratios, strict=True))
        )
    assert float(next(r for r in rows if r["model"] == "span_ntire")["score"]) == pytest.approx(exp(2))
    text = (done.folder / "challenge.md").read_text()
    assert "| rank | model | score |" in text and "0.8 exp(2 r) of the runtime's ratio r to span_ntire" in text
