"""Builds the network that a file describes: only a SuperResolver, only of trusted code, no larger than it may be."""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from hydra.utils import get_object
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.nn.parameter import is_lazy

from sr.errors import UserError, reason
from sr.models.base import SuperResolver
from sr.own_modules import remember
from sr.runs.trust import how_to_trust, trusts

# Where a file holds no weights that tell: the largest published networks have a third of it.
MOST_TENSORS, MOST_VALUES = 5_000, 200_000_000
_BUILDING = threading.RLock()  # torch goes through its hooks while networks are built, and they are of all threads
MOST_OF_ANYTHING = 1024  # where no weight has that side: four times what the largest published networks have
# Layers that a file may name: none makes images larger, or copies layers, by what it is told.
LAYERS = re.compile(
    r"torch\.nn\.modules\.(activation|batchnorm|channelshuffle|conv|dropout|instancenorm|linear|"
    r"pixelshuffle)\.(?!\w*Transpose)\w+|torch\.nn\.modules\.normalization\.(Layer|Group|RMS)Norm"
)


def construct(node: Mapping[str, Any], source: object, state: Mapping[str, Tensor] | None = None) -> SuperResolver:
    """Build the architecture that a checkpoint names.

    Args:
        node: `_target_` and hyper-parameters.
        source: the file, for messages.
        state: the weights that are for it; a network far larger than they are is not built.

    Raises:
        UserError: of code that is not trusted, not a SuperResolver, or not to be built with these settings.
    """
    architecture = _architecture(str(node.get("_target_")), source)
    settings: dict[str, Any] = {k: v for k, v in node.items() if k not in ("_target_", "_convert_")}
    target = str(node["_target_"])
    own = any(map(trusts, [target, *(str(v["_target_"]) for v in settings.values() if _is_node(v))]))
    sides = {side for tensor in (state or {}).values() for side in tensor.shape}
    largest = max((n for n in _whole_numbers(settings.values()) if n not in sides), default=0)
    if largest > MOST_OF_ANYTHING and not trusts(target):
        raise UserError(
            f"checkpoint {source} is refused: no network of this project has {largest:,} of anything. If you added it "
            f"yourself, type trust=[{target.rpartition('.')[0]}]"
        )
    if any(str(k).startswith("_") for k in settings):
        raise UserError(f"checkpoint {source} is refused: its settings are not plain numbers, words and lists")
    try:
        # Called directly: Hydra's instantiate would build, so call, whatever a nested value names.
        with limited(source, state, own):
            return architecture(**{k: _setting(v, source) for k, v in settings.items()})
    except UserError:
        raise
    except Exception as error:  # whatever a constructor meets in settings that no config ever had
        raise UserError(f"checkpoint {source} does not fit {target} as installed here: {reason(error)}") from error


def _architecture(target: str, source: object) -> type[SuperResolver]:
    if not target.startswith("sr.") and not trusts(target):
        raise UserError(
            f"checkpoint {source} is refused: it is of {target}, which is not of this package, and no file says what "
            f"is imported. {how_to_trust([target])}"
        )
    found = None if target.startswith("sr.") and not target.startswith("sr.models.") else _imported(target, source)
    if not (isinstance(found, type) and issubclass(found, SuperResolver)) or found is SuperResolver:
        raise UserError(f"checkpoint {source} is refused: {target} is not a super-resolution model")
    return found


def _imported(target: str, source: object) -> Any:
    """What is called so, of code that is trusted."""
    try:
        found = get_object(target)
    except Exception as error:
        raise UserError(f"checkpoint {source} is of {target}, which is not installed here: {reason(error)}") from error
    remember()
    return found


def _is_node(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _setting(value: Any, source: object) -> Any:
    """A plain value as it is, and networks within it as Hydra builds them.

    Raises:
        UserError: it is neither.
    """
    if _is_node(value):
        made = _made_by(value, source)
        return made if value.get("_partial_") else made()
    if isinstance(value, list | tuple):
        return [_setting(v, source) for v in value]
    if isinstance(value, dict) and all(isinstance(k, str | int) and not str(k).startswith("_") for k in value):
        return {k: _setting(v, source) for k, v in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UserError(f"checkpoint {source} is refused: its settings are not plain numbers, words and lists")


def _made_by(node: Mapping[str, Any], source: object) -> partial[nn.Module]:
    """What makes a network within the network: a layer of torch.nn (`LAYERS`) or of trusted code.

    Raises:
        UserError: of other code, no `nn.Module`, or with settings that are none.
    """
    target = str(node["_target_"])
    layer = getattr(nn, target.removeprefix("torch.nn."), None)
    known = isinstance(layer, type) and LAYERS.fullmatch(f"{layer.__module__}.{layer.__qualname__}")
    if not known and not trusts(target):
        raise UserError(f"checkpoint {source} is refused: its network is {target}. {how_to_trust([target])}")
    found = _imported(target, source)
    settings = {k: v for k, v in node.items() if k not in ("_target_", "_partial_", "_convert_")}
    if not (isinstance(found, type) and issubclass(found, nn.Module)) or any(str(k).startswith("_") for k in settings):
        raise UserError(
            f"checkpoint {source} is refused: {target} is not a network with plain settings. Wanted is a class of "
            "layers, with each of its settings by its name"
        )
    return partial(found, **{k: _setting(v, source) for k, v in settings.items()})


def _whole_numbers(values: Iterable[Any]) -> Iterator[int]:
    """All that somebody may have told who is not trusted."""
    for value in values:
        if _is_node(value) and trusts(str(value["_target_"])):
            continue
        if isinstance(value, list | tuple | dict):
            yield from _whole_numbers(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, int):
            yield value


def _held(tensor: Tensor) -> int:
    """Values that a file really holds of a tensor: one may claim any shape that repeats a single value."""
    return min(tensor.numel(), tensor.untyped_storage().nbytes()) if tensor.device.type == "cpu" else 0


@contextmanager
def limited(source: object, state: Mapping[str, Tensor] | None = None, own: bool = False) -> Iterator[None]:
    """Stop a constructor that makes far more layers or parameters than there are weights for, before they fill memory.

    Some make more than they keep: blocks that are merged, layers that are replaced, the first stage of a backbone.

    Args:
        source: the file or run, for messages.
        state: the weights that are for it; None where they are not at hand.
        own: it is of the user's own code, which may make whatever a published network has.
    """
    tensors = MOST_TENSORS if state is None else 100 + 4 * len(state)
    values = MOST_VALUES if state is None else 1_000_000 + 4 * sum(_held(t) for t in state.values())
    if own:
        tensors, values = max(tensors, MOST_TENSORS), max(values, MOST_VALUES)
    made, thread = {"tensors": 0, "values": 0, "layers": 0}, threading.get_ident()

    def count(parameter: Tensor | None) -> None:
        if threading.get_ident() != thread:  # what others build is none of it
            return
        if parameter is not None:
            made["tensors"] += 1
            made["values"] += 0 if is_lazy(parameter) else parameter.numel()
        if made["tensors"] > tensors or made["values"] > values or made["layers"] > 20 * tensors:
            known = "any that is published" if state is None else "the weights in it"
            raise UserError(f"{source} is refused: its settings ask for a network far larger than {known}")

    def layer(*_: Any) -> None:
        made["layers"] += threading.get_ident() == thread
        count(None)

    with _BUILDING:
        handles = [
            hooks.register_module_parameter_registration_hook(lambda owner, name, tensor: count(tensor)),
            hooks.register_module_buffer_registration_hook(lambda owner, name, tensor: count(tensor)),
            hooks.register_module_module_registration_hook(layer),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
