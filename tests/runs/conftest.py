"""What the tests of run folders may ask for."""

from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

from sr.compose import schema
from sr.compose.conf import CONF
from sr.compose.words import Words
from sr.runs import composed
from sr.whole import write_whole


@pytest.fixture(scope="session")
def of_words():
    schema.register()
    words = ["model=srcnn", "scale=2", "data_dir=${oc.env:SR_TEST_PLACE}"]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("train", overrides=words), words


@pytest.fixture
def begun(of_words, tmp_path, monkeypatch) -> Path:
    """The records of a run that its owner began."""
    monkeypatch.setenv("SR_TEST_PLACE", "here")
    config, words = of_words
    folder = tmp_path / "mine"
    composed.keep(folder, config, Words(words))
    write_whole(folder / "run.json", {"status": "failed"})
    write_whole(folder / ".hydra/config.yaml", OmegaConf.to_yaml(config))
    monkeypatch.delenv("SR_TEST_PLACE")
    return folder
