"""A network's weights under the names by which programs on spandrel know it.

RCAN, RRDBNet, SwinIR-light and SPAN stand there under their authors' names, as `sr.zoo` reads them. A network of plain
convolutions with PReLU is merged to SRVGGNetCompact, the same function. Wang et al., "Real-ESRGAN", ICCVW 2021
(https://arxiv.org/abs/2107.10833): 3x3 convolutions with PReLU, one pixel shuffle, the image enlarged by nearest
neighbour as the skip.
"""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.forms.deployed import Exported
from sr.layers.conv3xc import Conv3XC
from sr.layers.windows import WindowLayer
from sr.models.base import SuperResolver
from sr.models.ecbsr import ECBSR
from sr.models.edsr import DIV2K_MEAN
from sr.models.rcan import RCAN
from sr.models.rrdbnet import RRDBNet
from sr.models.span import SPAN
from sr.models.swinir import SwinIR
from sr.models.vgg import PlainVGG
from sr.runs import safetensors
from sr.zoo.baseline_maps import BASELINE_FAMILIES
from sr.zoo.families import build, recognise
from sr.zoo.span_maps import SPAN_FAMILIES

FAMILIES = {family.name: family for family in (*BASELINE_FAMILIES, *SPAN_FAMILIES)}
NAMED = {RCAN: "RCAN", RRDBNet: "RRDBNet", SwinIR: "SwinIR-light", SPAN: "SPAN as trained"}
TRAINED_AT = 8  # windows: a side of the picture for which SwinIR's code keeps masks, 64 pixels for windows of 8


def for_spandrel(model: SuperResolver) -> dict[str, Tensor]:
    """Its tensors, under the names of the authors' code, or of SRVGGNetCompact.

    Raises:
        UserError: it is another network.
    """
    if model.reads is None and model.colors == 3:
        if isinstance(model, PlainVGG | ECBSR):
            return _compact(model)
        if type(model) in NAMED and not (isinstance(model, SPAN) and _other(model)):
            theirs = FAMILIES[NAMED[type(model)]].theirs
            return {theirs(key, model): value for key, value in model.state_dict().items()} | _beside(model)
    what = f"{type(model).__name__}{' on Y' * (model.colors == 1)}"
    raise UserError(
        f"programs on spandrel know no {what} of this form: formats=spandrel is for plain convolutions with PReLU on "
        "RGB (model=plain and its blocks, repsr, ecbsr_m4c16_rgb), rcan, rrdbnet, swinir_light and span. Write onnx"
    )


def _other(model: SPAN) -> bool:
    """Whether it has other than six blocks, or merged convolutions alone, of which no trained ones can be told."""
    return len(model.blocks) != 6 or not isinstance(model.head, Conv3XC)


def _beside(model: SuperResolver) -> dict[str, Tensor]:
    """What their code keeps beside what is trained, without which it does not take a file."""
    found: dict[str, Tensor] = {}
    if isinstance(model, RCAN):
        mean, one = 255 * torch.tensor(DIV2K_MEAN), torch.eye(3)[:, :, None, None]
        found = {"sub_mean.weight": one, "sub_mean.bias": -mean, "add_mean.weight": one, "add_mean.bias": mean}
    if isinstance(model, SPAN):
        merged = model.merged()
        found = {FAMILIES["SPAN"].theirs(key, merged): value for key, value in merged.state_dict().items()}
    for name, layer in model.named_modules():
        if isinstance(layer, WindowLayer):
            place = re.sub(r"blocks\.(\d+)\.body\.(\d+)", r"layers.\1.residual_group.blocks.\2", name)
            found[f"{place}.attn.relative_position_index"] = layer.index
            if layer.shift:
                found[f"{place}.attn_mask"] = layer.mask(TRAINED_AT * layer.window)
    return found


def _compact(model: PlainVGG | ECBSR) -> dict[str, Tensor]:
    """The merged network's tensors, of values in [0, 1], by SRVGGNetCompact's names."""
    merged = model.merged()
    layers = [*merged.backbone, *([merged.tail] if isinstance(merged, PlainVGG) else [])]
    white = 255.0 if isinstance(model, ECBSR) else 1.0  # of its input; each layer enlarges all but its bias with that
    state: dict[str, Tensor] = {}
    for n, layer in enumerate(layers):
        assert isinstance(layer, nn.Conv2d | nn.PReLU)
        state[f"body.{n}.weight"] = layer.weight.detach()
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            state[f"body.{n}.bias"] = layer.bias.detach() / white
    return state


def run_for_spandrel(file: Path, what: Exported) -> Callable[[Tensor], Tensor]:
    """What a file's network makes, in float32."""
    state = {k: v.float() if v.is_floating_point() else v for k, v in safetensors.read(file)[0].items()}
    if "body.1.weight" not in state:
        family, node = recognise(state, list(FAMILIES.values()), file)
        return Exported(build(family, node, state, file), what.name, what.scale).deployed()

    def run(x: Tensor) -> Tensor:
        y = x
        for n in range(sum(name.endswith("weight") for name in state)):
            weight = state[f"body.{n}.weight"]
            y = F.conv2d(y, weight, state[f"body.{n}.bias"], padding=1) if weight.ndim == 4 else F.prelu(y, weight)
        return torch.add(F.pixel_shuffle(y, what.scale), F.interpolate(x, scale_factor=what.scale, mode="nearest"))

    return run
