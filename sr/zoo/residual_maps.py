"""Files of EDSR, MDSR, MSRResNet and SRResNet as EDSR-PyTorch, BasicSR and two ports of SRGAN write them.

Layouts as read in those projects' code: github sanghyun-son/EDSR-PyTorch, XPixelGroup/BasicSR, Lornatang/SRGAN-PyTorch,
leftthomas/SRGAN. No file tells `res_scale`: it is the paper's, 0.1 for 256 channels, else 1; where that is less than
bicubic on the photo, the other is tried.
"""

import re
from typing import Any

import torch
from torch import Tensor

from sr.models.base import SuperResolver
from sr.models.edsr import DIV2K_MEAN
from sr.zoo.families import Family, Tensors, count, renamed, same_shape, stages_scale

WIDE = 256  # channels, from which on EDSR scales its residuals
BLOCK = ("conv1", "bn1", "prelu", "conv2", "bn2")  # of SRGAN's ports, in the order of ours


def _edsr(head: str, first: str, stage: str, block: str) -> Any:
    def describe(t: Tensors) -> dict[str, Any]:
        channels = len(t[head])
        stages = sum(bool(re.fullmatch(stage, key)) for key in t)
        return {
            "_target_": "sr.models.edsr.EDSR", "scale": stages_scale(t[first], channels, stages),
            "num_blocks": count(t, block) + 1, "channels": channels, "res_scale": 0.1 if channels >= WIDE else 1.0,
        }  # fmt: skip

    return describe


def _mdsr(t: Tensors) -> dict[str, Any]:
    channels = len(t["head.0.weight"])
    scales = []
    for place in range(count(t, r"upsample\.(\d+)\.") + 1):
        stages = sum(bool(re.fullmatch(rf"upsample\.{place}\.\d+\.weight", key)) for key in t)
        scales.append(stages_scale(t[f"upsample.{place}.0.weight"], channels, stages))
    blocks = count(t, r"body\.(\d+)\.body\.") + 1
    return {"_target_": "sr.models.mdsr.MDSR", "scale": scales, "num_blocks": blocks, "channels": channels}


def _mdsr_name(key: str, model: SuperResolver) -> str:
    """The branches are counted in the order of the scales."""
    if found := re.match(r"(entrances|upsamplers)\.x(\d+)\.(\d+)\.(conv1|conv2|0)\.", key):
        kind, scale, n, layer = found.groups()
        place = model.scales.index(int(scale))
        rest = key[found.end() :]
        if kind == "upsamplers":
            return f"upsample.{place}.{2 * int(n)}.{rest}"
        return f"pre_process.{place}.{n}.body.{'0' if layer == 'conv1' else '2'}.{rest}"
    return EDSR_PYTORCH(key, model) if not key.startswith("tail.") else key.replace("tail.", "tail.0.")


def _without_shift(t: Tensors) -> Tensors:
    """The mean colour is told by the file, and by it the range that it was trained in; ours has 0-255 built in.

    head(W; r(x - m)) = head(W * r / 255; 255(x - m)), and at the other end W and b times 255 / r.
    """
    shift = {key: t[key] for key in t if re.match("(sub|add)_mean[.]", key)}
    own = {key: value for key, value in t.items() if key not in shift}
    if not shift:
        return own
    mean = torch.tensor(DIV2K_MEAN)
    bias = shift["sub_mean.bias"].float() if "sub_mean.bias" in shift else -255 * mean
    white = float((-bias / mean).mean()) if bias.shape == mean.shape else 0.0
    wanted = {"sub_mean.bias": -white * mean, "add_mean.bias": white * mean}
    wanted |= {key: torch.eye(3)[:, :, None, None] for key in ("sub_mean.weight", "add_mean.weight")}
    apart = [
        key
        for key, value in shift.items()
        if key not in wanted or value.shape != wanted[key].shape
        or not torch.allclose(value.float(), wanted[key], atol=1e-3 * max(white, 1.0))
    ]  # fmt: skip
    if white <= 0 or apart:
        raise ValueError(
            f"it does not work around DIV2K's mean colour, {DIV2K_MEAN}: its {', '.join(apart)} is another"
        )
    if abs(white - 255) < 0.5:
        return own
    tail = max((key for key in own if re.match(r"tail\.\d+\.weight$", key)), default="").removesuffix("weight")
    factors = {"head.0.weight": white / 255, f"{tail}weight": 255 / white, f"{tail}bias": 255 / white}
    return {key: value * factors.get(key, 1) for key, value in own.items()}


def _msrresnet(t: Tensors) -> dict[str, Any]:
    channels = len(t["conv_first.weight"])
    scale = stages_scale(t["upconv1.weight"], channels, 1 + ("upconv2.weight" in t))
    blocks = count(t, r"body\.(\d+)\.") + 1
    return {"_target_": "sr.models.srresnet.MSRResNet", "scale": scale, "num_blocks": blocks, "channels": channels}


def _srresnet_node(t: Tensors, head: str, blocks: int, stages: int, bounded: bool) -> dict[str, Any]:
    return {
        "_target_": "sr.models.srresnet.SRResNet", "scale": 2**stages, "num_blocks": blocks, "channels": len(t[head]),
        "tanh_output": bounded,
    }  # fmt: skip


def _leftthomas(t: Tensors) -> dict[str, Any]:
    last = count(t, r"block(\d+)\.")
    stages = count(t, rf"block{last}\.(\d+)\.conv\.") + 1
    return _srresnet_node(t, "block1.0.weight", last - 3, stages, bounded=True)


