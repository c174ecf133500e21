"""What a checkpoint says about the training that it goes on with, looked at before Lightning takes it as it is."""

import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from sr.compose.keys import declared, refuse_out_of_range
from sr.compose.schema import TrainSchema
from sr.compose.words import Words
from sr.data.draws import STREAM
from sr.errors import UserError
from sr.models.base import SuperResolver, Training
from sr.models.bookkeeping import draw_on, drawn
from sr.runs import checkpoint
from sr.runs.composed import from_its_weights
from sr.runs.config import RECORD, flat, upgraded
from sr.training.budget import shrunk
from sr.training.plan import Stage
from sr.training.stage_configs import refuse_malformed, stage_configs

Content = Mapping[str, Any]
MOST = 2**40  # steps, and batches: more than anybody trains
LONGEST = 2**23  # steps of a stage whose schedule is followed to there, two or three seconds a million


def refuse_torn(resumed: Content, folder: Path, words: Words) -> None:
    """Look for what Lightning needs of a checkpoint, beside what `checkpoint.read` has looked at.

    Raises:
        UserError: it is not there; the file is damaged, or of another program.
    """
    version, states = "pytorch-lightning_version", ("optimizer_states", "lr_schedulers")
    if missing := [key for key in ("global_step", version, *states) if key not in resumed]:
        raise of_another_program(folder, words, f"no {missing[0]}")
    then, now = resumed.get("random", {}), drawn(torch.device("cpu"))
    for kind, state in then.items():
        wanted = now.get(kind, now["cpu"])
        if getattr(state, "dtype", None) != wanted.dtype or (kind in now and state.shape != wanted.shape):
            raise of_another_program(folder, words, "random")
    if not re.match(r"[2-9]\d*\.\d", str(resumed[version])):  # of older ones Lightning wants what is not here
        raise of_another_program(folder, words, version)
    for key in states:
        if not all(isinstance(state, dict) for state in resumed[key]):
            raise of_another_program(folder, words, key)
    if not all(isinstance(state.get("param_groups"), list) for state in resumed["optimizer_states"]):
        raise of_another_program(folder, words, "param_groups")
    averaged = resumed.get("averaging_state", {}).get("n_averaged", 0)
    counts = {"global_step": resumed["global_step"], "batches_seen": resumed["sr"].get("batches_seen", 0)}
    for key, count in (counts | {"n_averaged": averaged}).items():
        if not 0 <= count <= MOST:
            raise of_another_program(folder, words, f"{key} {count}")
    if any(count < 0 for count in _counts(resumed.get("loops", {}))):
        raise of_another_program(folder, words, "a count below 0 in loops")
    rates = [group["lr"] for group in _groups(resumed["optimizer_states"]) if "lr" in group]
    if not all(isinstance(rate, float | int | Tensor) for rate in rates):
        raise of_another_program(folder, words, "lr")
    try:
        draw_on({kind: state for kind, state in then.items() if kind != "cuda"}, torch.device("cpu"))
    except (RuntimeError, ValueError, OverflowError) as error:
        raise of_another_program(folder, words, "random") from error
    finally:
        draw_on(now, torch.device("cpu"))


def _groups(states: Sequence[Content]) -> list[Content]:
    """The groups of parameters of all optimizers."""
    listed = [groups for state in states if isinstance(groups := state.get("param_groups"), list)]
    return [group for groups in listed for group in groups if isinstance(group, dict)]


