"""Files of RCAN, RRDBNet (ESRGAN, Real-ESRGAN) and the lightweight SwinIR, of BasicSR and of the authors' own code."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from sr.models.base import SuperResolver
from sr.zoo.families import Family, Tensors, count, same_shape, square_side

# Patterns of our layers -> theirs, or what makes them of the match and the number of groups or blocks; the first that
# fits is meant.
Names = Mapping[str, str | Callable[[re.Match[str], int], str]]


def _named(names: Names) -> Callable[[str, SuperResolver], str]:
    """Our name of a tensor -> the authors'."""

    def theirs(key: str, model: SuperResolver) -> str:
        layer, _, kind = key.rpartition(".")
        blocks = len(getattr(model, "body", ()))
        for pattern, found in names.items():
            if match := re.fullmatch(pattern, layer):
                name = match.expand(found) if isinstance(found, str) else found(match, blocks)
                return f"{name}.{TABLE}" if kind == "positions" else f"{name}.{kind}"
        return f"(ours: {key})"

    return theirs


# RCAN: the last of `body`, and of each group's, is a 3x3.
GATE = {"0": "1", "2": "3"}
RCAN: Names = {
    r"head": "conv_first",
    r"body\.(\d+)\.body\.(\d+)\.body\.([02])": r"body.\1.residual_group.\2.rcab.\3",
    r"body\.(\d+)\.body\.(\d+)\.body\.3\.gate\.([02])": lambda m, n: (
        f"body.{m[1]}.residual_group.{m[2]}.rcab.3.attention.{GATE[m[3]]}"
    ),
    r"body\.(\d+)\.body\.\d+": r"body.\1.conv",
    r"body\.\d+": "conv_after_body",
    r"upsampler\.(\d)\.0": lambda m, n: f"upsample.{2 * int(m[1])}",
    r"tail": "conv_last",
}
RCAN_AUTHORS: Names = {
    r"head": "head.0",
    r"body\.(\d+)\.body\.(\d+)\.body\.3\.gate\.([02])": r"body.\1.body.\2.body.3.conv_du.\3",
    r"(body\..*)": r"\1",
    r"upsampler\.(\d)\.0": lambda m, n: f"tail.0.{2 * int(m[1])}",
    r"tail": "tail.1",
}


def _rcan(conv: str, group: str, blocks: str, gate: str, tail: str) -> Callable[[Tensors], dict[str, Any]]:
    """What shapes tell.

    Args:
        conv: the first convolution.
        group: a pattern whose group is the number of a group of blocks.
        blocks: of the first group, likewise of a block.
        gate: the first layer of the first attention.
        tail: a pattern whose group is the number of a stage of the upsampler.
    """

    def describe(t: Tensors) -> dict[str, Any]:
        channels = len(t[conv])
        stages = [square_side(len(v), channels) for k, v in t.items() if re.fullmatch(tail, k)]
        scale = 1
        for factor in stages:
            scale *= factor
        return {
            "_target_": "sr.models.rcan.RCAN", "scale": scale, "num_blocks": count(t, group) + 1,
            "depth": count(t, blocks) + 1, "channels": channels, "reduction": channels // len(t[gate]),
        }  # fmt: skip

    return describe


# RRDBNet in three generations of names: BasicSR's, the authors' later and their first ones.
def _rrdb(body: str, dense: str, trunk: str | Callable[[re.Match[str], int], str], *around: str) -> Names:
    """The names: of a dense block's convolution, of the body's last one, and of head, enlargements and tail."""
    numbered: Names = {
        r"body\.(\d+)\.blocks\.(\d)\.convs\.(\d)": lambda m, n: (
            f"{body}.{m[1]}.{dense}{int(m[2]) + 1}.conv{int(m[3]) + 1}{'.0' if body.endswith('sub') else ''}"
        ),
        r"body\.\d+": trunk,
    }
    ours = ("head", r"enlarge\.0", r"enlarge\.1", r"tail\.0", r"tail\.2")
    return {**numbered, **dict(zip(ours, around, strict=True))}


RRDB = _rrdb("body", "rdb", "conv_body", "conv_first", "conv_up1", "conv_up2", "conv_hr", "conv_last")
RRDB_LATER = _rrdb("RRDB_trunk", "RDB", "trunk_conv", "conv_first", "upconv1", "upconv2", "HRconv", "conv_last")
RRDB_FIRST = _rrdb("1.sub", "RDB", lambda m, n: f"1.sub.{n - 1}", "0", "3", "6", "8", "10")


