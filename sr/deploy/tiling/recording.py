"""A network's own forward as a graph of operations."""

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor

from sr.deploy.tiling import operations, sums, windows
from sr.deploy.tiling.nodes import Node, Rule, Whole
from sr.deploy.tiling.picture import Picture
from sr.deploy.tiling.plan import ancestors
from sr.imaging.ensemble import VIEWS, totals
from sr.models.base import SuperResolver
from sr.own_modules import left_as_it_is

__all__ = ["operations", "recorded", "sums", "windows"]  # all but the second fill the table of known operations
log = logging.getLogger(__name__)


def recorded(
    model: SuperResolver,
    lr: Tensor,
    scale: int,
    device: torch.device,
    self_ensemble: bool = False,
    network: Callable[[Picture, int], Picture] | None = None,
) -> tuple[Node, Node]:
    """What the network does to a picture of this size: the node of the result, and the picture's.

    Args:
        model: in eval mode.
        lr: the picture; of its values nothing is read.
        scale: the factor.
        device: where it will run.
        self_ensemble: the mean over eight flips and turns.
        network: in place of the model's own.
    """
    source = Node(lr.shape, lr.dtype, [], Rule(), device=device)
    eager = copy.copy(model)
    eager.__dict__.pop("network", None)  # a compiled one
    if network is not None:
        eager.network = network  # type: ignore[method-assign, assignment]
    picture = Picture.of(source)
    with left_as_it_is(model.modules()):
        result = _ensemble(eager, picture, scale) if self_ensemble else eager(picture, scale)
    assert isinstance(result, Picture)
    unknown = {one.rule.name for one in ancestors([result.node]) if isinstance(one.rule, Whole) and one.finished}
    if unknown:
        log.info("made of the whole picture at once, as no way to make it of tiles is known: %s", ", ".join(unknown))
    return result.node, source


def _ensemble(eager: SuperResolver, picture: Picture, scale: int) -> Tensor:
    """`self_ensemble`, whose sum so far is kept where a view's features of the whole are: they can go."""
    for total, dtype in totals(eager(view(picture), scale) for view in VIEWS):
        assert isinstance(total, Picture)
        total.node.finished = total.node.rank > 0
        result = (total / 8).to(dtype)
    return result
