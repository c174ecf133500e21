"""What is known about a config key beside its type and default."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Key:
    """Declared once; every list of keys follows from it. Without a word a key is the safest kind.

    Attributes:
        unit: of its value.
        result: what is trained or measured depends on it. False for workers, devices, loggers, places of files.
        resume: a resumed run may change it: its length, what is measured at its end. None: if the result does not
            depend on it.
        stage: a stage may change it.
        whole_run: typed, it is the beginning or the end of the whole run, or what its stages change parts of, and no
            stage's own.
        budget: "steps" where a budget scales it with the run's length, "size" where a budget makes it smaller.
        timing: how long an optimizer step takes depends on it.
        sets: typed, it is meant for every image set, those that are measured too.
        makes_lr: it says how LR is made, which LR is read, or how clips of it are shown to a network.
        named: typed, it is part of the names of a sweep's folder and rows.
        grows: a sweep that gets more of its values stays in its folder.
        one_line: runs that differ in it alone share a line of a sweep's table.
        own_column: it has a column of its own in a comparison.
        training: it says something only where something is trained.
        passed_on: it says something only where another value takes it, as `frames: ${frames}` of clips.
        beside: it says something only beside one of these, given at all or as one value: "hr", "mode=pairs".
        least, most: of its number, or of each number in its list.
    """

    unit: str = ""
    result: bool = True
    resume: bool | None = None
    stage: bool = False
    whole_run: bool = False
    budget: Literal["", "steps", "size"] = ""
    timing: bool = True
    sets: bool = False
    makes_lr: bool = False
    named: bool = True
    grows: bool = False
    one_line: bool = False
    own_column: bool = False
    training: bool = False
    passed_on: bool = False
    beside: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf

    @property
    def fixed(self) -> bool:
        """Whether a run keeps it from its beginning to its end."""
        return self.result if self.resume is None else not self.resume

    @property
    def of_contents(self) -> Key:
        """What it says about the keys below it."""
        inherited = ("result", "resume", "sets", "makes_lr", "named", "training", "beside")
        return Key(**{name: getattr(self, name) for name in inherited})


def key(default: Any = None, **known: Any) -> Any:
    """A field of a schema, with what is known about its key.

    Args:
        default: a value, or a class such as `dict` whose new instance it is.
        known: see `Key`.
    """
    metadata = {"key": Key(**known)}
    return (
        field(default_factory=default, metadata=metadata)
        if callable(default)
        else field(default=default, metadata=metadata)
    )
