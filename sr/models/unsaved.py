"""What a network computes with and no checkpoint would hold: it trains, and is another one when it is read again."""

import copy
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sr.errors import UserError, some, told_once
from sr.models.base import SuperResolver
from sr.own_modules import left_as_it_is

log = logging.getLogger(__name__)
SIDES, FRAMES, SEED = (24, 48, 64, 128), 3, 1_000  # of what a network is tried on
LOST = 1e-3  # of the largest value: what kernels round differently is less
OF_TORCH = {*vars(nn.Module())}  # what each module has of its own


def refuse_unsaved(model: SuperResolver, build: Callable[[], SuperResolver]) -> None:
    """Look for weights and random values in a network that its `state_dict()` does not hold, and that it computes with.

    Others are built by other seeds and given the same state. A network of somebody else's that draws as it computes is
    told, and so are weights that nothing trains.

    Args:
        model: as it was built; it is left as it is.
        build: makes another one with the same settings.

    Raises:
        UserError: there are some; named are the attributes, as far as they are tensors and numbers.
    """
    if lazy := [name for name, p in model.named_parameters() if is_lazy(p)]:
        raise UserError(f"{some(lazy)}: layers whose sizes are not known yet are not trained here: write the sizes out")
    known = {id(x) for x in (*model.modules(), *model.parameters())}
    others = {n: x for n, x in _hidden(model) if id(x) not in known and not isinstance(x, torch.jit.ScriptModule)}
    lost = [n for n, x in others.items() if isinstance(x, nn.Parameter) or (isinstance(x, nn.Module) and _holds(x))]
    with _random_left():
        first = _drawn_anew(build, 0)
    tries = 3 if _of_others(model) else 1  # three channels have six orders: another seed may draw the same one
    for more in range(1, tries + 1):
        with _random_left():
            anew = dict(_hidden(second := _drawn_anew(build, more)))
            drawn = [n for n, x in others.items() if not isinstance(x, nn.Module) and not _same(x, anew.get(n))]
            if not _make_others(model, first, second):
                continue
        if lost:
            raise UserError(
                f"{some(lost)}: these weights are no part of the network, as they stand in a Python list or dict: no "
                "optimizer trains them and no checkpoint holds them. Make it a torch.nn.ModuleList, ModuleDict or "
                "ParameterList"
            )
        raise UserError(
            f"{some(drawn) or type(getattr(model, 'inner', model)).__name__}: values are drawn when the network is "
            "built, and no checkpoint holds them: it would be another network when it is read again. Register them, as "
            "by self.register_buffer(name, values), or draw them by a seed of their own"
        )
    if learning := [n for n in lost if _learns(others[n])]:
        log.warning(
            f"warning: {some(learning)}: these weights are no part of the network, as they stand in a Python list or "
            "dict: no optimizer trains them, and no checkpoint holds them"
        )


@torch.no_grad()
def tell_lost(model: SuperResolver, read: Callable[[dict[str, Tensor]], SuperResolver], training: bool = False) -> None:
    """Warn where a network that trained makes other images than the one that its `state_dict` gives.

    A mean, a temperature or a number of steps that stands in a plain attribute is what it was at the beginning, there.

    Args:
        model: that trained, in eval mode, in which it was measured; it stays so.
        read: makes the network of a state.
        training: of modules of somebody else's, look at the images that it makes where it trains, too.
    """
    device, eager = next(model.parameters()).device, copy.copy(model)
    eager.__dict__.pop("network", None)  # a compiled one
    tried: tuple[Tensor, ...] = ()
    with _random_left(), left_as_it_is(model.modules()):
        for x in _images(model):
            with suppress(Exception):  # it wants a larger image
                tried = (x, *(eager(x.to(device), model.scales[0]) for _ in range(2)))
                break
    if not tried or not _same(*tried[1:]):
        return
    modes = {name: module.training for name, module in model.named_modules()}
    with _random_left():
        back_to_training(model, {})
        other = read(model.state_dict()).to(device).eval()
        back_to_training(model, modes)
        for name, module in model.named_modules():
            module.training = modes[name]
        made = other(tried[0].to(device), model.scales[0])
    lost = "read again, it makes other images. The figures at the end are of what is read"
    if not _differ(tried[1], made):
        lost = "a run that is resumed begins it anew, and goes on otherwise"
        if not (training and _of_others(model) and _differ(*(_trained(net, tried[0]) for net in (eager, other)))):
            return
    then, ours = dict(_hidden(other)), vars(SuperResolver(model.scales[0], model.colors))
    changed = [n for n, v in _hidden(model) if n in then and not _same(v, then[n])]
    named = [n for n in changed if re.split(r"[.\[]", n)[0] not in ours]
    told_once(
        log,
        logging.WARNING,
        f"warning: {some(named) or type(getattr(model, 'inner', model)).__name__}: changed while the network trained, "
        f"and no checkpoint holds it: {lost}. Register it, as by self.register_buffer(name, value)",
    )