def _rrdbnet(head: str, block: str, grown: str) -> Callable[[Tensors], dict[str, Any]]:
    def describe(t: Tensors) -> dict[str, Any]:
        channels, colors = t[head].shape[:2]
        return {
            "_target_": "sr.models.rrdbnet.RRDBNet", "scale": 4 // square_side(colors, 3),
            "num_blocks": count(t, block) + 1, "channels": channels, "growth": len(t[grown]),
        }  # fmt: skip

    return describe


TABLE = "attn.relative_position_bias_table"  # our `positions`
LAYER = r"layers.\1.residual_group.blocks.\2"
SWINIR: Names = {
    r"head": "conv_first",
    r"norm1": "patch_embed.norm",
    r"norm2": "norm",
    r"smooth": "conv_after_body",
    r"tail\.0": "upsample.0",
    r"blocks\.(\d+)\.body\.(\d+)\.(norm[12])": rf"{LAYER}.\3",
    r"blocks\.(\d+)\.body\.(\d+)\.qkv": rf"{LAYER}.attn.qkv",
    r"blocks\.(\d+)\.body\.(\d+)\.project": rf"{LAYER}.attn.proj",
    r"blocks\.(\d+)\.body\.(\d+)\.mlp\.0": rf"{LAYER}.mlp.fc1",
    r"blocks\.(\d+)\.body\.(\d+)\.mlp\.2": rf"{LAYER}.mlp.fc2",
}
GROUP: Names = {r"blocks\.(\d+)\.body\.\d+": r"layers.\1.conv"}  # the 3x3 after its layers
POSITIONS: Names = {r"blocks\.(\d+)\.body\.(\d+)": LAYER}


def _swinir_name(key: str, model: SuperResolver) -> str:
    return _named(POSITIONS if key.endswith(".positions") else {**SWINIR, **GROUP})(key, model)


def _swinir(t: Tensors) -> dict[str, Any]:
    first = "layers.0.residual_group.blocks"
    positions = t[f"{first}.0.{TABLE}"]
    return {
        "_target_": "sr.models.swinir.SwinIR", "scale": square_side(len(t["upsample.0.weight"]), 3),
        "num_blocks": count(t, r"layers\.(\d+)\.") + 1,
        "depth": count(t, r"layers\.0\.residual_group\.blocks\.(\d+)\.") + 1, "channels": len(t["conv_first.weight"]),
        "heads": positions.shape[1], "window": (square_side(len(positions)) + 1) // 2,
    }  # fmt: skip


DENSE = "body.0.rdb1.conv1.weight", "RRDB_trunk.0.RDB1.conv1.weight", "1.sub.0.RDB1.conv1.0.weight"
BASELINE_FAMILIES = (
    Family(
        "RCAN of BasicSR", r"^body\.\d+\.residual_group\.\d+\.rcab\.",
        _rcan(
            "conv_first.weight", r"body\.(\d+)\.", r"body\.0\.residual_group\.(\d+)\.",
            "body.0.residual_group.0.rcab.3.attention.1.weight", r"upsample\.\d+\.weight",
        ),
        _named(RCAN), same_shape, 255.0,
    ),
    Family(
        "RCAN", r"^body\.\d+\.body\.\d+\.body\.3\.conv_du\.",
        _rcan(
            "head.0.weight", r"body\.(\d+)\.body\.0\.body\.", r"body\.0\.body\.(\d+)\.body\.",
            "body.0.body.0.body.3.conv_du.0.weight", r"tail\.0\.\d+\.weight",
        ),
        _named(RCAN_AUTHORS), same_shape, 255.0, ignored=r"^(sub|add)_mean\.",
    ),
    Family(
        "RRDBNet", r"^body\.\d+\.rdb\d\.", _rrdbnet("conv_first.weight", r"body\.(\d+)\.", DENSE[0]), _named(RRDB),
        same_shape,
    ),
    Family(
        "RRDBNet of ESRGAN", r"^RRDB_trunk\.", _rrdbnet("conv_first.weight", r"RRDB_trunk\.(\d+)\.", DENSE[1]),
        _named(RRDB_LATER), same_shape,
    ),
    Family(
        "RRDBNet of ESRGAN's first names", r"^1\.sub\.\d+\.RDB\d\.",
        _rrdbnet("0.weight", r"1\.sub\.(\d+)\.RDB", DENSE[2]), _named(RRDB_FIRST), same_shape,
    ),
    Family(
        "SwinIR-light", r"^layers\.\d+\.residual_group\.blocks\.", _swinir, _swinir_name, same_shape,
        ignored=r"\.(relative_position_index|attn_mask)$",
    ),
)  # fmt: skip
