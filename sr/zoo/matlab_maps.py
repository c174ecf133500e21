"""Files of SRCNN, FSRCNN, VDSR and LapSRN: MATLAB arrays in two layouts."""

from typing import Any

from torch import Tensor

from sr.models.base import SuperResolver
from sr.models.lapsrn import paper_depth
from sr.zoo.families import Family, Tensors, count, square_side

SRCNN = {"extract": "conv1", "map": "conv2", "reconstruct": "conv3"}


def columns(theirs: Tensor, ours: Tensor) -> Tensor:
    """SRCNN's and FSRCNN's filters, (C, pixels, C'), a filter's pixels running down its columns.

    MATLAB may lack an axis of length one at either end. A transposed convolution's are (C', pixels, C).
    """
    if ours.ndim == 1:
        return theirs.reshape(ours.shape)  # biases and slopes, (C, 1) or (1, C)
    first, second, side = ours.shape[0], ours.shape[1], ours.shape[-1]
    full = (second, side * side, first)
    if tuple(n for n in theirs.shape if n > 1) != tuple(n for n in full if n > 1):
        raise ValueError
    filters = theirs.reshape(full).permute(2, 0, 1)
    return filters.reshape(first, second, side, side).transpose(2, 3)


def matconvnet(theirs: Tensor, ours: Tensor) -> Tensor:
    """MatConvNet's filters, (k, k, C, C') for a convolution; MATLAB drops axes of length one at the end."""
    if ours.ndim == 1:
        return theirs.reshape(ours.shape)  # biases and slopes, (C, 1) or (1, C)
    shape = (*theirs.shape, *(4 - theirs.ndim) * (1,))
    if tuple(shape[i] for i in (3, 2, 0, 1)) != tuple(ours.shape):
        raise ValueError
    return theirs.reshape(shape).permute(3, 2, 0, 1)


def _srcnn(t: Tensors) -> dict[str, Any]:
    widths = [t["biases_conv1"].numel(), t["biases_conv2"].numel()]
    pixels = [
        t["weights_conv1"].numel() // widths[0],
        t["weights_conv2"].numel() // (widths[0] * widths[1]),
        t["weights_conv3"].numel() // widths[1],
    ]
    return {"_target_": "sr.models.srcnn.SRCNN", "channels": widths, "kernels": [square_side(p) for p in pixels]}


def _srcnn_name(key: str, model: SuperResolver) -> str:
    layer, kind = key.rsplit(".", 1)
    return {"weight": "weights_", "bias": "biases_"}[kind] + SRCNN[layer]


def _fsrcnn(t: Tensors) -> dict[str, Any]:
    return {
        "_target_": "sr.models.fsrcnn.FSRCNN",
        "colors": 1,
        "channels": t["biases_conv.0"].numel(),
        "mid_channels": t["biases_conv.1"].numel(),
        "num_blocks": count(t, r"weights_conv\.(\d+)") - 3,  # without features, shrinking, expanding, deconvolution
        "channel_slopes": t["prelu_conv.0"].numel() > 1,
    }


def _fsrcnn_name(key: str, model: SuperResolver) -> str:
    if key.startswith("deconv"):
        layer, slope = len(model.features) // 2, 0  # type: ignore[arg-type]
    else:  # convolutions and slopes take turns
        layer, slope = divmod(int(key.split(".")[1]), 2)
    kind = "prelu" if slope else {"weight": "weights", "bias": "biases"}[key.rsplit(".", 1)[1]]
    return f"{kind}_conv.{layer}"


def _vdsr(t: Tensors) -> dict[str, Any]:
    return {
        "_target_": "sr.models.vdsr.VDSR",
        "num_layers": count(t, r"model\.weight\.(\d+)") + 1,
        "channels": t["model.weight.0"].shape[3],
        "bias": "model.bias.0" in t,
    }


def _vdsr_name(key: str, model: SuperResolver) -> str:
    _, position, kind = key.split(".")
    return f"model.{kind}.{int(position) // 2}"  # the odd ones are activations


def _lapsrn(t: Tensors) -> dict[str, Any]:
    scale, depth = 2 ** count(t, r"level(\d+)_upconv_f"), count(t, r"level1_conv(\d+)_f")
    return {
        "_target_": "sr.models.lapsrn.LapSRN",
        "scale": scale,
        "channels": t["input_conv_f"].shape[3],
        "depth": None if depth == paper_depth(scale) else depth,
    }


LAPSRN = {"enlarge": "upconv", "residual": "residual_conv", "enlarge_image": "img_up"}


def _lapsrn_name(key: str, model: SuperResolver) -> str:
    """The authors count the levels from the largest image down."""
    kind = {"weight": "f", "bias": "b"}[key.rsplit(".", 1)[1]]
    if key.startswith("head"):
        return f"input_conv_{kind}"
    _, level, layer, *rest = key.split(".")
    name = LAPSRN.get(layer) or f"conv{int(rest[0]) // 2 + 1}"
    return f"level{len(model.levels) - int(level)}_{name}_{kind}"  # type: ignore[arg-type]


MATLAB_FAMILIES = (
    Family("SRCNN", r"^weights_conv\d+$", _srcnn, _srcnn_name, columns),
    Family("FSRCNN", r"^(weights|prelu)_conv\.\d+$", _fsrcnn, _fsrcnn_name, columns),
    Family("VDSR", r"^model\.weight\.\d+$", _vdsr, _vdsr_name, matconvnet),
    Family("LapSRN", r"^level\d+_", _lapsrn, _lapsrn_name, matconvnet),
)