def _counts(value: Any) -> Iterator[int]:
    """All whole numbers in it."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _counts(inner)
    elif isinstance(value, int):
        yield value


def refuse_other_stream(resumed: Content, cfg: DictConfig, folder: Path, words: Words) -> None:
    """Look whether a run that is not finished would draw the samples that it was begun with.

    Args:
        resumed: the checkpoint that it would go on from.
        cfg: as composed, before its budget.
        folder: of the run.
        words: that were typed for it.

    Raises:
        UserError: an earlier version of this project began it, which drew others.
    """
    if resumed["sr"].get("stream", 1) == STREAM:
        return
    refuse_out_of_range(cfg)
    refuse_malformed(cfg.stages)
    end = stage_configs(shrunk(cfg, SuperResolver, words.keys), words.keys)[-1].end
    if resumed["global_step"] < end:
        raise UserError(
            f"{folder} was begun by a version of this project that drew other samples from the same seed. It is at "
            f"step {resumed['global_step']:,} of {end:,} and cannot go on as it would have: measure it as it is, or "
            f"begin a new run, of all its steps, from its weights: {from_its_weights(folder, words)}"
        )


def refuse_edited(record: DictConfig, config: Mapping[str, Any], resumed: Content, folder: Path, words: Words) -> None:
    """A run goes on with what it was begun with, whoever wrote something else into its record since.

    Args:
        record: as it stands in the folder; what follows from another key there is not looked at.
        config: what the run would go on with.
        resumed: the checkpoint that it would go on from.
        folder: of the run.
        words: that were typed for it.

    Raises:
        UserError: the checkpoint was trained with something else.
    """
    written, now = flat(OmegaConf.to_container(record, resolve=False)), flat(config)  # type: ignore[arg-type]
    then = flat(upgraded(resumed["sr"].get("config") or {}))
    if not then:
        return
    later = flat(OmegaConf.to_container(OmegaConf.structured(TrainSchema)))  # type: ignore[arg-type]
    for key in dict.fromkeys([*written, *then]):
        # A key that only one of them has is a later version's, with its default, or an empty node that has filled.
        same = now.get(key, later.get(key)) == then.get(key, later.get(key))
        empty = (key in now) != (key in then) and now.get(key, then.get(key)) in ({}, [])
        of_record = written.get(key) == now.get(key)  # and neither an interpolation nor what a budget made of it
        if not same and not empty and of_record and declared(key).fixed:
            was, found = (str(of[key]) if key in of else "missing" for of in (then, now))
            own = [f"{key}={found}"] if key in now and key in then else []
            raise UserError(
                f"{folder / RECORD} is not what the run was begun with: {key} was {was}, and is {found} there. "
                "Put the former one back, or begin a new run from its weights: "
                f"{from_its_weights(folder, words.then(Words(own)))}"
            )


def _schedules(setup: Training) -> list[Any]:
    return [setup.scheduler] + ([setup.adversary.scheduler] if setup.adversary else [])


def of_another_program(folder: Path, words: Words, found: str) -> UserError:
    """What to say of a checkpoint that Lightning cannot go on with."""
    return UserError(
        f"{checkpoint.locate(folder)} cannot be gone on with: what it says about the training, beside the weights, is "
        f"damaged or of another program ({found}). Its weights can be begun from: {from_its_weights(folder, words)}"
    )


def refuse_other_settings(stage: Stage, resumed: Content, folder: Path, words: Words, own: bool) -> None:
    """Each optimizer and schedule must have its state; and somebody else's checkpoint must train as its run says.

    What a checkpoint tells of its optimizers and schedules would win over both.

    Raises:
        UserError: it has other settings.
    """
    for key in ("optimizer_states", "lr_schedulers"):  # what has none would begin anew without a word
        if len(resumed[key]) != len(_schedules(stage.setup)):
            raise of_another_program(folder, words, f"{len(resumed[key])} {key} of {len(_schedules(stage.setup))}")
    states = resumed["optimizer_states"]
    moments = any("betas" in group or group.get("momentum") for group in _groups(states))
    if moments and resumed["global_step"] > stage.begin and not any(s.get("state") for s in states):
        raise of_another_program(folder, words, "no state of an optimizer")
    for schedule, state in zip(_schedules(stage.setup), resumed["lr_schedulers"], strict=False):
        kind = getattr(schedule, "func", None)
        if taken := next((k for k in state if k == "optimizer" or callable(getattr(kind, k, None))), None):
            raise of_another_program(folder, words, f"{taken} of a schedule")
    if own:
        return
    optimizers = stage.setup.build_optimizers(stage.model.learnable())
    schedules, done = _schedules(stage.setup), min(resumed["global_step"], stage.end) - stage.begin
    for optimizer, schedule, state, rates in zip(optimizers, schedules, states, resumed["lr_schedulers"], strict=False):
        known = flat(_stepped(schedule(optimizer), done).state_dict())
        pairs = [(known, flat(rates)), *zip(optimizer.param_groups, _groups([state]), strict=False)]
        for key, ours, other in ((k, v, theirs.get(k, v)) for now, theirs in pairs for k, v in now.items()):
            if key != "params" and not _alike(ours, other):
                raise UserError(
                    f"the checkpoint in {folder} trains with {key}={other}, but what its run was composed of says "
                    f"{ours}: somebody changed one of them. Its weights can be begun from: "
                    f"{from_its_weights(folder, words)}"
                )


def _stepped(schedule: LRScheduler, steps: int) -> LRScheduler:
    """A schedule that has just begun, so many steps later, and with it its optimizer's rates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer takes none
        for _ in range(min(steps, LONGEST)):
            schedule.step()
    return schedule


def _alike(ours: Any, other: Any) -> bool:
    """Whether two settings are the same, but for how a checkpoint keeps them."""
    if isinstance(ours, list | tuple) and isinstance(other, list | tuple):
        return len(ours) == len(other) and all(map(_alike, ours, other))
    numbers = [float(v) for v in (ours, other) if isinstance(v, float | int) or (torch.is_tensor(v) and v.numel() == 1)]
    if len(numbers) == 2:
        return math.isclose(*numbers, rel_tol=1e-6)
    return not numbers and not torch.is_tensor(other) and bool(ours == other)
