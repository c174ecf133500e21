"""What a comparison measures of rows that lack something."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from sr.comparison import fill
from sr.comparison.rows import Row, labelled
from sr.compose.words import Words
from sr.metrics.metric import get_metrics
from sr.models.bicubic import Bicubic
from sr.scores.score import BASELINE, Score


@pytest.fixture
def filler():
    return fill.Filler(OmegaConf.create({"device": "cpu", "protocols": None}), Words([]), get_metrics(["psnr"]))


def test_rows_of_one_label_at_two_scales_are_two_networks(filler, made_up):
    """As those of an ablation are, whose x2 weights were asked for x4."""
    for scale in (2, 4):
        (source,) = labelled([made_up(f"x{scale}", scale=scale)])
        assert filler._model(replace(source, label="A", load=lambda scale=scale: Bicubic(scale))).scales == (scale,)


@pytest.mark.parametrize(("protocol", "counted"), [("video_y", 7), ("video_duf", 3), ("video_centre", 1)])
def test_clips_of_which_some_frames_count_are_not_measured_again(filler, monkeypatch, protocol, counted):
    """Both figures, the stored one and the new one, counted in the mean of seeds."""
    monkeypatch.setattr(fill, "comparable", lambda data: True)
    monkeypatch.setattr(fill, "tell_trained_on", lambda *_: None)
    monkeypatch.setattr(fill, "score_set", lambda *_, **__: pytest.fail("measured again"))
    data = SimpleNamespace(test_name="Vid4", runs=lambda part: [range(7)], pairs=lambda part: range(7))
    row = Row(BASELINE, 4, scores=(Score(BASELINE, "Vid4", 4, protocol, "psnr", 25.0, counted, clips=1),))
    assert filler._filled(row, data, [protocol]) == row


@pytest.mark.parametrize("seeds", [1, 2])
def test_crops_of_a_mean_row_are_of_one_run_which_they_name(filler, monkeypatch, made_up, seeds):
    """Its pictures and their captions are no mean: they stood under the mean's name."""
    (source,) = labelled([made_up("a")])
    row = Row("a", 2, source)
    row = replace(row, members=(row,) * seeds)
    monkeypatch.setattr(filler, "_entry", lambda row: object())
    monkeypatch.setattr(fill, "score_set", lambda *_, **__: ([], []))
    monkeypatch.setattr(fill, "crop_groups", lambda dataset, scale, samples, *_: [*samples])
    filler.cfg.update(crops=1, crop_size=8)
    data = SimpleNamespace(test_name="Set5", runs=lambda part: [range(1)])
    assert filler._crops(row, data) == [f"a, seed {source.run.seed}" if seeds > 1 else "a"]
