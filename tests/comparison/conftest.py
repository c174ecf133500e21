"""Runs that nobody trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import browser as browser

from sr.comparison.rows import Source
from sr.runs.folder import Run
from sr.scores.score import scores_of


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., Source]:
    """A source with a run that nobody trained: made_up("a", loss="l1", psnr=30.0) -> Source."""

    def make(place: str, name: str = "ecbsr_m4c8", scale: int = 2, psnr: float | None = 30.0, **config: Any) -> Source:
        loss, bicubic = config.pop("loss", "l1"), config.pop("bicubic", 28.0)
        node = {"_target_": "sr.models.ecbsr.ECBSR", "scale": scale, "colors": 1, "num_blocks": 4, "channels": 8}
        composed = {
            "scale": scale,
            "seed": 0,
            "steps": 100,
            "patch_size": 16,
            "data_dir": f"/data/{place}",
            "model": node,
            "data": {"patch_size": config.get("patch_size", 16)},
            "loss": {"_target_": f"losses.{loss}", "terms": {"only": loss}},
            "choices": {"model": name, "loss": loss},
        }
        means = [("bicubic", "y", bicubic), ("bicubic", "rgb", 26.5)]
        means += [] if psnr is None else [(name, "y", psnr), (name, "rgb", psnr - 1.5)]
        scores = [
            score
            for model, protocol, db in means
            for like_papers in [35.07 if (model, scale) == ("bicubic", 4) else 40]
            for score in scores_of(model, "Set5", scale, protocol, {"psnr": db, "ssim": db / like_papers}, 5)
        ]
        curve = [{"step": float(n), "val/psnr_y": 25 + n / 10, "train/loss": 1 / n} for n in (10, 20, 30)]
        folder = tmp_path / place
        run = Run(folder, name, composed | config, [], scores, curve, 61.0, 100, "finished", 0)
        return Source(name, folder, node, None, run)

    return make
