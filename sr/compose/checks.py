"""Checks every `_target_` of a composed config against its signature, before anything is built."""

import inspect
import logging
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf, open_dict

from sr.errors import UserError, nearest, reason, user_error
from sr.own_modules import remember

log = logging.getLogger(__name__)
GIVEN = ("builtins", "collections.abc", "os", "pathlib")  # where the classes are whose values a config can give
CONTROL = {"_target_", "_partial_", "_args_", "_recursive_", "_convert_"}


def check_targets(cfg: dict[str, Any]) -> None:
    """Refuse unknown, missing and mistyped arguments anywhere in a resolved config.

    Raises:
        UserError: naming the key as the user would type it, and the nearest valid name.
    """
    for part in ({"model": cfg.get("model")}, cfg):  # as where a checkpoint names the network alone: registries grow
        for path, node in _targets(part, ""):
            _check(path, node)
        remember()
    for name, node in (cfg.get("callbacks") or {}).items():
        if isinstance(node, dict) and node and "_target_" not in node:
            raise UserError(
                f"callbacks.{name} is given {', '.join(f'{key}={value}' for key, value in node.items())}, but neither "
                f"the recipe nor what was typed has this callback. Type callbacks=[{name}] too, or leave it out"
            )


def built(node: Any, path: str, kind: type = object, **extra: Any) -> Any:
    """Instantiate a node of a config.

    Args:
        node: with a `_target_`, or a config that holds such.
        path: of its key, for the message.
        kind: of what it must be.
        **extra: for Hydra's `instantiate`.

    Raises:
        UserError: what is built refuses its settings.
    """
    if not OmegaConf.is_config(node) and not isinstance(node, dict):
        raise UserError(f"{path}={node}: settings with a _target_ are wanted here, or null for none")
    try:
        found = hydra.utils.instantiate(node, **extra)
    except Exception as error:
        raise user_error(error) or UserError(f"{path}: {reason(error.__cause__ or error)}") from error
    if not isinstance(found, kind):
        raise UserError(f"{path}: {node.get('_target_')} builds a {type(found).__name__}, which is no {kind.__name__}")
    return found


def without_leftovers(cfg: DictConfig, typed: Collection[str]) -> DictConfig:
    """The config without what a recipe said about its own loss, optimizer or schedule where another one was chosen.

    A recipe's keys are merged into whatever stands there: `scheduler=cosine` would get the `step_size` of its `halve`.
    Chosen by the user, or by an experiment or a row of an ablation, of which only their presence is known here.

    Args:
        cfg: as composed; a copy is changed.
        typed: what the user typed: names of groups and dotted keys.
    """
    cfg = cfg.copy()
    chosen_by_file = any(cfg.choices.get(key) for key in ("experiment", "ablation"))
    for group in ("loss", "optimizer", "scheduler"):
        if group not in typed and not chosen_by_file:
            continue
        node = cfg[group]
        if not OmegaConf.is_dict(node):
            raise UserError(f"{group}: {node}: a config of yours leaves nothing of it. Leave that line out")
        taken = _taken(str(node._target_))
        names = [str(k) for k in node if k not in CONTROL and taken is not None and k not in taken]
        if group == "loss":  # a weight for a term that is not there
            names += [
                f"terms.{k}" for k, term in node.get("terms", {}).items() if term is not None and "loss" not in term
            ]
        for name in names:
            path = f"{group}.{name}"
            if any(key == path or key.startswith(f"{path}.") for key in typed):
                continue
            parent, _, last = path.rpartition(".")
            with open_dict(cfg):
                del OmegaConf.select(cfg, parent)[last]
            log.info(f"{path} is the recipe's and does not apply to {group}={node._target_}: left out")
    return cfg


def with_own_patch(cfg: DictConfig, choices: Mapping[str, Any], typed: Collection[str]) -> DictConfig:
    """The config without a recipe's HR patch where what builds on it, an experiment or a recipe, says the LR patch.

    Composed, the HR patch would go before it: only the files tell which of the two was said last.

    Args:
        cfg: of a run that begins, as composed.
        choices: the options chosen from config groups.
        typed: what the user typed: names of groups and dotted keys.
    """
    if cfg.hr_patch_size is None or "hr_patch_size" in typed:
        return cfg
    loader: Any = GlobalHydra.instance().config_loader()
    for group in ("experiment", "recipe"):
        found = loader.repository.load_config(f"{group}/{choices[group]}") if choices.get(group) else None
        said = [key for key in ("patch_size", "hr_patch_size") if found is not None and key in found.config]
        if said == ["patch_size"]:
            cfg = cfg.copy()
            cfg.hr_patch_size = None
        if said:
            break
    return cfg


def _taken(target: str) -> list[str] | None:
    """The names of the arguments that a target takes; None where it takes any or hides them."""
    try:
        parameters = inspect.signature(get_object(target)).parameters
    except (HydraException, ValueError, ImportError, TypeError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return list(parameters)


def _targets(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if isinstance(node, dict) and "_target_" in node:
        if node["_target_"] is None:
            raise UserError(f"{path}._target_ names no class: type {path}._target_=my_package.Net")
        yield path, node
    for key, value in items:
        yield from _targets(value, f"{path}.{key}" if path else str(key))


def _check(path: str, node: dict[str, Any]) -> None:
    target = node["_target_"]
    try:
        called = get_object(target)
    except (HydraException, ValueError, ImportError) as error:
        raise UserError(f"{path}._target_={target}: there is no such class or function ({error})") from error
    function = called.__init__ if inspect.isclass(called) else called
    try:
        parameters = inspect.signature(called).parameters
        hints = typing.get_type_hints(function)
    except (ValueError, TypeError, NameError):
        return  # a builtin or a class that hides its signature: instantiating will tell
    given = {k: v for k, v in node.items() if k not in CONTROL}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    names = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for key, value in given.items():
        if key not in names and not takes_any:
            raise UserError(
                f"{path}.{key}: {target} has no such argument.{nearest(key, names)} It takes {', '.join(names)}"
            )
        if key in hints and not fits(value, hints[key]):
            mend = f". Type a list: {path}.{key}=[{value}]" if fits([value], hints[key]) else ""
            raise UserError(
                f"{path}.{key}={value!r}: {target} wants {_readable(hints[key])} here, not {type(value).__name__}{mend}"
            )
    if node.get("_partial_") or "_args_" in node:
        return
    missing = [n for n in names if parameters[n].default is inspect.Parameter.empty and n not in given]
    if missing:
        raise UserError(f"{path}: {target} also needs {', '.join(f'{path}.{n}=...' for n in missing)}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain config value can stand where `hint` is expected; unknown hints fit everything."""
    if isinstance(value, dict) and "_target_" in value:
        return True  # built before it is passed
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if {bool, int, float, str} & {*args}:  # beside these others, such as a tensor, are not what a config is to give
            args = tuple(a for a in args if not inspect.isclass(a) or a.__module__ in GIVEN)
        return any(fits(value, a) for a in args)
    if origin is typing.Literal:
        return value in args
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if inspect.isclass(origin) and issubclass(origin, tuple | list | typing.Sequence):
        inner = [a for a in args if a is not Ellipsis]
        return isinstance(value, list) and (len(inner) != 1 or all(fits(v, inner[0]) for v in value))
    if inspect.isclass(origin) and issubclass(origin, typing.Mapping):
        return isinstance(value, dict)
    return True


def _readable(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")
