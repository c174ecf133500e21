"""Every file of conf/model as a network, whole or shrunk for the fast tier."""

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from torch import nn

from sr.models.base import SuperResolver

CONF = Path(__file__).resolve().parents[1] / "conf" / "model"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "module")  # whose network is the user's

# The parameter that sets a network's size, and what it is in the fast tier.
SMALL = {"num_blocks": 2, "num_layers": 3, "num_recursions": 2, "depth": 2, "channels": 16, "heads": 2}


@functools.cache
def _file(name: str) -> dict[str, Any]:
    config = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(config, dict)
    return config


def node(name: str, small: bool = False, **changes: Any) -> dict[str, Any]:
    """The contents of conf/model/NAME.yaml, shrunk for the fast tier, `scale` unresolved."""
    config = copy.deepcopy(_file(name))
    for other in config.pop("defaults", []):
        config = (node(other) if other != "_self_" else {}) | config
    if small:
        config |= {k: v for k, v in SMALL.items() if k in config and not isinstance(config[k], list)}
    return config | changes  # type: ignore[return-value]


def build(name: str, scale: int, small: bool = False, **changes: Any) -> SuperResolver:
    return instantiate(OmegaConf.create({"scale": scale, "model": node(name, small, **changes)}).model)


def scales(name: str) -> list[int]:
    given, supported = node(name)["scale"], get_class(node(name)["_target_"]).supported_scales
    return given if isinstance(given, list) else [s for s in (2, 3, 4) if s in supported] or list(supported)


def clips(name: str) -> bool:
    """Whether it makes each frame of several."""
    return get_class(node(name)["_target_"]).clips


def distinct() -> list[str]:
    """One file of those that the fast tier would build alike."""
    return list({str(node(name, small=True)): name for name in reversed(NAMES)}.values())[::-1]


def architectures() -> list[str]:
    """One file of each class."""
    return list({node(name)["_target_"]: name for name in reversed(NAMES)}.values())[::-1]


def cases(without: tuple[str, ...] = ()) -> list[Any]:
    """(name, small): each distinct network small, each file in full in the slow tier."""
    small = [pytest.param(name, True, id=name) for name in distinct() if name not in without]
    slow = pytest.mark.slow
    return small + [pytest.param(name, False, id=f"{name}-full", marks=slow) for name in NAMES if name not in without]


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def merges(name: str) -> bool:
    with torch.device("meta"):
        return any(hasattr(m, "merge") for m in build(name, scales(name)[0], small=True).modules())


def used(model: nn.Module) -> None:
    """Statistics and factors of batch norms as training leaves them: of real features, not 0 and 1, either sign."""
    torch.manual_seed(0)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1 or not p.any():  # scales and biases of the edge branches start near 0, some weights at 0
                p.add_(0.05 * torch.randn_like(p))
        for norm in norms:
            norm.weight.normal_(std=0.5)
            norm.bias.normal_(std=0.2)
        model.train()
        for _ in range(10 if norms else 0):
            model(0.6 * torch.rand(2, 3, 9, 8) + 0.2, model.scales[-1])
    model.eval()
