"""Batch norms of a model, and the same model with each image's own statistics in place of the running ones."""

import copy
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

Model = TypeVar("Model", bound=nn.Module)


def batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """The batch norms of a network by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}


def with_own_statistics(model: Model) -> Model:
    """A copy in eval mode whose batch norms normalise each image with its own mean and variance over H and W.

    If an image's own statistics remove an artefact, its cause is that the population's do not fit the image (Wang,
    Dong and Shan, RepSR, ACM MM 2022, https://arxiv.org/abs/2205.05671, section on batch norm). The running
    statistics are as they were, but what is computed from them alone (`merge`, the frame of `NormPad`) stays the
    population's: such a copy is measured as it is, never merged.
    """
    own = copy.deepcopy(model).eval()
    for norm in batch_norms(own).values():
        norm.register_forward_hook(_normalise_alone)
    return own


def _normalise_alone(norm: nn.Module, inputs: tuple[Any, ...], _: Tensor) -> Tensor:
    assert isinstance(norm, _BatchNorm)
    return F.instance_norm(inputs[0], weight=norm.weight, bias=norm.bias, eps=norm.eps)
