"""Authors' weights in our architectures reach the authors' figures: the architectures are exact."""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torch import Tensor

from sr.imaging.files import list_images, read_image
from sr.metrics.protocol import get_protocol
from sr.models.base import SuperResolver
from sr.models.bsrn import BSRN, BSRNS
from sr.models.imdn import IMDN
from sr.models.rfdn import RFDN
from sr.models.rlfn import RLFN
from sr.models.srcnn import SRCNN

pytestmark = pytest.mark.shared

# The authors' name of a layer -> ours; of the network, then of a block.
NETWORK = {
    "fea_conv": "head",
    "conv_1": "head",
    "c1": "fuse.0",
    "c2": "fuse.2",
    "c.0": "fuse.0",
    "LR_conv": "smooth",
    "conv_2": "smooth",
    "upsampler.0": "tail.0",
    "upsampler.upsampleOneStep.0": "tail.0",
}
DISTILLATION = {f"c{n}_d": f"distill.{n - 1}" for n in (1, 2, 3)} | {f"c{n}_r": f"refine.{n - 1}" for n in (1, 2, 3)}
DISTILLATION |= {"c4": "last", "c5": "fuse"}
ESA_LAYERS = {"conv1": "squeeze", "conv_f": "skip", "conv2": "down", "conv4": "expand"}
THREE_GROUPS = ESA_LAYERS | {"conv_max": "groups.0", "conv3": "groups.2", "conv3_": "groups.4"}
CCA_LAYERS = {"conv_du.0": "gate.0", "conv_du.2": "gate.2"}


def under(prefix: str, ours: str, names: dict[str, str]) -> dict[str, str]:
    return {f"{prefix}.{theirs}": f"{ours}.{name}" for theirs, name in names.items()}


BSRN_BLOCK = DISTILLATION | under("esa", "attention.0", THREE_GROUPS) | under("cca", "attention.1", CCA_LAYERS)
BSRN_S_BLOCK = DISTILLATION | under("esa", "attention.0", THREE_GROUPS) | {"conv_out": "attention.2"}
RFDN_BLOCK = DISTILLATION | under("esa", "esa", THREE_GROUPS)
RLFN_BLOCK = {"c1_r": "refine.0", "c2_r": "refine.2", "c3_r": "refine.4", "c5": "fuse"}
RLFN_BLOCK |= under("esa", "esa", ESA_LAYERS | {"conv3": "groups.0"})
IMDN_BLOCK = {f"c{n}": f"refine.{n - 1}" for n in (1, 2, 3)} | {"c4": "last", "c5": "fuse"}
IMDN_BLOCK |= under("cca", "cca", CCA_LAYERS)


def our_name(key: str, block_names: dict[str, str]) -> str:
    """The authors' name of a tensor -> ours."""
    key = key.removeprefix("module.").replace("pw.", "pointwise.").replace("dw.", "depthwise.")
    block = re.match(r"(?:B|IMDB|block_)(\d+)\.(.*)", key)
    prefix, rest = (f"blocks.{int(block[1]) - 1}.", block[2]) if block else ("", key)
    if rest == "cw":
        return f"{prefix}attention.1.weight"
    parts = re.fullmatch(r"(.*?)(\.pointwise|\.depthwise)?(\.weight|\.bias)", rest)
    assert parts, key
    return prefix + (block_names if block else NETWORK)[parts[1]] + (parts[2] or "") + parts[3]


def load(model: SuperResolver, path: Path, block_names: dict[str, str]) -> SuperResolver:
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    theirs = theirs.get("params", theirs)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    state = {our_name(key, block_names): tensor for key, tensor in theirs.items()}
    # In BSRN-S linear weights (C', C) are 1x1 convolutions here; the scale (1, C) is (C, 1, 1).
    model.load_state_dict({name: tensor.reshape(shapes[name]) for name, tensor in state.items()})
    return model.eval()


