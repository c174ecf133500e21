"""What a checkpoint says about the training that it goes on with, looked at before Lightning takes it as it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sr.compose.words import Words, pasted, path_word
from sr.errors import UserError
from sr.models.base import Training
from sr.runs import checkpoint
from sr.runs.composed import from_its_weights
from sr.training.plan import Stage

Content = Mapping[str, Any]


def refuse_malformed(resumed: Content, folder: Path) -> None:
    """Look at what a checkpoint says about the training, before Lightning takes it as it is.

    Raises:
        UserError: it is damaged, or of another program.
    """
    tag = resumed["sr"].get("stage", {"number": 1, "name": "", "begin": 0})
    kinds = {"number": int, "name": str, "begin": int}
    if not all(isinstance(tag.get(key, kind()), kind) for key, kind in kinds.items()):
        raise of_another_program(folder, "stage")
    if not isinstance(resumed.get("pytorch-lightning_version"), str):
        raise of_another_program(folder, "no pytorch-lightning_version")
    for key in ("optimizer_states", "lr_schedulers"):
        states = resumed.get(key)
        if not isinstance(states, list) or not all(isinstance(state, dict) for state in states):
            raise of_another_program(folder, key)


def _schedules(setup: Training) -> list[Any]:
    return [setup.scheduler] + ([setup.adversary.scheduler] if setup.adversary else [])


def of_another_program(folder: Path, found: str) -> UserError:
    """What to say of a checkpoint that Lightning cannot go on with."""
    again = pasted("train", [path_word("init_from", folder)])
    return UserError(
        f"{checkpoint.locate(folder)} cannot be gone on with: what it says about the training, beside the weights, is "
        f"damaged or of another program ({found}). Its weights can be begun from: {again}"
    )


def refuse_other_settings(stage: Stage, resumed: Content, folder: Path, words: Words, own: bool) -> None:
    """A schedule's state holds no methods; and somebody else's checkpoint must train as its run says.

    What a checkpoint tells of its optimizers and schedules would win over both.

    Raises:
        UserError: it has other settings.
    """
    for schedule, state in zip(_schedules(stage.setup), resumed["lr_schedulers"], strict=False):
        kind = getattr(schedule, "func", None)
        if method := next((key for key in state if callable(getattr(kind, key, None))), None):
            raise of_another_program(folder, f"{method} of a schedule")
    if own:
        return
    optimizers = stage.setup.build_optimizers(stage.model.learnable())
    schedules = _schedules(stage.setup)
    stored = zip(resumed.get("optimizer_states", []), resumed.get("lr_schedulers", []), strict=False)
    for optimizer, schedule, (state, rates) in zip(optimizers, schedules, stored, strict=False):
        full = getattr(schedule(optimizer), "base_lrs", [])
        found = [("base_lrs", full, rates.get("base_lrs", full))]
        for group, theirs in zip(optimizer.param_groups, state.get("param_groups", []), strict=False):
            found += [
                (key, value, theirs.get(key, value)) for key, value in group.items() if key not in ("params", "lr")
            ]
        for key, ours, other in found:
            if (list(ours) if isinstance(ours, tuple) else ours) != (
                list(other) if isinstance(other, tuple) else other
            ):
                raise UserError(
                    f"the checkpoint in {folder} trains with {key}={other}, but what its run was composed of says "
                    f"{ours}: somebody changed one of them. Its weights can be begun from: "
                    f"{from_its_weights(folder, words)}"
                )
