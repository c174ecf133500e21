"""Files of IMDN, RFDN, RLFN, BSRN and EFDN as their authors' PyTorch code writes them, and as NTIRE 2022 did.

The challenge's layouts as read in github ofsoundof/NTIRE2022_ESR, its baseline IMDN's blocks in cszn/KAIR.
"""

import re
from collections.abc import Callable
from typing import Any

from sr.models.base import SuperResolver
from sr.zoo.families import Family, Tensors, count, renamed, reshaped, same_shape, square_side

# Our name of a layer -> the authors'. First those of blocks, then those of the network around them.
DISTILLATION = {f"distill.{n - 1}": f"c{n}_d" for n in (1, 2, 3)} | {f"refine.{n - 1}": f"c{n}_r" for n in (1, 2, 3)}
DISTILLATION |= {"last": "c4", "fuse": "c5"}
ESA = {"squeeze": "conv1", "skip": "conv_f", "down": "conv2", "expand": "conv4"}
GROUPS = {1: ("conv3",), 2: ("conv_max", "conv3"), 3: ("conv_max", "conv3", "conv3_")}  # after ESA's pooling
ESA_1, ESA_2, ESA_3 = (ESA | {f"groups.{2 * n}": name for n, name in enumerate(names)} for names in GROUPS.values())
CCA = {"gate.0": "conv_du.0", "gate.2": "conv_du.2"}


def _under(ours: str, theirs: str, names: dict[str, str]) -> dict[str, str]:
    return {f"{ours}.{a}": f"{theirs}.{b}" for a, b in names.items()}


IMDB = {f"refine.{n - 1}": f"c{n}" for n in (1, 2, 3)} | {"last": "c4", "fuse": "c5"} | _under("cca", "cca", CCA)
RFDB = {n: DISTILLATION | _under("esa", "esa", esa) for n, esa in enumerate((ESA_1, ESA_2, ESA_3), 1)}
RLFB = {"refine.0": "c1_r", "refine.2": "c2_r", "refine.4": "c3_r", "fuse": "c5"} | _under("esa", "esa", ESA_1)
ESDB = DISTILLATION | _under("attention.0", "esa", ESA_3) | _under("attention.1", "cca", CCA)
ESDB_S = DISTILLATION | _under("attention.0", "esa", ESA_3) | {"attention.1.weight": "cw", "attention.2": "conv_out"}

IMDN = {"head": "fea_conv", "fuse.0": "c.0", "smooth": "LR_conv", "tail.0": "upsampler.0"}
RLFN_NTIRE = {"head": "fea_conv", "smooth": "LR_conv", "tail.0": "upsampler.0"}
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
    """The winner of AIM 2020 has three convolutions in ESA, other forms fewer."""
    node = _sizes(t, "rfdn.RFDN", r"B(\d+)\.")
    groups = sum(f"B1.esa.{name}.weight" in t for name in GROUPS[3])
    return node | {"esa_channels": len(t["B1.esa.conv1.weight"]), "esa_groups": groups}


def _rfdn_name(key: str, model: SuperResolver) -> str:
    groups = len(model.blocks[0].esa.groups) // 2 + 1  # type: ignore[index, union-attr]
    return _names("B", RFDB[groups], IMDN)(key, model)


def _rlfn(block: str, head: str) -> Callable[[Tensors], dict[str, Any]]:
    def describe(t: Tensors) -> dict[str, Any]:
        node = _sizes(t, "rlfn.RLFN", rf"{block}(\d+)\.", head)
        node["mid_channels"] = len(t[f"{block}1.c1_r.weight"])
        return node | {"esa_channels": len(t[f"{block}1.esa.conv1.weight"])}

    return describe


def _imdn_reference(t: Tensors) -> dict[str, Any]:
    """Its layers are numbered; `model.` before all of them is taken off as every such prefix is."""
    return _sizes(t, "imdn.IMDNReference", r"1\.sub\.(\d+)\.", "0.weight", "2.weight")


