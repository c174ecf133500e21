"""Files of SPAN and DISP as their authors' PyTorch code writes them: merged convolutions alone, or the trained ones."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sr.models.base import SuperResolver
from sr.zoo.families import Family, Tensors, count, same_shape, square_side

# Our parts of a trained convolution -> the authors'; what it merges to is `eval_conv`.
CONV3XC = {"expand": "conv.0", "spatial": "conv.1", "squeeze": "conv.2", "skip": "sk"}
MERGED = "eval_conv"
SPAN = {"head": "conv_1", "smooth": "conv_2", "fuse": "conv_cat", "tail.0": "upsampler.0"}
SPAN |= {f"blocks.*.refine.{n}": f"block_*.c{n + 1}_r" for n in range(3)}
DISP = {"head": "conv_1", "smooth": "conv_2", "tail.0": "upsampler.0"}
DISP_ORDER = ("c1_r", "c2_r", "_extern_conv_block.0", "c3_r")
DISP |= {f"blocks.*.refine.{2 * n}": f"blocks.*.{theirs}" for n, theirs in enumerate(DISP_ORDER)}


def _named(
    layers: Mapping[str, str], plain: tuple[str, ...], first: int, reparam: bool
) -> Callable[[str, SuperResolver], str]:
    """Our name of a tensor -> the authors'.

    Args:
        layers: our layers -> theirs, `*` for the number of a block.
        plain: our layers that are no Conv3XC.
        first: their number of the first block.
        reparam: whether the file holds what is trained.
    """

    def theirs(key: str, model: SuperResolver) -> str:
        name, _, kind = key.rpartition(".")
        layer, _, part = name.rpartition(".") if name.rpartition(".")[2] in CONV3XC else (name, "", "")
        number = re.search(r"blocks\.(\d+)\.", layer)
        found = layers.get(re.sub(r"blocks\.\d+\.", "blocks.*.", layer), f"(ours: {layer})")
        found = found.replace("*", str(int(number[1]) + first)) if number else found
        inside = [] if layer in plain else [CONV3XC[part] if reparam else MERGED]
        return ".".join([found, *inside, kind])

    return theirs


def _sizes(t: Tensors, target: str, block: str, reparam: bool) -> dict[str, Any]:
    scale = square_side(len(t["upsampler.0.weight"]), 3)
    channels = t["upsampler.0.weight"].shape[1]
    node = {"_target_": f"sr.models.span.{target}", "scale": scale, "num_blocks": count(t, block)}
    return node | {"channels": channels, "reparam": reparam}


def _span(t: Tensors, reparam: bool) -> dict[str, Any]:
    return _sizes(t, "SPAN", r"block_(\d+)\.", reparam)


def _disp(t: Tensors, reparam: bool) -> dict[str, Any]:
    node = _sizes(t, "DISP", r"blocks\.(\d+)\.", reparam)
    return node | {"num_blocks": node["num_blocks"] + 1}  # they count from 0


def _families(
    name: str, block: str, describe: Callable[..., dict[str, Any]], layers: Mapping[str, str],
    plain: tuple[str, ...], first: int,
) -> list[Family]:  # fmt: skip
    """What is trained, beside which the authors' code keeps what it merged to last; and that alone."""
    made = []
    for told, reparam, mark, ignored in (
        (" as trained", True, CONV3XC["skip"], rf"\.{MERGED}\."),
        ("", False, MERGED, "^$"),
    ):
        theirs = _named(layers, plain, first, reparam)
        kind = partial(describe, reparam=reparam)
        made.append(Family(name + told, rf"^{block}\.{mark}\.", kind, theirs, same_shape, ignored=ignored))
    return made


SPAN_FAMILIES = (
    *_families("SPAN", r"block_\d+\.c1_r", _span, SPAN, ("fuse", "tail.0"), 1),
    *_families("DISP", r"blocks\.\d+\.c1_r", _disp, DISP, ("smooth", "tail.0"), 0),
)
