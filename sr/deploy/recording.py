"""A network's own forward as a graph of operations."""

import copy

from torch import Tensor

from sr.deploy import operations, sums
from sr.deploy.nodes import Node, Rule
from sr.deploy.picture import Picture
from sr.models.base import SuperResolver

__all__ = ["operations", "recorded", "sums"]  # the first and last fill the table of known operations


def recorded(model: SuperResolver, lr: Tensor, scale: int) -> tuple[Node, Node]:
    """The network's operations on a picture of this size: the node of the result, and the picture's."""
    source = Node(lr.shape, lr.dtype, [], Rule())
    eager = copy.copy(model)
    eager.__dict__.pop("network", None)  # a compiled one
    result = eager(Picture.of(source), scale)
    assert isinstance(result, Picture)
    return result.node, source
