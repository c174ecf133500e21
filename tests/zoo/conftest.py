"""Small files as authors would write them, with random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from sr.models.base import SuperResolver
from sr.runs.construct import construct
from sr.zoo.families import Family
from sr.zoo.load import FAMILIES

RCAN = {"_target_": "sr.models.rcan.RCAN", "num_blocks": 2, "depth": 2, "channels": 6, "reduction": 3}
RRDBNET = {"_target_": "sr.models.rrdbnet.RRDBNet", "scale": 4, "num_blocks": 2, "channels": 6, "growth": 3}
SMALL: dict[str, dict[str, Any]] = {
    "IMDN": {"_target_": "sr.models.imdn.IMDN", "scale": 3, "num_blocks": 2, "channels": 8, "reduction": 4},
    "RLFN": {
        "_target_": "sr.models.rlfn.RLFN",
        "scale": 2,
        "num_blocks": 2,
        "channels": 6,
        "mid_channels": 8,
        "esa_channels": 4,
    },
    "BSRN-S": {"_target_": "sr.models.bsrn.BSRNS", "scale": 4, "num_blocks": 2, "channels": 8, "esa_channels": 3},
    "BSRN": {
        "_target_": "sr.models.bsrn.BSRN",
        "scale": 2,
        "num_blocks": 1,
        "channels": 8,
        "esa_channels": 4,
        "reduction": 2,
    },
    "RFDN": {
        "_target_": "sr.models.rfdn.RFDN",
        "scale": 4,
        "num_blocks": 3,
        "channels": 10,
        "esa_channels": 4,
        "esa_groups": 3,
    },
    "EFDN": {"_target_": "sr.models.efdn.EFDN", "scale": 2, "channels": 8, "reparam": False},
    "SRCNN": {"_target_": "sr.models.srcnn.SRCNN", "scale": 3, "channels": [6, 4], "kernels": [5, 1, 3]},
    "FSRCNN": {
        "_target_": "sr.models.fsrcnn.FSRCNN",
        "scale": 2,
        "colors": 1,
        "channels": 8,
        "mid_channels": 3,
        "num_blocks": 2,
        "channel_slopes": False,
    },
    "VDSR": {"_target_": "sr.models.vdsr.VDSR", "scale": 3, "num_layers": 4, "channels": 5, "bias": True},
    "LapSRN": {"_target_": "sr.models.lapsrn.LapSRN", "scale": 4, "channels": 4, "depth": 2},
    "SPAN": {"_target_": "sr.models.span.SPAN", "scale": 3, "num_blocks": 2, "channels": 4, "reparam": False},
    "DISP": {"_target_": "sr.models.span.DISP", "scale": 2, "num_blocks": 3, "channels": 5, "reparam": False},
    "SPAN as trained": {"_target_": "sr.models.span.SPAN", "scale": 2, "num_blocks": 3, "channels": 5},
    "DISP as trained": {"_target_": "sr.models.span.DISP", "scale": 4, "num_blocks": 2, "channels": 4},
    "RCAN of BasicSR": RCAN | {"scale": 4},
    "RCAN": RCAN | {"scale": 3, "depth": 3},
    "RRDBNet": RRDBNET | {"scale": 2},
    "RRDBNet of ESRGAN": RRDBNET,
    "RRDBNet of ESRGAN's first names": RRDBNET | {"num_blocks": 1},
    "SwinIR-light": {
        "_target_": "sr.models.swinir.SwinIR",
        "scale": 3,
        "num_blocks": 2,
        "depth": 2,
        "channels": 6,
        "heads": 3,
        "window": 4,
    },
    "BasicVSR": {"_target_": "sr.models.basicvsr.BasicVSR", "scale": 4, "num_blocks": 2, "channels": 5},
    "BasicVSR of mmagic": {"_target_": "sr.models.basicvsr.BasicVSR", "scale": 4, "num_blocks": 3, "channels": 4},
    "EDVR": {"_target_": "sr.models.edvr.EDVR", "scale": 4, "num_blocks": 2, "channels": 8, "groups": 4},
    "EDVR of mmagic": {
        "_target_": "sr.models.edvr.EDVR",
        "scale": 4,
        "num_blocks": 1,
        "channels": 4,
        "frames": 7,
        "groups": 2,
        "tsa": False,
    },
}


def small(name: str, seed: int = 0) -> tuple[Family, SuperResolver]:
    """A tiny network of a family, with random weights."""
    torch.manual_seed(seed)
    model = construct(dict(SMALL[name]), "test")
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.2 * torch.randn_like(p))
    return next(f for f in FAMILIES if f.name == name), model.eval()


def torch_state(family: Family, model: SuperResolver) -> dict[str, torch.Tensor]:
    """The state under the authors' names; BSRN-S has its 1x1 convolutions as linear layers."""
    state = {family.theirs(key, model): value.clone() for key, value in model.state_dict().items()}
    if family.name == "BSRN-S":
        for key, value in state.items():
            if key.endswith("cw"):
                state[key] = value.reshape(1, -1)
            elif value.ndim == 4 and value.shape[2:] == (1, 1) and ".esa.conv" not in key:
                state[key] = value[:, :, 0, 0]
    return state


