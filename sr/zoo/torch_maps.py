"""Files of IMDN, RFDN, RLFN and BSRN as their authors' PyTorch code writes them."""

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

from sr.models.base import SuperResolver
from sr.zoo.families import Family, Tensors, count, square_side

# Our name of a layer -> the authors'. First those of blocks, then those of the network around them.
DISTILLATION = {f"distill.{n - 1}": f"c{n}_d" for n in (1, 2, 3)} | {f"refine.{n - 1}": f"c{n}_r" for n in (1, 2, 3)}
DISTILLATION |= {"last": "c4", "fuse": "c5"}
ESA = {"squeeze": "conv1", "skip": "conv_f", "down": "conv2", "expand": "conv4"}
ESA_1 = ESA | {"groups.0": "conv3"}
ESA_3 = ESA | {"groups.0": "conv_max", "groups.2": "conv3", "groups.4": "conv3_"}
CCA = {"gate.0": "conv_du.0", "gate.2": "conv_du.2"}


def _under(ours: str, theirs: str, names: dict[str, str]) -> dict[str, str]:
    return {f"{ours}.{a}": f"{theirs}.{b}" for a, b in names.items()}


IMDB = {f"refine.{n - 1}": f"c{n}" for n in (1, 2, 3)} | {"last": "c4", "fuse": "c5"} | _under("cca", "cca", CCA)
RFDB = DISTILLATION | _under("esa", "esa", ESA_3)
RLFB = {"refine.0": "c1_r", "refine.2": "c2_r", "refine.4": "c3_r", "fuse": "c5"} | _under("esa", "esa", ESA_1)
ESDB = DISTILLATION | _under("attention.0", "esa", ESA_3) | _under("attention.1", "cca", CCA)
ESDB_S = DISTILLATION | _under("attention.0", "esa", ESA_3) | {"attention.1.weight": "cw", "attention.2": "conv_out"}

IMDN = {"head": "fea_conv", "fuse.0": "c.0", "smooth": "LR_conv", "tail.0": "upsampler.0"}
RLFN = {"head": "conv_1", "smooth": "conv_2", "tail.0": "upsampler.0"}
BSRN = {"head": "fea_conv", "fuse.0": "c1", "fuse.2": "c2", "tail.0": "upsampler.upsampleOneStep.0"}
PARTS = {".pointwise": ".pw", ".depthwise": ".dw"}  # of a BSConv-U


def _names(block: str, inside: dict[str, str], around: dict[str, str]) -> Callable[[str, SuperResolver], str]:
    """Our name of a tensor -> the authors', whose blocks are `block` and a number from 1."""

    def theirs(key: str, model: SuperResolver) -> str:
        found = re.match(r"blocks\.(\d+)\.(.*)", key)
        prefix, rest = (f"{block}{int(found[1]) + 1}.", found[2]) if found else ("", key)
        layers = inside if found else around
        if rest in layers:
            return prefix + layers[rest]
        layer, part, kind = re.fullmatch(r"(.*?)(\.pointwise|\.depthwise)?(\.\w+)", rest).groups()  # type: ignore[union-attr]
        return prefix + layers.get(layer, f"(ours: {layer})") + PARTS.get(part, "") + kind

    return theirs


def _reshaped(theirs: Tensor, ours: Tensor) -> Tensor:
    """As it is, or a linear layer's (C', C) as a 1x1 convolution, or a scale's (1, C) as (C, 1, 1)."""
    if (theirs.ndim == ours.ndim and theirs.shape != ours.shape) or theirs.squeeze().shape != ours.squeeze().shape:
        raise ValueError
    return theirs.reshape(ours.shape)


def _sizes(
    t: Tensors, target: str, block: str, head: str = "fea_conv.weight", tail: str = "upsampler.0.weight"
) -> dict[str, Any]:
    """What all these networks have, told by the number of blocks and the first and last convolution."""
    scale = square_side(len(t[tail]), 3)
    return {"_target_": f"sr.models.{target}", "scale": scale, "num_blocks": count(t, block), "channels": len(t[head])}


def _imdn(t: Tensors) -> dict[str, Any]:
    node = _sizes(t, "imdn.IMDN", r"IMDB(\d+)\.")
    return node | {"reduction": node["channels"] // len(t["IMDB1.cca.conv_du.0.weight"])}


def _rfdn(t: Tensors) -> dict[str, Any]:
    node = _sizes(t, "rfdn.RFDN", r"B(\d+)\.")
    return node | {"esa_channels": len(t["B1.esa.conv1.weight"]), "esa_groups": 3}


def _rlfn(t: Tensors) -> dict[str, Any]:
    node = _sizes(t, "rlfn.RLFN", r"block_(\d+)\.", head="conv_1.weight")
    node["mid_channels"] = len(t["block_1.c1_r.weight"])
    return node | {"esa_channels": len(t["block_1.esa.conv1.weight"])}


def _bsrn_s(t: Tensors) -> dict[str, Any]:
    tail = "upsampler.upsampleOneStep.0.weight"
    node = _sizes(t, "bsrn.BSRNS", r"B(\d+)\.", head="c1.weight", tail=tail)
    return node | {"esa_channels": len(t["B1.esa.conv1.weight"])}


def _bsrn(t: Tensors) -> dict[str, Any]:
    node = _bsrn_s(t)
    reduction = node["channels"] // len(t["B1.cca.conv_du.0.weight"])
    return node | {"_target_": "sr.models.bsrn.BSRN", "reduction": reduction}


TORCH_FAMILIES = (
    Family("IMDN", r"^IMDB\d+\.", _imdn, _names("IMDB", IMDB, IMDN), _reshaped),
    Family("RLFN", r"^block_\d+\.c1_r\.weight$", _rlfn, _names("block_", RLFB, RLFN), _reshaped, 255.0),
    Family("BSRN-S", r"^B\d+\.(cw$|conv_out\.)", _bsrn_s, _names("B", ESDB_S, BSRN), _reshaped),
    Family("BSRN", r"^B\d+\.(cca\.|c1_r\.pw\.)", _bsrn, _names("B", ESDB, BSRN), _reshaped),
    Family("RFDN", r"^B\d+\.c1_r\.weight$", _rfdn, _names("B", RFDB, IMDN), _reshaped, 255.0),
)
