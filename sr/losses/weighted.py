"""The sum that training minimises, each term under its own name."""

import functools
import logging
from collections.abc import Mapping
from typing import NotRequired, TypedDict

from torch import Tensor, nn

from sr.errors import UserError, told_once
from sr.losses.adversarial import Adversarial

log = logging.getLogger(__name__)


class Term(TypedDict):
    """One summand: loss(sr, hr) -> scalar, its weight, and the range it sees images in if it has one of its own.

    A loss with `uses_lr = True` is called with (sr, hr, lr).
    """

    weight: float
    loss: nn.Module
    value_range: NotRequired[float]


class WeightedSum(nn.Module):
    """Named, weighted losses, computed in the range in which the paper computed them.

    Args:
        terms: name -> {weight, loss, value_range}; a term that is null is left out.
        value_range: images arrive in [0, 1] and are compared in [0, value_range], so that published weights,
            eps and clipping thresholds mean what they meant. A term's own value_range goes before this one.

    Raises:
        UserError: no term is left, one is incomplete, or there is more than one adversary.
    """

    def __init__(self, terms: Mapping[str, Term | None], value_range: float = 1.0) -> None:
        super().__init__()
        given = {name: term for name, term in terms.items() if term is not None}
        if not given:
            raise UserError("the loss has no term left to minimise; choose one, for example loss=l1")
        for name, term in given.items():
            if missing := [key for key in ("weight", "loss") if term.get(key) is None]:
                raise UserError(f"loss.terms.{name} has no {' and no '.join(missing)}: a term is {{weight, loss}}")
        self.losses = nn.ModuleDict({name: term["loss"] for name, term in given.items()})
        self.weights = {name: float(term["weight"]) for name, term in given.items()}
        self.ranges = {name: float(term.get("value_range", value_range)) for name, term in given.items()}
        self.uses_lr = {name for name, loss in self.losses.items() if getattr(loss, "uses_lr", False)}
        if len(adversaries := [name for name, loss in self.losses.items() if isinstance(loss, Adversarial)]) > 1:
            raise UserError(
                f"the loss has the adversaries {', '.join(adversaries)}: there can be one. "
                f"Leave one out with loss.terms.{adversaries[-1]}=null"
            )

    @functools.cached_property
    def adversary(self) -> Adversarial | None:
        """The one adversarial term, whose discriminator is trained beside the network."""
        return next((loss for loss in self.losses.values() if isinstance(loss, Adversarial)), None)

    def forward(self, sr: Tensor, hr: Tensor, lr: Tensor | None = None) -> dict[str, Tensor]:
        """(B, C, H, W) output and target and (B, C, h, w) input in [0, 1] -> each term times its weight."""
        terms = {}
        for name, loss in self.losses.items():
            images = [sr, hr]
            if name in self.uses_lr:
                if lr is None:
                    raise UserError(f"loss.terms.{name} compares with the LR image too, but was given none")
                images.append(lr)
            if self.ranges[name] != 1:
                images = [self.ranges[name] * image for image in images]
            before = [image._version for image in images] if sr.requires_grad else []
            value = loss(*images)
            if not isinstance(value, Tensor) or value.ndim:
                found = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
                raise UserError(
                    f"loss.terms.{name} returns {found}: one number is wanted, as by .mean() without .item()"
                )
            if sr.requires_grad and not value.requires_grad and self.weights[name]:
                told_once(  # and not refused: there may be nothing to say of these images
                    log,
                    logging.WARNING,
                    f"warning: loss.terms.{name} has no gradient, so that nothing is learned from it in such a step: "
                    "if that is not meant, look for .detach(), .data, NumPy or torch.no_grad() on the way to it",
                )
            if before and before != [image._version for image in images]:
                raise UserError(
                    f"loss.terms.{name} changes the images that it is given, which the other terms see after it: write "
                    "x = x * 2 for x.mul_(2) or x *= 2"
                )
            terms[name] = value if self.weights[name] == 1 else self.weights[name] * value
        if sr.requires_grad and not any(value.requires_grad for value in terms.values()):
            raise UserError("no term of the loss has a gradient: nothing can be learned from " + ", ".join(terms))
        return terms
