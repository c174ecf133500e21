"""A network to enlarge with."""

from pathlib import Path

import pytest
import torch

from sr.models.ecbsr import ECBSR
from sr.runs.checkpoint import describe


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A checkpoint of a small network x2 that nobody trained."""
    node = {"_target_": "sr.models.ecbsr.ECBSR", "scale": 2, "colors": 3, "num_blocks": 1, "channels": 8}
    torch.manual_seed(0)
    model = ECBSR(scale=2, colors=3, num_blocks=1, channels=8)
    torch.save({"state_dict": model.state_dict(), "sr": describe(node, "small", {})}, tmp_path / "small.ckpt")
    return tmp_path / "small.ckpt"