def load_srcnn(model: SRCNN, path: Path) -> SRCNN:
    """The authors' MATLAB arrays: a filter's pixels run down its columns; (C, pixels, C') in the middle."""
    arrays = scipy.io.loadmat(path)
    first, middle, last = (arrays[f"weights_conv{i}"] for i in (1, 2, 3))
    weights = {
        "extract": first.T[:, None],  # (pixels, C') -> (C', 1, pixels)
        "map": middle.transpose(2, 0, 1),  # -> (C', C, pixels)
        "reconstruct": last[None],  # (C, pixels) -> (1, C, pixels)
    }
    state = {}
    for i, (name, flat) in enumerate(weights.items(), 1):
        side = round(flat.shape[2] ** 0.5)
        square = flat.reshape(*flat.shape[:2], side, side).swapaxes(2, 3)
        state[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(square))
        state[f"{name}.bias"] = torch.from_numpy(arrays[f"biases_conv{i}"].ravel())
    model.load_state_dict(state)
    return model.eval()


def picture(path: Path) -> Tensor:
    """(1, 3, H, W) uint8."""
    return torch.tensor(read_image(path).pixels).permute(2, 0, 1)[None]


def set5(model: SuperResolver, shared: Path, protocol_name: str, lr_folder: str = "") -> tuple[float, float]:
    """Mean PSNR and SSIM over the five images; LR made from HR as the protocol says, or read."""
    protocol, s = get_protocol(protocol_name), model.scale
    folder = shared / "data/benchmarks/Set5"
    stored = list_images(folder / lr_folder / f"X{s}") if lr_folder else 5 * [None]
    figures = []
    for path, lr_path in zip(list_images(folder / "HR"), stored, strict=True):
        hr = picture(path)
        hr = hr[..., : hr.shape[-2] // s * s, : hr.shape[-1] // s * s]
        lr = picture(lr_path) / 255 if lr_path else protocol.lr(hr, s)
        with torch.no_grad():
            figures.append([float(figure) for figure in protocol.compare(model(lr), hr, s)])
    psnr, ssim = np.mean(figures, axis=0)
    return float(psnr), float(ssim)


# Set5 PSNR with LR made here, then PSNR and SSIM with the LR files that the papers used, where measured.
PUBLISHED = [
    (lambda: BSRN(4), "bsrn/net_g_BSRN_x4.pth", BSRN_BLOCK, 32.351, (32.3501, 0.89652)),
    (lambda: BSRNS(4), "bsrn/net_g_BSRN-S.pth", BSRN_S_BLOCK, 32.158, (32.1628, 0.89488)),
    (lambda: IMDN(4), "imdn/IMDN_x4.pth", IMDN_BLOCK, 32.205, (32.2115, 0.89478)),
    (lambda: RFDN(4), "rfdn/RFDN_AIM.pth", RFDN_BLOCK, 32.155, None),
    (lambda: RLFN(4), "rlfn/rlfn_x4.pth", RLFN_BLOCK, 32.239, (32.2396, 0.89526)),
    (lambda: RLFN(4, channels=48), "rlfn/rlfn_s_x4.pth", RLFN_BLOCK, 32.246, (32.2413, 0.89544)),
    (lambda: RLFN(4, 4, 46, 48), "rlfn/rlfn_ntire_x4.pth", RLFN_BLOCK, 32.098, (32.0984, 0.89388)),
]


@pytest.mark.parametrize(("model", "file", "names", "made", "stored"), PUBLISHED, ids=[row[1] for row in PUBLISHED])
def test_rgb_network_on_set5(shared, model, file, names, made, stored):
    net = load(model(), shared / "weights" / file, names)
    assert set5(net, shared, "y")[0] == pytest.approx(made, abs=0.01)
    if stored:
        psnr, ssim = set5(net, shared, "y", "LR_bicubic_old")
        assert psnr == pytest.approx(stored[0], abs=2e-4) and ssim == pytest.approx(stored[1], abs=2e-5)


@pytest.mark.parametrize(
    ("kernels", "file", "expected"),
    [
        ((9, 1, 5), "official_9-1-5_91images_x3.mat", 32.39),
        ((9, 5, 5), "official_9-5-5_ImageNet_x3.mat", 32.75),
    ],
)
def test_srcnn_on_set5(shared, kernels, file, expected):
    net = load_srcnn(SRCNN(3, kernels=kernels), shared / "weights/srcnn" / file)
    assert set5(net, shared, "y_classic")[0] == pytest.approx(expected, abs=0.01)
