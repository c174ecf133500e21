"""What a model is trained with, and which of its parameters learn at which rate."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from sr.errors import UserError
from sr.metrics.metric import Metric
from sr.metrics.protocol import DEFAULT, Protocol

Named = Mapping[str, nn.Parameter]


@dataclass
class Training:
    """Attached from the recipe, replaced at a new stage, never built by the architecture.

    Parameters are meant by patterns: a module's or parameter's name (`tail`, `body.0.weight`), with `*` for any
    letters (`*.norm`).

    Attributes:
        loss: (sr, hr, lr) -> {term: weighted value}.
        optimizer: takes parameters or groups of them.
        scheduler: takes the optimizer; stepped after each optimizer step.
        protocol: of validation.
        metrics: what is measured in it.
        groups: pattern -> options of the optimizer for these parameters; `lr_factor` multiplies its learning rate;
            None: no group.
        frozen: patterns of what does not learn, batch statistics included.
        trained: patterns of what alone learns; None for everything.
        accumulate: micro-batches per optimizer step.
        clip: norm to which gradients are clipped under manual optimization, where Lightning does not do it.
    """

    loss: nn.Module
    optimizer: Callable[..., torch.optim.Optimizer]
    scheduler: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
    protocol: Protocol
    groups: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    frozen: Sequence[str] = ()
    trained: Sequence[str] | None = None
    accumulate: int = 1
    clip: float | None = None
    metrics: Sequence[Metric] = DEFAULT

    @property
    def adversary(self) -> Any:
        """The adversarial term of the loss (sr.losses.Adversarial), or None."""
        return getattr(self.loss, "adversary", None)

    def build_optimizers(self, parameters: Named) -> list[torch.optim.Optimizer]:
        """The network's, then the discriminator's if there is one.

        Args:
            parameters: all that learn in some stage. Those that are frozen now are given to the optimizer too, without
                gradients, so that its state fits a later stage.
        """
        built = [self.optimizer(self.grouped(parameters))]
        if self.adversary is not None:
            built.append(self.adversary.optimizer(self.adversary.discriminator.parameters()))
        return built

    def learning(self, names: Iterable[str]) -> set[str]:
        """Those of the names that this training changes.

        Raises:
            UserError: a pattern means none of them, or nothing is left to learn.
        """
        names = list(names)
        chosen = set(names) if self.trained is None else _meant(names, self.trained, "trained")
        chosen -= _meant(names, self.frozen, "frozen")
        if not chosen:
            raise UserError(f"frozen={list(self.frozen)} and trained={self.trained} leave nothing to train")
        return chosen

    def grouped(self, parameters: Named) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer, those without options of their own first."""
        rest, groups = dict(parameters), []
        for pattern, options in self.groups.items():
            if options is None:  # taken out again, as `parameter_groups.flow=null`
                continue
            meant = _meant(rest, [pattern], "parameter_groups")
            own = {k: v for k, v in options.items() if k != "lr_factor"}
            if "lr_factor" in options:
                own["lr"] = options["lr_factor"] * getattr(self.optimizer, "keywords", {})["lr"]
            groups.append({"params": [rest.pop(name) for name in list(rest) if name in meant], **own})
        return [{"params": list(rest.values())}, *groups] if rest else groups


def _meant(names: Iterable[str], patterns: Iterable[str], key: str) -> set[str]:
    names, found = list(names), set()
    for pattern in patterns:
        hits = {n for n in names if fnmatchcase(n, pattern) or fnmatchcase(n, f"{pattern}.*")}
        if not hits:
            parts = dict.fromkeys(n.partition(".")[0] for n in names)
            raise UserError(f"{key}: the model has nothing named {pattern!r}. Its parts: {', '.join(parts)}")
        found |= hits
    return found
