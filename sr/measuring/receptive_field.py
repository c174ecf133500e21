"""How far a network looks: its receptive field, measured from gradients."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from sr.models.base import SuperResolver
from sr.models.smallest import smallest_side

WIDTHS = (48, 160, 448)  # LR pixels; a field that fills the widest strip is taken for the whole image


class _MeanForMax(TorchFunctionMode):
    """Max-pooling looks at its whole window but has a gradient at one place: its mean has one everywhere."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (F.max_pool2d, torch.max_pool2d) or getattr(func, "__name__", "") in (
            "boolean_dispatch",
            "_max_pool2d",
        ):
            x, kernel, stride, padding = (*args, None, 0)[:4] if len(args) > 1 else (args[0], None, None, 0)
            return F.avg_pool2d(
                x, kwargs.get("kernel_size", kernel), kwargs.get("stride", stride), kwargs.get("padding", padding)
            )
        return func(*args, **kwargs)


def receptive_field(model: SuperResolver, scale: int) -> int | None:
    """Side, in LR pixels, of the square of input that one output pixel depends on; None for the whole image.

    Measured on a strip as low as the network takes, in float64, on a copy whose weights are all positive, so that no
    unit is idle and nothing cancels. The pixel is the one in the middle; where a network works in strides, its
    neighbours' fields differ by up to the stride. The model is merged beforehand.
    """
    probe = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        for layer in probe.modules():
            weight = getattr(layer, "weight", None)
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and isinstance(weight, Tensor):
                positive = torch.rand_like(weight) + 0.5
                outputs = weight.shape[1] if isinstance(layer, nn.ConvTranspose2d) else weight.shape[0]
                weight.copy_(positive * (0.5 * outputs / positive.sum()))  # a mean of inputs: nothing saturates
                if layer.bias is not None:
                    layer.bias.zero_()
    generator, height = torch.Generator().manual_seed(0), smallest_side(probe, scale)
    for width in WIDTHS:
        # Bright, and below the range at which a network may clip.
        x = 0.6 + 0.3 * torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)
        x.requires_grad_()
        with _MeanForMax():
            output = probe(x, scale)
        output[0, :, output.shape[2] // 2, output.shape[3] // 2].sum().backward()
        assert x.grad is not None
        seen = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        if len(seen) and seen[0] > 0 and seen[-1] < width - 1:
            return int(seen[-1] - seen[0]) + 1
    return None
