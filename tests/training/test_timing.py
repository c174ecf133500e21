"""Which rows of a sweep share the factor of their budget; sweeps that do it are in tests/sweeps/test_sweeps.py."""

import pytest

from sr.compose.words import Words
from sr.errors import UserError
from sr.training.timing import _found, comparable


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