def _differ(image: Tensor | None, other: Tensor | None) -> bool:
    return image is not None and other is not None and bool((image - other).abs().max() > LOST * image.abs().max())


def _trained(model: SuperResolver, x: Tensor) -> Tensor | None:
    """What a copy of a network makes where it trains, with what is drawn next; None where that is no image."""
    with _random_left(), suppress(Exception):
        made = copy.deepcopy(model).cpu().train()(x, model.scales[0])
        return made if isinstance(made, Tensor) else None
    return None


@torch.no_grad()
def as_measured(model: SuperResolver) -> dict[str, Tensor]:
    """The state of a copy of a network that made an image, as some merge branches into weights when they do."""
    own = copy.deepcopy(model).cpu().eval()
    own.__dict__.pop("network", None)  # a compiled one
    with _random_left(), left_as_it_is(model.modules()):
        for x in _images(model):
            with suppress(Exception):  # it wants a larger image
                own(x, model.scales[0])
                break
    return own.state_dict()


def back_to_training(model: nn.Module, modes: Mapping[str, bool]) -> None:
    """Tell modules with a `train` of their own, as for branches that they merge to be measured, that training goes on.

    Lightning sets their `training` alone after a validation, and checkpoints are written before that.

    Args:
        model: in eval mode.
        modes: what each module is to be told, by name; those that are not named, that they train.
    """
    for name, module in model.named_modules():
        if type(module).train is not nn.Module.train:
            module.train(modes.get(name, True))


def _images(model: SuperResolver) -> Iterator[Tensor]:
    """What a network is tried on, of several sides."""
    for side in SIDES:
        x = torch.linspace(0, 1, 3 * side * side).reshape(1, 3, side, side)
        yield x.expand(1, FRAMES, 3, side, side) if model.clips else x


def _of_others(model: SuperResolver) -> bool:
    """Whether modules of a network are neither this package's nor torch's."""
    return any(type(module).__module__.partition(".")[0] not in ("sr", "torch") for module in model.modules())


@torch.no_grad()
def _make_others(model: SuperResolver, first: SuperResolver, second: SuperResolver) -> bool:
    """Whether two networks that get all that `state_dict` holds of a third one make other images.

    What is computed from weights, as by `torch.nn.utils.weight_norm`, follows from them. Weights are moved a little, as
    what is multiplied by one that begins at 0 is not seen. False where it cannot be told.
    """
    moved = {name: x + 0.02 * torch.randn_like(x) for name, x in model.named_parameters() if x.is_floating_point()}
    state = {name: moved.get(name, x) for name, x in model.state_dict().items()}
    for x in _images(model):
        try:
            for net in (first, second):
                net.train().load_state_dict(state)  # what it had merged to be measured goes
            made, again, other = (net.eval()(x, net.scales[0]) for net in (first, first, second))
        except Exception:  # it wants a larger image; what it cannot compute at all is told where it is tried
            continue
        if not _same(made, again):
            told_once(
                log,
                logging.WARNING,
                f"warning: {type(getattr(model, 'inner', model)).__name__} makes another image of the same one each "
                "time, though it is not trained then: its figures cannot be had again. If that is not meant, give "
                "F.dropout and the like training=self.training",
            )
            return False
        return not _same(made, other)
    return False


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
    elif depth and isinstance(value, dict):
        for key, inner in value.items():
            yield from _within(inner, f"{name}[{key!r}]", depth - 1)
    elif depth and isinstance(value, list | tuple):
        for key, inner in enumerate(value):
            yield from _within(inner, f"{name}[{key}]", depth - 1)


def _holds(module: nn.Module) -> bool:
    return any(True for _ in (*module.parameters(), *module.buffers()))


def _learns(x: nn.Parameter | nn.Module) -> bool:
    return x.requires_grad if isinstance(x, nn.Parameter) else any(p.requires_grad for p in x.parameters())


@contextmanager
def _random_left() -> Iterator[None]:
    """What is drawn within is drawn again after it: a run is what it is without a look at it."""
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _drawn_anew(build: Callable[[], SuperResolver], more: int) -> SuperResolver:
    for seed in (torch.default_generator.manual_seed, np.random.seed, random.seed):
        seed(SEED + more)
    return build()


def _same(value: Any, other: Any) -> bool:
    """Whether two values are alike; what cannot be compared is taken to be."""
    try:
        if not isinstance(value, Tensor):
            return type(other) is type(value) and np.array_equal(value, other, equal_nan=isinstance(value, float))
        if not isinstance(other, Tensor) or other.shape != value.shape or other.dtype != value.dtype:
            return False
        a, b = (x.detach().cpu().to_dense() if x.layout != torch.strided else x.detach().cpu() for x in (value, other))
        return bool(((a == b) | (a.isnan() & b.isnan())).all())
    except (RuntimeError, TypeError, ValueError):
        return True
