import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from sr.data.module import SRDataModule

CONFIGS = sorted(p.stem for p in (Path(__file__).resolve().parents[2] / "conf/data").glob("*.yaml"))
PROMISED = (
    "div2k", "df2k", "flickr2k", "set5", "set14", "b100", "urban100", "folder", "bundled",
    "t91", "t91_bsd200", "t91_general100", "t91_bsd200_general100",
)  # fmt: skip
ROOT_KEYS = ["+scale=2", "+seed=0", "+patch_size=8", "+batch_size=2", "+cache_dir=c", "+data_dir=d", "+frames=5"]


@pytest.fixture
def compose(root: Path) -> Iterator[Any]:
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(root / "conf"), version_base="1.3"):
        yield lambda *overrides: hydra.compose(overrides=[*ROOT_KEYS, "+degradation=bicubic", *overrides])


def test_the_promised_configs_exist() -> None:
    assert set(PROMISED) <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_builds(compose: Any, name: str) -> None:
    module = hydra.utils.instantiate(compose(f"+data={name}").data)
    assert isinstance(module, SRDataModule) and (module.scale, module.batch_size) in {(2, 2), (2, 16)}
    assert module.degradation.scale == 2 and module.name


@pytest.mark.parametrize("name", PROMISED)
def test_every_setting_can_be_typed(compose: Any, name: str) -> None:
    """Whatever a constructor takes is a key of its config, so that the command line can set and the help show it."""
    node: DictConfig = compose(f"+data={name}").data
    kind = hydra.utils.get_class(node._target_)
    names = set(inspect.signature(kind.__init__).parameters)
    if "Benchmark" not in [base.__name__ for base in kind.__mro__]:
        names |= set(inspect.signature(SRDataModule.__init__).parameters)
    wanted = names - {"self", "settings"} - ({"download"} if name == "bundled" else set())
    assert wanted <= set(node)


def test_settings_reach_the_modules(compose: Any) -> None:
    flip = "data.augment=[{_target_: albumentations.Transpose, p: 0.5}]"
    data = hydra.utils.instantiate(compose("+data=t91", "data.train=[a, b]", "data.val_images=3", flip).data)
    assert [p.name for p in data.hr["train"]] == ["a", "b"] and data.val_images == 3
    assert type(data.augment[0]).__name__ == "Transpose"
    both = hydra.utils.instantiate(compose("+data=df2k", "data.download=true", "data.sets.div2k.root=x").data)
    assert both.sets["flickr2k"].download and both.sets["div2k"].root == Path("x")
    noisy = hydra.utils.instantiate(compose("+data=div2k", "degradation=blur_noise_jpeg").data)
    assert not noisy.degradation.deterministic
