"""A plain network's weights under the names of SRVGGNetCompact, by which programs on spandrel know it.

Wang et al., "Real-ESRGAN", ICCVW 2021 (https://arxiv.org/abs/2107.10833): 3x3 convolutions with PReLU, one pixel
shuffle, the image enlarged by nearest neighbour as the skip. Networks of this project that merge to it are the same
function.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.forms.deployed import Exported
from sr.models.base import SuperResolver
from sr.models.ecbsr import ECBSR
from sr.models.vgg import PlainVGG
from sr.runs import safetensors


def compact(model: SuperResolver) -> dict[str, Tensor]:
    """The merged network's tensors, of values in [0, 1], by SRVGGNetCompact's names.

    Raises:
        UserError: it is another network.
    """
    if not isinstance(model, PlainVGG | ECBSR) or model.colors != 3 or model.reads is not None:
        raise UserError(
            f"programs on spandrel know no {type(model).__name__}{' on Y' * (model.colors == 1)}: formats=compact is "
            "for plain convolutions with PReLU on RGB (model=plain and its blocks, repsr, ecbsr_m4c16_rgb). Write onnx"
        )
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


def run_compact(file: Path, what: Exported) -> Callable[[Tensor], Tensor]:
    """What SRVGGNetCompact makes of a file, in float32."""
    state = {name: value.float() for name, value in safetensors.read(file)[0].items()}

    def run(x: Tensor) -> Tensor:
        y = x
        for n in range(sum(name.endswith("weight") for name in state)):
            weight = state[f"body.{n}.weight"]
            y = F.conv2d(y, weight, state[f"body.{n}.bias"], padding=1) if weight.ndim == 4 else F.prelu(y, weight)
        return torch.add(F.pixel_shuffle(y, what.scale), F.interpolate(x, scale_factor=what.scale, mode="nearest"))

    return run
