"""Which rows of a sweep share the factor of their budget; sweeps that do it are in tests/sweeps/test_sweeps.py."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from sr.compose.words import Words
from sr.errors import UserError
from sr.training.timing import FACTOR, _found, budget_factor, comparable


def test_rows_that_differ_in_seed_or_are_of_one_ablation_are_comparable():
    one = comparable(Words(["model=srcnn", "budget=hour", "seed=0"]))
    assert one == comparable(Words(["seed=1", "budget=hour", "model=srcnn", "logger=csv", "resume='/a'"]))
    assert one == comparable(Words(["model=srcnn", "budget=hour"]))
    assert (
        len(
            {
                one,
                comparable(Words(["model=edsr", "budget=hour"])),
                comparable(Words(["model=srcnn", "budget=minutes"])),
            }
        )
        == 3
    )
    rows = {comparable(Words([f"ablation=l1_l2/{row}", "budget=hour", "scale=2"])) for row in ("l1", "l2")}
    assert len(rows) == 1 and rows != {comparable(Words(["ablation=l1_l2/l1", "budget=hour", "scale=3"]))}


@pytest.mark.parametrize("text", ["NaN", '"half"', "1e12", "0", "null", "[1]", "{"])
def test_a_factor_that_nobody_timed_is_refused(tmp_path, text):
    file = tmp_path / "budget.json"
    assert _found(file) == {}
    file.write_text('{"a": {"factor": 0.5, "row": "0"}}')
    assert _found(file)["a"]["factor"] == 0.5
    file.write_text(f'{{"a": {{"factor": {text}, "row": "0"}}}}')
    with pytest.raises(UserError, match=r"budget\.json is damaged.*budget\.factor="):
        _found(file)


def test_a_factor_that_nothing_shows_to_be_the_users_is_told(tmp_path, monkeypatch, caplog):
    """A sweep's folder is known before: a planted budget.json made 16 steps of 20,000."""
    cfg = OmegaConf.create({"budget": {"name": "hour", "seconds": 3600}})
    job = SimpleNamespace(sweep=tmp_path, words=Words(["model=edsr"]), folder=tmp_path / "row")
    monkeypatch.setattr("sr.training.timing._times", lambda *_: {})
    monkeypatch.setattr("sr.training.timing.budget.factor_of_seconds", lambda *_: 0.25)
    monkeypatch.setenv(FACTOR, "")  # which it leaves behind
    assert budget_factor(cfg, [], [], [], job) == budget_factor(cfg, [], [], [], job) == 0.25
    assert "nothing shows" not in caplog.text
    file = tmp_path / "budget.json"
    file.write_text(file.read_text().replace("0.25", "0.001"))
    assert budget_factor(cfg, [], [], [], job) == 0.001 and "nothing shows that you timed" in caplog.text
