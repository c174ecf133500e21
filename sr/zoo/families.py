"""What an architecture's published files look like: recognised by keys and shapes, mapped onto ours."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sr.errors import UserError, some
from sr.models.base import SuperResolver
from sr.runs.construct import construct
from sr.runs.torch_file import refuse_unusable

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Family:
    """The files of one architecture, of any size.

    Attributes:
        name: of the architecture, for messages.
        mark: a pattern that a key of such a file, and of no other family's, matches.
        describe: the model node (`_target_` and hyper-parameters) that the shapes tell; `scale` is absent where
            they do not, as in networks on enlarged images.
        theirs: our name of a tensor -> the authors'; one to one.
        convert: the authors' tensor and ours (for its shape) -> a tensor of our shape; a ValueError if it cannot be.
        white: in the values that the network computes with, 1 or 255.
        ignored: a pattern of keys that hold no weights of the network.
    """

    name: str
    mark: str
    describe: Callable[[Tensors], dict[str, Any]]
    theirs: Callable[[str, SuperResolver], str]
    convert: Callable[[Tensor, Tensor], Tensor]
    white: float = 1.0
    ignored: str = "^$"


def recognise(tensors: Tensors, families: Sequence[Family], source: object) -> tuple[Family, dict[str, Any]]:
    """The family that a file is of, and the model node that its shapes tell.

    Raises:
        UserError: of no known family, or without the tensors that tell its size.
    """
    for family in families:
        if any(re.search(family.mark, key) for key in tensors):
            try:
                return family, family.describe(tensors)
            except KeyError as error:
                raise UserError(
                    f"{source} looks like {family.name} but is not whole: it lacks {error.args[0]!r}, which tells its "
                    f"size. It holds {len(tensors)} tensors: {some(tensors)}"
                ) from error
            except (IndexError, ZeroDivisionError) as error:
                raise UserError(
                    f"{source} looks like {family.name}, but its tensors have other shapes: "
                    f"{some([f'{k} {tuple(v.shape)}' for k, v in tensors.items()])}"
                ) from error
    raise UserError(
        f"{source}: its {len(tensors)} tensors are of no architecture that the zoo knows "
        f"({', '.join(f.name for f in families)}). It holds {some(tensors)}"
    )


def build(family: Family, node: dict[str, Any], tensors: Tensors, source: object) -> SuperResolver:
    """The model of a node with a file's weights, in eval mode.

    Raises:
        UserError: with the keys, as the file names them, that are missing, unknown or of another shape.
    """
    tensors = {key: value for key, value in tensors.items() if not re.search(family.ignored, key)}
    model = construct(node, source, tensors)
    ours = model.state_dict()
    names = {family.theirs(key, model): key for key in ours}
    missing = sorted(names.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - names.keys())
    state, resized = {}, []
    for theirs in sorted(names.keys() & tensors.keys()):
        wanted = ours[names[theirs]]
        try:
            state[names[theirs]] = family.convert(tensors[theirs], wanted).to(wanted.dtype)
        except (RuntimeError, ValueError):
            resized.append(f"{theirs} is {tuple(tensors[theirs].shape)}, wanted what {tuple(wanted.shape)} holds")
    if missing or unknown or resized:
        lists = {"Missing": missing, "Unknown": unknown, "Other shape": resized}
        raise UserError(
            f"{source} is refused: it looks like {family.name} (scale {model.scales}) but does not match it."
            + "".join(f"\n  {label} ({len(keys)}): {some(keys, 12)}" for label, keys in lists.items() if keys)
        )
    refuse_unusable(tensors, {theirs: ours[own] for theirs, own in names.items()}, source)
    model.load_state_dict(state)
    return model.eval()


def same_shape(theirs: Tensor, ours: Tensor) -> Tensor:
    """The authors' tensor as it is; a ValueError where it is of another shape."""
    if theirs.shape != ours.shape:
        raise ValueError
    return theirs


def count(tensors: Tensors, pattern: str) -> int:
    """The largest number that the pattern's group takes among the keys; 0 for none."""
    return max((int(m[1]) for k in tensors if (m := re.match(pattern, k))), default=0)


def square_side(values: int, planes: int = 1) -> int:
    """The side of `planes` squares of that many values: a filter's, or the scale of a sub-pixel step."""
    side = math.isqrt(values // planes)
    if side * side * planes != values:
        raise IndexError(f"{values} values are no {planes} squares")
    return side
