"""What a network computes with and no checkpoint would hold: it trains, and is another one when it is read again."""

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sr.errors import UserError, some, told_once
from sr.models.base import SuperResolver

log = logging.getLogger(__name__)
SIDE, FRAMES = 24, 3  # of what a network is tried on
OF_TORCH = {*vars(nn.Module())}  # what each module has of its own


def refuse_unsaved(model: SuperResolver, build: Callable[[], SuperResolver]) -> None:
    """Look for weights and random values in a network that its `state_dict()` does not hold.

    A network of somebody else's that draws as it computes is told.

    Args:
        model: as it was built.
        build: makes another one with the same settings; drawn are other random values.

    Raises:
        UserError: there are some; named are the attributes, as far as they are tensors.
    """
    if lazy := [name for name, p in model.named_parameters() if is_lazy(p)]:
        raise UserError(f"{some(lazy)}: layers whose sizes are not known yet are not trained here: write the sizes out")
    known = {id(x) for x in (*model.modules(), *model.parameters())}
    found = dict(_hidden(model))
    others = {name: value for name, value in found.items() if id(value) not in known}
    weights = {n: x for n, x in others.items() if isinstance(x, nn.Parameter | nn.Module)}
    if lost := [n for n, x in weights.items() if isinstance(x, nn.Parameter) or _holds(x)]:
        raise UserError(
            f"{some(lost)}: these weights are no part of the network, as they stand in a Python list or dict: no "
            "optimizer trains them and no checkpoint holds them. Make it a torch.nn.ModuleList, ModuleDict or "
            "ParameterList"
        )
    strange = any(type(module).__module__.partition(".")[0] not in ("sr", "torch") for module in model.modules())
    for more in (1, 2, 3) if strange else (1,):  # three channels have six orders: another seed may draw the same one
        anew = dict(_hidden(other := _drawn_anew(build, more)))
        drawn = [n for n, x in others.items() if not isinstance(x, nn.Module) and not _same(x, anew.get(n))]
        if (drawn or strange) and _makes_another(model, other):
            raise UserError(
                f"{some(drawn) or type(model).__name__}: values are drawn when the network is built, and no checkpoint "
                "holds them: it would be another network when it is read again. Register them, as by "
                "self.register_buffer(name, values), or draw them by a seed of their own"
            )


@torch.no_grad()
def _makes_another(model: SuperResolver, other: SuperResolver) -> bool:
    """Whether a network that gets all that `state_dict` holds of the first one makes another image than that.

    What is computed from weights, as by `torch.nn.utils.weight_norm`, follows from them. False where it cannot be told.
    """
    x = torch.linspace(0, 1, 3 * SIDE * SIDE).reshape(1, 3, SIDE, SIDE)
    x = x.expand(1, FRAMES, 3, SIDE, SIDE) if model.clips else x
    training = [module.training for module in model.modules()]
    try:
        other.load_state_dict(model.state_dict())
        with torch.random.fork_rng(devices=[]):
            first, again, made = (net.eval()(x, net.scales[0]) for net in (model, model, other))
    except Exception:  # a network of whatever kind: what it cannot compute is told where it is tried
        return False
    finally:
        for module, was in zip(model.modules(), training, strict=True):
            module.training = was
    if not torch.equal(first, again):
        told_once(
            log,
            logging.WARNING,
            f"warning: {type(getattr(model, 'inner', model)).__name__} makes another image of the same one each time, "
            "though it is not trained then: its figures cannot be had again. If that is not meant, give F.dropout and "
            "the like training=self.training",
        )
        return False
    return not torch.equal(first, made)


def _hidden(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Modules, tensors and numbers in attributes of which `state_dict` knows nothing, by name."""
    for name, module in model.named_modules():
        own = {key: value for key, value in vars(module).items() if key not in OF_TORCH}
        own |= {key: module._buffers[key] for key in module._non_persistent_buffers_set}
        for key, value in own.items():
            yield from _within(value, f"{name}.{key}".lstrip("."), 4)


def _within(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, nn.Module | Tensor | np.ndarray | int | float | complex):
        yield name, value
    elif depth and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _within(inner, f"{name}[{key!r}]", depth - 1)
    elif depth and isinstance(value, Sequence) and not isinstance(value, str | bytes | range):
        for key, inner in enumerate(value):
            yield from _within(inner, f"{name}[{key}]", depth - 1)


def _holds(module: nn.Module) -> bool:
    return any(True for _ in (*module.parameters(), *module.buffers()))


def _drawn_anew(build: Callable[[], SuperResolver], more: int) -> SuperResolver:
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            for seed in (torch.default_generator.manual_seed, np.random.seed, random.seed):
                seed(torch.initial_seed() % 2**31 + more)
            return build()
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _same(value: Any, other: Any) -> bool:
    if not isinstance(value, Tensor):
        return type(other) is type(value) and np.array_equal(value, other, equal_nan=isinstance(value, float))
    if not isinstance(other, Tensor) or other.shape != value.shape or other.dtype != value.dtype:
        return False
    return torch.equal(value.cpu(), other.cpu()) or bool((value.isnan() & other.isnan()).all())