def _leftthomas_name(key: str, model: SuperResolver) -> str:
    blocks = len(model.body) - 2  # type: ignore[arg-type]
    part, _, rest = key.partition(".")
    if part == "head":
        return f"block1.{rest}"
    if part == "tail":
        return f"block{blocks + 3}.{model.scale.bit_length() - 1}.{rest}"
    n, _, rest = rest.partition(".")
    if part == "upsampler":  # convolutions and slopes take turns
        return f"block{blocks + 3}.{int(n) // 2}." + (f"prelu.{rest}" if int(n) % 2 else f"conv.{rest[2:]}")
    if int(n) >= blocks:
        return f"block{blocks + 2}.{int(n) - blocks}.{rest}"
    _, layer, kind = rest.split(".")
    return f"block{int(n) + 2}.{BLOCK[int(layer)]}.{kind}"


def _lornatang(t: Tensors) -> dict[str, Any]:
    stages = count(t, r"upsampling\.(\d+)\.") + 1
    head = "conv1.0.weight" if "conv1.0.weight" in t else "conv_block1.0.weight"
    return _srresnet_node(t, head, count(t, r"trunk\.(\d+)\.") + 1, stages, bounded=False)


def _lornatang_name(key: str, model: SuperResolver) -> str:
    blocks = len(model.body) - 2  # type: ignore[arg-type]
    return renamed({
        r"head\.": "conv1.", r"tail\.": "conv3.",
        rf"body\.{blocks}\.": "conv2.0.", rf"body\.{blocks + 1}\.": "conv2.1.",
        r"body\.(\d+)\.body\.": r"trunk.\1.rcb.",
        r"upsampler\.(\d*[02468])\.0\.": r"upsampling.\1//2.upsample_block.0.",
        r"upsampler\.(\d*[13579])\.": r"upsampling.\1//2.upsample_block.2.",
    })(key, model)  # fmt: skip


def _with_counters(t: Tensors) -> dict[str, Tensor]:
    """Batch norm of files before PyTorch 0.4.1 lacks the number of batches, which a trained network does not use."""
    names = [key.removesuffix("running_mean") for key in t if key.endswith("running_mean")]
    return {f"{name}num_batches_tracked": torch.tensor(0) for name in names} | dict(t)


def _answering_in_0_1(t: Tensors) -> Tensors:
    """Ours answers in -1 to 1, as in the paper, this port in 0-1: 2y - 1. Its body's convolutions have no bias."""
    own = {re.sub(r"^conv_block(?=\d)", "conv", key): value for key, value in _with_counters(t).items()}
    for key in [k for k in own if re.match(r"(trunk\.\d+\.rcb\.[03]|conv2\.0)\.weight$", k)]:
        own.setdefault(key.replace("weight", "bias"), torch.zeros(len(own[key])))
    if "conv3.weight" in own and "conv3.bias" in own:
        own |= {"conv3.weight": 2 * own["conv3.weight"], "conv3.bias": 2 * own["conv3.bias"] - 1}
    return own


EDSR_PYTORCH = renamed({
    r"head\.": "head.0.", r"body\.(\d+)\.conv1\.": r"body.\1.body.0.", r"body\.(\d+)\.conv2\.": r"body.\1.body.2.",
    r"body\.": "body.", r"upsampler\.(\d+)\.0\.": r"tail.0.\1*2.", r"tail\.": "tail.1.",
})  # fmt: skip
BASICSR_EDSR = renamed({
    r"head\.": "conv_first.", r"body\.(\d+)\.conv": r"body.\1.conv", r"body\.\d+\.": "conv_after_body.",
    r"upsampler\.(\d+)\.0\.": r"upsample.\1*2.", r"tail\.": "conv_last.",
})  # fmt: skip
BASICSR_MSRRESNET = renamed({
    r"head\.0\.": "conv_first.", r"body\.": "body.", r"upsampler\.0\.0\.": "upconv1.",
    r"upsampler\.2\.0\.": "upconv2.", r"tail\.0\.": "conv_hr.", r"tail\.2\.": "conv_last.",
})  # fmt: skip
PLAIN_BLOCK = r"^body\.\d+\.body\.0\.weight$"  # without channel attention, as RCAN's, which are a level deeper
RESIDUAL_FAMILIES = (
    Family(
        "MDSR of EDSR-PyTorch", (PLAIN_BLOCK, r"^pre_process\.\d+\."), _mdsr, _mdsr_name, same_shape,
        rewrite=_without_shift,
    ),
    Family(
        "EDSR of EDSR-PyTorch", (PLAIN_BLOCK, r"^tail\.0\.0\.weight$"),
        _edsr("head.0.weight", "tail.0.0.weight", r"tail\.0\.\d+\.weight", r"body\.(\d+)\.body\."), EDSR_PYTORCH,
        same_shape, rewrite=_without_shift, untold={"res_scale": (1.0, 0.1)},
    ),
    Family(
        "EDSR of BasicSR", (r"^body\.\d+\.conv1\.weight$", r"^conv_after_body\.weight$"),
        _edsr("conv_first.weight", "upsample.0.weight", r"upsample\.\d+\.weight", r"body\.(\d+)\."), BASICSR_EDSR,
        same_shape, untold={"res_scale": (1.0, 0.1)},
    ),
    Family(
        "MSRResNet of BasicSR", (r"^body\.\d+\.conv1\.weight$", r"^upconv1\.weight$"), _msrresnet, BASICSR_MSRRESNET,
        same_shape,
    ),
    Family(
        "SRGAN of leftthomas", (r"^block\d+\.bn1\.weight$", r"^block\d+\.prelu\.weight$"), _leftthomas,
        _leftthomas_name, same_shape, rewrite=_with_counters,
    ),
    Family(
        "SRResNet of Lornatang", r"^trunk\.\d+\.rcb\.0\.weight$", _lornatang, _lornatang_name, same_shape,
        rewrite=_answering_in_0_1,
    ),
)  # fmt: skip
