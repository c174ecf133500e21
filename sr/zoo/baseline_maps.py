"""Files of RCAN, RRDBNet (ESRGAN, Real-ESRGAN) and the lightweight SwinIR, of BasicSR and of the authors' own code."""

import re
from collections.abc import Callable
from typing import Any

from sr.models.base import SuperResolver
from sr.zoo.families import Family, Tensors, count, renamed, same_shape, square_side

# RCAN: the last of `body`, and of each group's, is a 3x3.
RCAN = renamed({
    r"head\.": "conv_first.",
    r"body\.(\d+)\.body\.(\d+)\.body\.([02])\.": r"body.\1.residual_group.\2.rcab.\3.",
    r"body\.(\d+)\.body\.(\d+)\.body\.3\.gate\.([02])\.": r"body.\1.residual_group.\2.rcab.3.attention.\3+1.",
    r"body\.(\d+)\.body\.\d+\.": r"body.\1.conv.", r"body\.\d+\.": "conv_after_body.",
    r"upsampler\.(\d+)\.0\.": r"upsample.\1*2.", r"tail\.": "conv_last.",
})  # fmt: skip
RCAN_AUTHORS = renamed({
    r"head\.": "head.0.", r"(body\.\d+\.body\.\d+\.body\.3\.)gate\.": r"\1conv_du.", r"body\.": "body.",
    r"upsampler\.(\d+)\.0\.": r"tail.0.\1*2.", r"tail\.": "tail.1.",
})  # fmt: skip


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
def _rrdb(dense: str, trunk: str, *around: str) -> dict[str, str]:
    """The names: of a dense block's convolution, of the body's last one, and of head, enlargements and tail."""
    ours = (r"head\.", r"enlarge\.0\.", r"enlarge\.1\.", r"tail\.0\.", r"tail\.2\.")
    inside = {r"body\.(\d+)\.blocks\.(\d)\.convs\.(\d)\.": f"{dense}.", r"body\.\d+\.": f"{trunk}."}
    return inside | {own: f"{theirs}." for own, theirs in zip(ours, around, strict=True)}


RRDB = renamed(_rrdb(
    r"body.\1.rdb\2+1.conv\3+1", "conv_body", "conv_first", "conv_up1", "conv_up2", "conv_hr", "conv_last"
))  # fmt: skip
RRDB_LATER = renamed(_rrdb(
    r"RRDB_trunk.\1.RDB\2+1.conv\3+1", "trunk_conv", "conv_first", "upconv1", "upconv2", "HRconv", "conv_last"
))  # fmt: skip


def _rrdb_first(key: str, model: SuperResolver) -> str:
    """Its layers are numbered; `model.` before all of them is taken off as every such prefix is."""
    blocks = len(model.body) - 1  # type: ignore[arg-type]
    return renamed(_rrdb(r"1.sub.\1.RDB\2+1.conv\3+1.0", f"1.sub.{blocks}", "0", "3", "6", "8", "10"))(key, model)


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
OURS = r"blocks\.(\d+)\.body\.(\d+)\."
SWINIR = renamed({
    r"head\.": "conv_first.", r"norm1\.": "patch_embed.norm.", r"norm2\.": "norm.", r"smooth\.": "conv_after_body.",
    r"tail\.0\.": "upsample.0.",
    OURS + "positions": f"{LAYER}.{TABLE}", OURS + r"(norm[12])\.": rf"{LAYER}.\3.",
    OURS + r"qkv\.": f"{LAYER}.attn.qkv.", OURS + r"project\.": f"{LAYER}.attn.proj.",
    OURS + r"mlp\.0\.": f"{LAYER}.mlp.fc1.", OURS + r"mlp\.2\.": f"{LAYER}.mlp.fc2.",
    OURS: r"layers.\1.conv.",  # the 3x3 after a group's layers
})  # fmt: skip


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
        RCAN, same_shape, 255.0,
    ),
    Family(
        "RCAN", r"^body\.\d+\.body\.\d+\.body\.3\.conv_du\.",
        _rcan(
            "head.0.weight", r"body\.(\d+)\.body\.0\.body\.", r"body\.0\.body\.(\d+)\.body\.",
            "body.0.body.0.body.3.conv_du.0.weight", r"tail\.0\.\d+\.weight",
        ),
        RCAN_AUTHORS, same_shape, 255.0, ignored=r"^(sub|add)_mean\.",
    ),
    Family(
        "RRDBNet", r"^body\.\d+\.rdb\d\.", _rrdbnet("conv_first.weight", r"body\.(\d+)\.", DENSE[0]), RRDB,
        same_shape,
    ),
    Family(
        "RRDBNet of ESRGAN", r"^RRDB_trunk\.", _rrdbnet("conv_first.weight", r"RRDB_trunk\.(\d+)\.", DENSE[1]),
        RRDB_LATER, same_shape,
    ),
    Family(
        "RRDBNet of ESRGAN's first names", r"^1\.sub\.\d+\.RDB\d\.",
        _rrdbnet("0.weight", r"1\.sub\.(\d+)\.RDB", DENSE[2]), _rrdb_first, same_shape,
    ),
    Family(
        "SwinIR-light", r"^layers\.\d+\.residual_group\.blocks\.", _swinir, SWINIR, same_shape,
        ignored=r"\.(relative_position_index|attn_mask)$",
    ),
)  # fmt: skip
