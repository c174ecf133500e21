"""Files of EDVR and BasicVSR as BasicSR and mmagic write them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from sr.models.base import SuperResolver
from sr.models.edvr import LEVELS
from sr.zoo.families import Family, Tensors, count, renamed, same_shape

# Patterns of our names -> BasicSR's and mmagic's, whose convolutions with an activation are called `.conv`; the first
# that fits is meant.
Names = Mapping[str, tuple[str, str]]
TAIL = {
    r"upsampler\.0\.0\.": ("upconv1.", "upsample1.upsample_conv."),
    r"upsampler\.2\.0\.": ("upconv2.", "upsample2.upsample_conv."),
    r"tail\.0\.": ("conv_hr.", "conv_hr."),
    r"tail\.2\.": ("conv_last.", "conv_last."),
}
SPYNET = r"spynet.basic_module.\1.basic_module."
BASICVSR: Names = TAIL | {
    r"flow\.levels\.(\d)\.(\d)\.": (rf"{SPYNET}\2.", rf"{SPYNET}\2//2.conv."),
    r"(backward|forward)_branch\.0\.": (r"\1_trunk.main.0.", r"\1_resblocks.main.0."),
    r"(backward|forward)_branch\.(\d+)\.": (r"\1_trunk.main.2.\2-2.", r"\1_resblocks.main.2.\2-2."),
    r"fusion\.0\.": ("fusion.", "fusion."),
}  # fmt: skip
PCD = {"compare": "offset_conv1", "refine": "offset_conv2", "settle": "offset_conv3", "blend": "feat_conv"}
TSA = {
    "fuse.0": "feat_fusion", "squeeze.0": "spatial_attn1", "halved.0": "spatial_attn2", "half_own.0": "spatial_attn_l1",
    "quarter.0": "spatial_attn_l2", "quarter.2": "spatial_attn_l3", "half_smooth.0": "spatial_attn3",
    "join.0": "spatial_attn4", "add.0.0": "spatial_attn_add1",
}  # fmt: skip
TSA_PLAIN = {
    "embed_centre": "temporal_attn1", "embed": "temporal_attn2", "mask": "spatial_attn5", "add.1": "spatial_attn_add2",
}  # fmt: skip


def _edvr_names() -> Names:
    align = {}
    for level in range(LEVELS):
        for ours, theirs in PCD.items():
            own = f"{theirs}.l{level + 1}."
            align[rf"align\.{ours}\.{level}\."] = (f"pcd_align.{own}", f"pcd_alignment.{own}conv.")
        moves = f"dcn_pack.l{level + 1}."
        align |= _moved(rf"align\.move\.{level}\.", f"pcd_align.{moves}", f"pcd_alignment.{moves}")
    for ours, theirs in {r"0\.": "cas_offset_conv1.", r"2\.": "cas_offset_conv2."}.items():
        align[rf"align\.last_compare\.{ours}"] = (f"pcd_align.{theirs}", f"pcd_alignment.{theirs}conv.")
    align |= _moved(r"align\.last_move\.", "pcd_align.cas_dcnpack.", "pcd_alignment.cas_dcnpack.")
    fusion = {rf"fusion\.{re.escape(a)}\.": (f"fusion.{b}.", f"fusion.{b}.conv.") for a, b in TSA.items()}
    fusion |= {rf"fusion\.{re.escape(a)}\.": (f"fusion.{b}.",) * 2 for a, b in TSA_PLAIN.items()}
    halves = {
        rf"halve\.{level}\.{2 * n}\.": (f"conv_l{level + 2}_{n + 1}.", f"feat_l{level + 2}_conv{n + 1}.conv.")
        for level in range(LEVELS - 1)
        for n in (0, 1)
    }
    return TAIL | align | fusion | halves | {
        r"fusion\.": ("fusion.", "fusion."),
        r"head\.0\.": ("conv_first.", "conv_first."),
        r"head\.(\d+)\.": (r"feature_extraction.\1-2.", r"feature_extraction.\1-2."),
        r"body\.": ("reconstruction.", "reconstruction."),
    }  # fmt: skip


def _moved(ours: str, *theirs: str) -> dict[str, tuple[str, str]]:
    """A deformable convolution."""
    offset, whole = (tuple(f"{name}{part}" for name in theirs) for part in ("conv_offset.", ""))
    return {ours + r"offset\.": offset, ours: whole}  # type: ignore[dict-item]


def _names(names: Names, which: int) -> Callable[[str, SuperResolver], str]:
    return renamed({pattern: forms[which] for pattern, forms in names.items()})


def _basicvsr(branch: str) -> Callable[[Tensors], dict[str, Any]]:
    def describe(t: Tensors) -> dict[str, Any]:
        blocks = count(t, rf"{branch}\.main\.2\.(\d+)\.") + 1
        channels = len(t[f"{branch}.main.0.weight"])
        return {"_target_": "sr.models.basicvsr.BasicVSR", "scale": 4, "num_blocks": blocks, "channels": channels}

    return describe


def _edvr(t: Tensors) -> dict[str, Any]:
    channels, tsa = len(t["conv_first.weight"]), "fusion.temporal_attn1.weight" in t
    fusions = "fusion.feat_fusion.weight", "fusion.feat_fusion.conv.weight", "fusion.weight"
    fused = t[next((k for k in fusions if k in t), fusions[-1])]
    offsets = next((v for k, v in t.items() if k.endswith("cas_dcnpack.conv_offset.weight")), None)
    return {
        "_target_": "sr.models.edvr.EDVR", "scale": 4, "num_blocks": count(t, r"reconstruction\.(\d+)\.") + 1,
        "channels": channels, "frames": fused.shape[1] // channels, "tsa": tsa, "pcd": offsets is not None,
        "groups": 8 if offsets is None else len(offsets) // 27,
    }  # fmt: skip


EDVR = _edvr_names()
BUFFERS = r"^spynet\.(mean|std)$"  # ImageNet's colours, which are no weights
VIDEO_FAMILIES = (
    Family(
        "BasicVSR", r"^forward_trunk\.", _basicvsr("forward_trunk"), _names(BASICVSR, 0), same_shape, ignored=BUFFERS
    ),
    Family(
        "BasicVSR of mmagic", r"^forward_resblocks\.", _basicvsr("forward_resblocks"), _names(BASICVSR, 1), same_shape,
        ignored=BUFFERS,
    ),
    Family("EDVR", r"^conv_l2_1\.", _edvr, _names(EDVR, 0), same_shape),
    Family("EDVR of mmagic", r"^feat_l2_conv1\.", _edvr, _names(EDVR, 1), same_shape),
)  # fmt: skip


def flow_network(tensors: Tensors) -> dict[str, Tensor] | None:
    """The tensors of a file of SPyNet alone under BasicVSR's names; None for another file."""
    found = {
        key: re.fullmatch(r"basic_module\.(\d)\.basic_module\.(\d)(\.conv)?\.(weight|bias)", key) for key in tensors
    }
    if not found or not all(m or key in ("mean", "std") for key, m in found.items()):
        return None
    return {
        f"flow.levels.{m[1]}.{int(m[2]) * (2 if m[3] else 1)}.{m[4]}": tensors[key] for key, m in found.items() if m
    }
