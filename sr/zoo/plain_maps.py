"""Files of small networks as their authors' or others' PyTorch code writes them: ECBSR, compact, VDSR, ESPCN, FSRCNN.

Layouts as read in those projects' code: github xindongzhang/ECBSR and XPixelGroup/BasicSR, xinntao/Real-ESRGAN
(SRVGGNetCompact), twtygqyy/pytorch-vdsr, yjn870/ESPCN-pytorch, yjn870/FSRCNN-pytorch.
"""

import re
from typing import Any

import torch

from sr.layers.reparam import LAPLACIAN, SOBEL_X, SOBEL_Y
from sr.models.base import SuperResolver
from sr.zoo.families import Family, OtherError, Tensors, count, renamed, reshaped, same_shape, square_side

MASKS = {"conv1x1_sbx": SOBEL_X, "conv1x1_sby": SOBEL_Y, "conv1x1_lpl": LAPLACIAN}


def _plain(t: Tensors, target: str, first: str, last: str, blocks: int) -> dict[str, Any]:
    channels, colors = t[first].shape[:2]
    scale = square_side(len(t[last]), colors)
    return {"_target_": target, "scale": scale, "colors": colors, "num_blocks": blocks, "channels": channels}


def _ecbsr(target: str) -> Any:
    def describe(t: Tensors) -> dict[str, Any]:
        last = count(t, r"backbone\.(\d+)\.")
        return _plain(t, target, "backbone.0.conv3x3.weight", f"backbone.{last}.conv3x3.weight", last - 1)

    return describe


ECB = {
    "plain": "conv3x3", "expand.pointwise.weight": "conv1x1_3x3.k0", "expand.pointwise.bias": "conv1x1_3x3.b0",
    "expand.spatial.weight": "conv1x1_3x3.k1", "expand.spatial.bias": "conv1x1_3x3.b1",
} | {
    f"{ours}{part}": f"{theirs}{kind}"
    for ours, theirs in (("sobel_x", "conv1x1_sbx"), ("sobel_y", "conv1x1_sby"), ("laplacian", "conv1x1_lpl"))
    for part, kind in ((".pointwise.weight", ".k0"), (".pointwise.bias", ".b0"), ("", ""))
}  # fmt: skip


def _ecbsr_name(key: str, model: SuperResolver) -> str:
    """Blocks and slopes take turns in ours; theirs have the slope within the block."""
    names = {rf"backbone\.(\d+)\.{re.escape(a)}(?=\.|$)": rf"backbone.\1//2.{b}" for a, b in ECB.items()}
    return renamed(names | {r"backbone\.(\d+)\.": r"backbone.\1//2.act."})(key, model)


def _without_masks(t: Tensors) -> Tensors:
    """The edge masks, which are not learned, are as the paper's."""
    for key in [k for k in t if k.endswith(".mask")]:
        wanted = torch.tensor(MASKS.get(key.split(".")[-2], ()))
        if t[key].shape[2:] != wanted.shape or not torch.equal(t[key].float(), wanted.expand_as(t[key])):
            raise ValueError(f"its {key} is no Sobel or Laplacian mask")
    return {key: value for key, value in t.items() if not key.endswith(".mask")}


def _in_0_1(t: Tensors) -> Tensors:
    """Convolutions and PReLU on 0-255 are the same on 0-1 with a 255th of the biases."""
    return {key: value / 255 if key.endswith(".bias") else value for key, value in t.items()}


def _plain_name(key: str, model: SuperResolver) -> str:
    tail = f"backbone.{len(model.backbone) // 2}.conv3x3."  # type: ignore[arg-type]
    return renamed({
        r"tail\.": tail, r"backbone\.(\d*[02468])\.": r"backbone.\1//2.conv3x3.",
        r"backbone\.(\d+)\.": r"backbone.\1//2.act.",
    })(key, model)  # fmt: skip


def _compact(t: Tensors) -> dict[str, Any]:
    if t["body.1.weight"].ndim != 1 or t["body.0.weight"].ndim != 4:  # convolutions and PReLU take turns
        raise OtherError
    last = count(t, r"body\.(\d+)\.")
    return _plain(t, "sr.models.vgg.PlainVGG", "body.0.weight", f"body.{last}.weight", last // 2 - 1)


def _compact_name(key: str, model: SuperResolver) -> str:
    return renamed({r"backbone\.": "body.", r"tail\.": f"body.{len(model.backbone)}."})(key, model)  # type: ignore[arg-type]


def _vdsr(t: Tensors) -> dict[str, Any]:
    """Their input is not cut to the range of BT.601, as the paper's authors do."""
    first, last = t["features.0.weight"], count(t, r"features\.(\d+)\.")
    if first.shape[1:] != (1, 3, 3) or len(t[f"features.{last}.weight"]) != 1:  # other networks have features, too
        raise OtherError
    return {
        "_target_": "sr.models.vdsr.VDSR", "num_layers": last // 2 + 1, "channels": len(first),
        "bias": "features.0.bias" in t, "clipped": False,
    }  # fmt: skip


def _espcn(t: Tensors) -> dict[str, Any]:
    first = t["first_part.0.weight"]
    scale = square_side(len(t["last_part.0.weight"]), first.shape[1])
    widths = [len(first), len(t["first_part.2.weight"])]
    return {"_target_": "sr.models.espcn.ESPCN", "scale": scale, "colors": first.shape[1], "channels": widths}


def _fsrcnn(t: Tensors) -> dict[str, Any]:
    """No tensor tells the stride, which is the scale."""
    first = t["first_part.0.weight"]
    return {
        "_target_": "sr.models.fsrcnn.FSRCNN", "colors": first.shape[1], "channels": len(first),
        "mid_channels": len(t["mid_part.0.weight"]), "num_blocks": (count(t, r"mid_part\.(\d+)\.") + 1) // 2 - 2,
        "channel_slopes": t["first_part.1.weight"].numel() > 1, "zero_padding": True,
    }  # fmt: skip


PLAIN_FAMILIES = (
    Family(
        "ECBSR", r"^backbone\.\d+\.conv1x1_3x3\.k0$", _ecbsr("sr.models.ecbsr.ECBSR"), _ecbsr_name, reshaped, 255.0,
        rewrite=_without_masks, untold={"with_identity": (True,)},
    ),
    Family(
        "ECBSR, merged", (r"^backbone\.\d+\.conv3x3\.weight$", r"^backbone\.\d+\.act\.weight$"),
        _ecbsr("sr.models.vgg.PlainVGG"), _plain_name, same_shape, 255.0, rewrite=_in_0_1,
    ),
    Family("SRVGGNetCompact", (r"^body\.0\.weight$", r"^body\.1\.weight$"), _compact, _compact_name, same_shape),
    Family("ESPCN of yjn870", (r"^first_part\.2\.weight$", r"^last_part\.0\.weight$"), _espcn,
           renamed({r"features\.": "first_part.", r"tail\.": "last_part."}), same_shape),
    Family("FSRCNN of yjn870", (r"^mid_part\.0\.weight$", r"^last_part\.weight$"), _fsrcnn,
           renamed({r"features\.([01])\.": r"first_part.\1.", r"features\.(\d+)\.": r"mid_part.\1-2.",
                    r"deconv\.": "last_part."}), same_shape),
    Family("VDSR of twtygqyy", (r"^features\.0\.weight$", r"^features\.2\.weight$"), _vdsr,
           renamed({r"residual\.": "features."}), same_shape),
)  # fmt: skip