def _imdn_reference_name(key: str, model: SuperResolver) -> str:
    return renamed({
        r"head\.": "0.", r"tail\.0\.": "2.", r"smooth\.": f"1.sub.{len(model.blocks)}.",  # type: ignore[arg-type]
        r"blocks\.(\d+)\.refine\.0\.": r"1.sub.\1.conv1.0.", r"blocks\.(\d+)\.refine\.1\.": r"1.sub.\1.conv2.0.",
        r"blocks\.(\d+)\.refine\.2\.": r"1.sub.\1.conv3.0.", r"blocks\.(\d+)\.last\.": r"1.sub.\1.conv4.",
        r"blocks\.(\d+)\.fuse\.": r"1.sub.\1.conv1x1.",
    })(key, model)  # fmt: skip


def _bsrn_s(t: Tensors) -> dict[str, Any]:
    tail = "upsampler.upsampleOneStep.0.weight"
    node = _sizes(t, "bsrn.BSRNS", r"B(\d+)\.", head="c1.weight", tail=tail)
    return node | {"esa_channels": len(t["B1.esa.conv1.weight"])}


def _bsrn(t: Tensors) -> dict[str, Any]:
    node = _bsrn_s(t)
    reduction = node["channels"] // len(t["B1.cca.conv_du.0.weight"])
    return node | {"_target_": "sr.models.bsrn.BSRN", "reduction": reduction}


def _efdn(t: Tensors) -> dict[str, Any]:
    """Its merged form, which is what is published."""
    scale, channels = square_side(len(t["tail.0.weight"]), 3), len(t["head.weight"])
    return {"_target_": "sr.models.efdn.EFDN", "scale": scale, "channels": channels, "reparam": False}


_efdn_name = renamed({
    r"(head|tail\.0)\.": r"\1.", r"fuse\.(\d)\.": r"local_fuse.\1.", r"blocks\.(\d)\.distill\.": r"cells.\1.branch.",
    r"blocks\.(\d)\.fuse\.": r"cells.\1.fuse.",
    r"blocks\.(\d)\.refine\.0\.0\.": r"cells.\1.conv1.conv1x1.",
    **{rf"blocks\.(\d)\.refine\.{n}\.0\.": rf"cells.\1.conv{n + 1}.rep_conv." for n in (1, 2)},
    **{rf"blocks\.(\d)\.refine\.{n}\.1\.": rf"cells.\1.conv{n + 1}.act." for n in range(3)},
    **{rf"blocks\.(\d)\.esa\.{ours}\.".replace("groups.", r"groups\."): rf"cells.\1.att.{name}."
       for ours, name in ESA_3.items()},
})  # fmt: skip


TORCH_FAMILIES = (
    Family("IMDN", r"^IMDB\d+\.", _imdn, _names("IMDB", IMDB, IMDN), reshaped),
    Family(
        "IMDN of NTIRE 2022", r"^1\.sub\.\d+\.conv1x1\.weight$", _imdn_reference, _imdn_reference_name, same_shape
    ),
    Family(
        "RLFN", r"^block_\d+\.c1_r\.weight$", _rlfn("block_", "conv_1.weight"), _names("block_", RLFB, RLFN), reshaped,
        255.0,
    ),
    Family("BSRN-S", r"^B\d+\.(cw$|conv_out\.)", _bsrn_s, _names("B", ESDB_S, BSRN), reshaped),
    Family("BSRN", r"^B\d+\.(cca\.|c1_r\.pw\.)", _bsrn, _names("B", ESDB, BSRN), reshaped),
    Family("EFDN", r"^cells\.\d+\.conv2\.rep_conv\.weight$", _efdn, _efdn_name, same_shape),
    Family(
        "RFDN", r"^B\d+\.c1_d\.weight$", _rfdn, _rfdn_name, reshaped, 255.0,
        untold={"dilation": (2,)},  # as an entry to NTIRE 2022 had it
    ),
    Family(
        "RLFN of NTIRE 2022", r"^B\d+\.c1_r\.weight$", _rlfn("B", "fea_conv.weight"), _names("B", RLFB, RLFN_NTIRE),
        reshaped, 255.0,
    ),
)  # fmt: skip
