"""What is kept in a checkpoint comes back from it."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sr.errors import UserError
from sr.layers.torch_file import load, plain_numbers, refuse_lost


def test_numpys_numbers_are_kept_as_pythons(tmp_path):
    state = {"rates": [np.float64(0.5), np.float32(1)], "best": (np.int64(3), None), "of": {"x": torch.ones(2)}}
    refuse_lost(state, "scheduler")
    torch.save(plain_numbers(state), tmp_path / "x.ckpt")
    found = load(tmp_path / "x.ckpt")
    assert found["rates"] == [0.5, 1.0] and found["best"] == (3, None) and type(found["rates"][0]) is float
    assert torch.equal(found["of"]["x"], state["of"]["x"])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.zeros(2), "a.1 is a numpy.ndarray"),
        (Path("x"), "a.1 is a pathlib.PosixPath"),
        (np.cos, "it names numpy"),
        (lambda: 1, "pickle"),
    ],
)
def test_what_does_not_come_back_is_refused(value, told):
    with pytest.raises(UserError, match=r"callbacks\.x: its state_dict\(\) does not come back") as refused:
        refuse_lost({"a": [1, value]}, "callbacks.x")
    assert told in str(refused.value)


def test_a_zip_behind_another_file_proves_nothing_of_it(tmp_path, caplog):
    """torch tells by the first bytes, and zipfile by the last: flipped weights passed as verified."""
    file = tmp_path / "net.pth"
    torch.save({"a": torch.ones(3)}, file, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(file, "a") as container:
        container.writestr("note.txt", "whole")
    with caplog.at_level("INFO"):
        load(file)
    assert "holds no checksums" in caplog.text


def test_what_a_file_puts_beside_the_values_of_tensors_is_left_out(tmp_path):
    """It was called in the place of the methods by which tensors are looked at."""
    weight = torch.ones(2)
    weight.to = weight.numel = torch.device
    torch.save({"layer": [weight]}, tmp_path / "x.ckpt")
    (found,) = load(tmp_path / "x.ckpt")["layer"]
    assert found.numel() == 2 and not vars(found)
