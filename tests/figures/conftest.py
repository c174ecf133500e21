"""What the tests of figures share: generated photos, small models with fixed weights, and run folders."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from sr.figures.inputs import Photo, read_photos
from sr.measuring.scoring import Entry
from sr.models.ecbsr import ECBSR
from sr.models.srresnet import SRResNet
from sr.runs.folder import Run, read_run

pytest.importorskip("matplotlib")


@pytest.fixture
def pictures(tmp_path, photos) -> list[Photo]:
    """Two photos of 72 x 96."""
    return read_photos(photos(tmp_path / "photos", 2))


@pytest.fixture
def normed() -> Entry:
    """A small SRResNet x2 whose running statistics are not those of the photos."""
    torch.manual_seed(0)
    model = SRResNet(2, num_blocks=2, channels=8).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.fill_(0.2)
        if name.endswith("running_var"):
            buffer.fill_(0.5)
    return Entry("srresnet", model)


@pytest.fixture
def plain() -> Entry:
    torch.manual_seed(0)
    return Entry("ecbsr", ECBSR(2, num_blocks=1, channels=4, colors=1).eval())


@pytest.fixture
def make_run(tmp_path) -> Callable[..., Run]:
    """make_run("a", values, every=10, results=[...], **config) -> a finished run, read back from its folder."""

    def make(
        name: str, values: Sequence[float] = (), every: int = 10, results: Sequence[dict] = (), model: str = "srcnn",
        **config: object,
    ) -> Run:  # fmt: skip
        folder: Path = tmp_path / "runs" / name
        (folder / ".hydra").mkdir(parents=True)
        node = {"_target_": "sr.models.srcnn.SRCNN", "scale": 4}
        composed = {"model": node, "seed": 0, "scale": 4, "choices": {"model": model}, **config}
        OmegaConf.save(OmegaConf.create(composed), folder / ".hydra" / "config.yaml")
        (folder / "run.json").write_text(json.dumps({"status": "finished", "steps": every * len(values)}))
        with (folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["step", "train/loss", "val/psnr_y"], restval="")
            writer.writeheader()
            writer.writerow({"step": 1, "train/loss": 0.5})
            writer.writerows({"step": every * i, "val/psnr_y": v} for i, v in enumerate(values, 1))
        if results:
            with (folder / "results.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(results[0]))
                writer.writeheader()
                writer.writerows(results)
        return read_run(folder)

    return make


@pytest.fixture
def png(tmp_path) -> Callable[..., np.ndarray]:
    """Save a drawing and read the picture back: (H, W, 3) uint8; its numbers must be beside it."""
    from PIL import Image

    def read(drawing) -> np.ndarray:
        picture, numbers = drawing.save(tmp_path / "drawn.png")
        with numbers.open(newline="") as file:
            assert len(list(csv.DictReader(file))) == len(drawing.rows) > 0
        return np.asarray(Image.open(picture).convert("RGB"))

    return read
