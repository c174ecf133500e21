"""The sum that training minimises, each term under its own name."""

import functools
import inspect
import logging
from collections.abc import Mapping
from typing import NotRequired, TypedDict

import torch
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
        for name, loss in self.losses.items():
            _refuse_other_order(name, loss)
        self._looked = False
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
        first = sr.requires_grad and not (self._looked or sr.is_meta)  # a closer look takes time, and waits for a GPU
        self._looked |= first
        for name, loss in self.losses.items():
            images = [sr, hr]
            if name in self.uses_lr:
                if lr is None:
                    raise UserError(f"loss.terms.{name} compares with the LR image too, but was given none")
                images.append(lr)
            if self.ranges[name] != 1:
                images = [self.ranges[name] * image for image in images]
            before = [image._version for image in images] if sr.requires_grad else []
            copies = [image.detach().clone() for image in images] if first else []
            value = loss(*images)
            if not isinstance(value, Tensor) or value.ndim:
                found = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
                raise UserError(
                    f"loss.terms.{name} returns {found}: one number is wanted, as by .mean() without .item()"
                )
            written = any(_differ(own, image.detach()) for own, image in zip(copies, images, strict=first))
            if written or (before and before != [image._version for image in images]):
                raise UserError(
                    f"loss.terms.{name} changes the images that it is given, which the other terms see after it: write "
                    "x = x * 2 for x.mul_(2) or x *= 2"
                )
            if sr.requires_grad and self.weights[name]:
                _tell_of_gradient(name, value, sr, first)
            terms[name] = value if self.weights[name] == 1 else self.weights[name] * value
        if sr.requires_grad and not any(value.requires_grad for value in terms.values()):
            raise UserError("no term of the loss has a gradient: nothing can be learned from " + ", ".join(terms))
        return terms


def _differ(own: Tensor, image: Tensor) -> bool:
    return not torch.equal(own.nan_to_num(), image.nan_to_num())  # of a network that gives NaN others tell


def _refuse_other_order(name: str, loss: nn.Module) -> None:
    order = ("sr", "hr", "lr")
    try:
        taken = list(inspect.signature(loss.forward).parameters.values())[:3]
    except (TypeError, ValueError):
        return
    names = [parameter.name for parameter in taken]
    if any(called in order and called != own for called, own in zip(names, order, strict=False)):
        raise UserError(
            f"loss.terms.{name}: forward({', '.join(names)}) of {type(loss).__name__} has its images in another order: "
            "they are given as (sr, hr), with uses_lr = True as (sr, hr, lr)"
        )
    if names[2:] == ["lr"] and taken[2].default is taken[2].empty and not getattr(loss, "uses_lr", False):
        raise UserError(f"loss.terms.{name}: forward of {type(loss).__name__} takes lr: give the class uses_lr = True")


def _tell_of_gradient(name: str, value: Tensor, sr: Tensor, first: bool) -> None:
    """What no gradient comes from is told, and not refused: there may be nothing to say of these images."""
    if not value.requires_grad:
        told_once(
            log,
            logging.WARNING,
            f"warning: loss.terms.{name} has no gradient, so that nothing is learned from it in such a step: "
            "if that is not meant, look for .detach(), .data, NumPy or torch.no_grad() on the way to it",
        )
    elif first and not _moves(value, sr):
        told_once(
            log,
            logging.WARNING,
            f"warning: the gradient of loss.terms.{name} is 0 at every pixel of the first step, so that nothing is "
            "learned from it: if that is not meant, look for .round(), .clamp(), .sign() or comparisons",
        )


def _moves(value: Tensor, sr: Tensor) -> bool:
    """Whether a term has a gradient that is not 0 at some pixel of the output; True where that cannot be told."""
    try:  # scaled, as half precision knows no small numbers
        (gradient,) = torch.autograd.grad(value.float() * 2**16, sr, retain_graph=True, allow_unused=True)
    except RuntimeError:  # of a function whose way back can be taken once
        return True
    return gradient is not None and bool(gradient.any())
