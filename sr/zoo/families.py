"""What an architecture's published files look like: recognised by keys and shapes, mapped onto ours."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sr.errors import UserError, reason, some
from sr.layers.torch_file import refuse_unusable
from sr.models.base import SuperResolver
from sr.runs.construct import construct

Tensors = Mapping[str, Tensor]


class UnknownError(UserError):
    """A file of no family."""


class OtherError(Exception):
    """The keys are of a family, the shapes of another network."""


@dataclass(frozen=True)
class Family:
    """The files of one architecture, of any size.

    Attributes:
        name: of the architecture, for messages.
        mark: a pattern that a key of such a file, and of no other family's, matches; or several, each matched by a key.
        describe: the model node (`_target_` and hyper-parameters) that the shapes tell; `scale` is absent where
            they do not, as in networks on enlarged images, and several for a network that serves them. An OtherError
            where the shapes are of another network.
        theirs: our name of a tensor -> the authors'; one to one.
        convert: the authors' tensor and ours (for its shape) -> a tensor of our shape; a ValueError if it cannot be.
        white: in the values that the network computes with, 1 or 255.
        ignored: a pattern of keys that hold no weights of the network.
        untold: settings that no file tells, with their other values; one of these is taken where an unknown file does
            less than bicubic without, or better with another arithmetic.
        rewrite: the file's tensors -> those of the same function as our network computes it: what a file spells out
            that ours has built in, or the other way. A ValueError that says what is not ours.
    """

    name: str
    mark: str | tuple[str, ...]
    describe: Callable[[Tensors], dict[str, Any]]
    theirs: Callable[[str, SuperResolver], str]
    convert: Callable[[Tensor, Tensor], Tensor]
    white: float = 1.0
    ignored: str = "^$"
    rewrite: Callable[[Tensors], Tensors] | None = None
    untold: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def marks(self, tensors: Tensors) -> bool:
        """Whether a file has this family's keys."""
        patterns = (self.mark,) if isinstance(self.mark, str) else self.mark
        return all(any(re.search(pattern, key) for key in tensors) for pattern in patterns)


def recognise(tensors: Tensors, families: Sequence[Family], source: object) -> tuple[Family, dict[str, Any]]:
    """The family that a file is of, and the model node that its shapes tell.

    Raises:
        UnknownError: of no known family.
        UserError: without the tensors that tell its size.
    """
    for family in families:
        if family.marks(tensors):
            try:
                return family, family.describe(tensors)
            except OtherError:
                continue
            except KeyError as error:
                raise UserError(
                    f"{source} looks like {family.name} but is not whole: it lacks {error.args[0]!r}, which tells its "
                    f"size. It holds {len(tensors)} tensors: {some(tensors)}"
                ) from error
            except (IndexError, ZeroDivisionError, TypeError, ValueError, RuntimeError) as error:
                raise UserError(
                    f"{source} looks like {family.name}, but its tensors have other shapes: "
                    f"{some([f'{k} {tuple(v.shape)}' for k, v in tensors.items()])}"
                ) from error
    raise UnknownError(
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
    if family.rewrite is not None:
        refuse_unusable(tensors, tensors, source)
        try:
            tensors = family.rewrite(tensors)
        except ValueError as error:
            raise UserError(f"{source} is refused: it looks like {family.name}, but {error}") from error
        except (KeyError, IndexError, TypeError, RuntimeError) as error:
            told = f"{source} is refused: it looks like {family.name}, but its tensors have other names or shapes"
            raise UserError(f"{told} ({reason(error)})") from error
    names = {family.theirs(key, model): key for key in ours}
    missing = sorted(names.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - names.keys())
    state, resized = {}, []
    for theirs in sorted(names.keys() & tensors.keys()):
        wanted = ours[names[theirs]]
        try:
            state[names[theirs]] = family.convert(tensors[theirs], wanted).to(wanted.dtype)
        except (RuntimeError, ValueError, TypeError, IndexError):
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


def renamed(names: Mapping[str, str]) -> Callable[[str, SuperResolver], str]:
    """Our name of a tensor -> theirs, by patterns of its beginning, the first that fits.

    `2-2`, `0+1`, `4//2` and `2*2` in what that gives are counted.
    """

    def theirs(key: str, model: SuperResolver) -> str:
        for pattern, form in names.items():
            if found := re.match(pattern, key):
                return re.sub(r"(\d+)(-|\+|//|\*)(\d)(?=\.)", _counted, found.expand(form)) + key[found.end() :]
        return f"(ours: {key})"

    return theirs


def _counted(sum_: re.Match[str]) -> str:
    a, b = int(sum_[1]), int(sum_[3])
    return str({"-": a - b, "+": a + b, "//": a // b, "*": a * b}[sum_[2]])


def same_shape(theirs: Tensor, ours: Tensor) -> Tensor:
    """The authors' tensor as it is; a ValueError where it is of another shape."""
    if theirs.shape != ours.shape:
        raise ValueError
    return theirs


def reshaped(theirs: Tensor, ours: Tensor) -> Tensor:
    """As it is, or with axes of length one more or fewer: a linear layer's (C', C) as a 1x1 convolution's."""
    if (theirs.ndim == ours.ndim and theirs.shape != ours.shape) or theirs.squeeze().shape != ours.squeeze().shape:
        raise ValueError
    return theirs.reshape(ours.shape)


def count(tensors: Tensors, pattern: str) -> int:
    """The largest number that the pattern's group takes among the keys; 0 for none."""
    return max((int(m[1]) for k in tensors if (m := re.match(pattern, k))), default=0)


def stages_scale(first: Tensor, channels: int, stages: int) -> int:
    """The scale of a staged upsampler: 3 by its first convolution's width, else 2 for each stage."""
    return 3 if len(first) == 9 * channels else 2**stages


def square_side(values: int, planes: int = 1) -> int:
    """The side of `planes` squares of that many values: a filter's, or the scale of a sub-pixel step."""
    side = math.isqrt(values // planes)
    if side * side * planes != values:
        raise IndexError(f"{values} values are no {planes} squares")
    return side