def _columns(weight: np.ndarray) -> np.ndarray:
    """(A, B, k, k) -> (B, pixels, A), a filter's pixels column by column."""
    return weight.swapaxes(2, 3).reshape(*weight.shape[:2], -1).transpose(1, 2, 0)


def write_matlab(family: Family, model: SuperResolver, path: Path) -> None:
    """The state in the layout of the family's MATLAB files."""
    arrays = {family.theirs(k, model): v.numpy() for k, v in model.state_dict().items()}

    def cells(kind: str) -> np.ndarray:
        found = [k for k in arrays if k.startswith(f"{kind}.")]
        cell = np.empty((1, len(found)), dtype=object)
        for i in range(len(found)):
            a = arrays[f"{kind}.{i}"]
            if a.ndim == 1:
                cell[0, i] = a[:, None]
            else:
                cell[0, i] = _columns(a) if family.name == "FSRCNN" else a.transpose(2, 3, 1, 0)
        return cell

    if family.name == "SRCNN":
        content: dict[str, Any] = {k: _columns(a) if a.ndim == 4 else a[:, None] for k, a in arrays.items()}
        content["weights_conv1"] = content["weights_conv1"][0]  # (pixels, C')
        content["weights_conv3"] = content["weights_conv3"][..., 0]  # (C, pixels)
    elif family.name == "FSRCNN":
        content = {kind: cells(kind) for kind in ("weights_conv", "biases_conv", "prelu_conv")}
    elif family.name == "VDSR":
        content = {"model": {kind: cells(f"model.{kind}") for kind in ("weight", "bias")}}
    else:
        records = [
            {"name": k, "value": a.transpose(2, 3, 1, 0) if a.ndim == 4 else a[None], "learningRate": 1}
            for k, a in arrays.items()
        ]
        layers = {"name": "input_conv", "type": "dagnn.Conv"}
        content = {
            "net": {
                "params": np.array([tuple(r.values()) for r in records], dtype=[(k, object) for k in records[0]]),
                "layers": layers,
            }
        }
    scipy.io.savemat(path, content)


@pytest.fixture
def authors_file(tmp_path: Path) -> Callable[..., tuple[Path, SuperResolver]]:
    """Write a tiny author's file: authors_file("RLFN", "some_x2.pth", wrap=...) -> its path and the network in it."""

    def write(
        name: str, file: str = "", wrap: Callable[[dict[str, Any]], Any] = lambda s: s
    ) -> tuple[Path, SuperResolver]:
        family, model = small(name)
        if name in ("SRCNN", "FSRCNN", "VDSR", "LapSRN"):
            path = tmp_path / (file or f"{name}_x{model.scale}.mat")
            write_matlab(family, model, path)
        else:
            path = tmp_path / (file or f"{name}.pth")
            torch.save(wrap(torch_state(family, model)), path)
        return path, model

    return write
