"""A network of another repository, an `nn.Module` as it is, trained and measured as ours are."""

import copy
from collections.abc import Callable, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError, reason
from sr.models.base import SuperResolver

ORDERS = ("rgb", "bgr")
TRIED = 48  # pixels a side of the image that a network is tried on


class Module(SuperResolver):
    """Any `nn.Module` that maps LR to SR, given what it takes.

    Args:
        scale: enlargement factor of the network; that its constructor is told the same is the user's to see to.
        network: makes it, as a class whose arguments are given does.
        colors: 3 for a network on RGB, 1 for one on Y.
        value_range: white in its values, 1 or 255.
        mean: colour in 0-1 that is taken off before and put back after, one value for each of `colors`; None: none.
        order: of its channels, rgb or bgr.
        multiple: its sides are multiples of this; smaller and other ones are padded by repeating the edge, and cut.

    Raises:
        UserError: no network is named, what is named is no `nn.Module`, or settings that do not fit each other.
    """

    supported_scales: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 8)
    mean: Tensor | None

    def __init__(
        self,
        scale: int,
        network: Callable[[], nn.Module] | None = None,
        colors: int = 3,
        value_range: float = 1.0,
        mean: Sequence[float] | None = None,
        order: str = "rgb",
        multiple: int = 1,
    ) -> None:
        super().__init__(scale, colors)
        if not callable(network):
            raise UserError("model=module trains a class of yours: type model.network._target_=my_package.Net")
        fits = mean is None or (len(mean) == colors and all(0 <= value <= 1 for value in mean))
        if order not in ORDERS or multiple < 1 or value_range <= 0 or not fits:
            raise UserError(
                f"a module has an order of {' or '.join(ORDERS)}, a value_range above 0, a multiple of 1 or more and a "
                f"mean of {colors} values in 0-1; asked was order={order} value_range={value_range} "
                f"multiple={multiple} mean={mean}"
            )
        self.value_range, self.order, self.multiple = value_range, order, multiple
        self.register_buffer("mean", None if mean is None else torch.tensor(mean)[:, None, None], persistent=False)
        self.inner = network if isinstance(network, nn.Module) else network()
        if not isinstance(self.inner, nn.Module):
            raise UserError(f"model.network._target_ makes a {type(self.inner).__name__}, which is no torch.nn.Module")

    def network(self, x: Tensor, scale: int) -> Tensor:
        h, w = x.shape[-2:]
        if self.multiple > 1:
            rows, columns = ((n + self.multiple - 1) // self.multiple * self.multiple for n in (h, w))
            x = F.pad(x, (0, columns - w, 0, rows - h), mode="replicate")
        given = self._turned(x if self.mean is None else x - self.mean) * self.value_range
        made = self.inner(given)
        if not isinstance(made, Tensor) or made.shape[-2:] != (scale * given.shape[-2], scale * given.shape[-1]):
            what = tuple(made.shape) if isinstance(made, Tensor) else f"a {type(made).__name__}"
            raise UserError(
                f"{type(self.inner).__name__} makes {what} of {tuple(given.shape)}, and scale={scale} wants an image "
                f"{scale} times as large: give its constructor the factor by the name that it has there, as "
                f"+model.network.upscale={scale}, or type the scale= that it has"
            )
        sr = self._turned(made / self.value_range)
        return (sr if self.mean is None else sr + self.mean)[..., : scale * h, : scale * w]

    @torch.no_grad()
    def tried(self) -> None:
        """Compute one small image with a copy: a network may set itself up by the first image that it is given.

        Raises:
            UserError: the network cannot, or makes something else.
        """
        side = max(TRIED, self.multiple)
        weight = next(self.inner.parameters(), torch.zeros(()))
        name = type(self.inner).__name__
        try:
            twin = copy.deepcopy(self).eval()
        except Exception as error:
            raise UserError(
                f"{name} cannot be copied: {reason(error)}. Averages of weights, costs and exports are of copies: "
                "no lock, open file or generator belongs into a network"
            ) from error
        try:
            twin(torch.zeros(1, 3, side, side, device=weight.device))
        except UserError:
            raise
        except Exception as error:
            see = "See model.colors, model.multiple and the arguments of model.network"
            if any(module._forward_hooks or module._forward_pre_hooks for module in self.inner.modules()):
                see += "; a hook that closes over its network knows nothing of its copies, and writes into the original"
            raise UserError(
                f"{name} cannot compute an image of {self.colors} channels and {side} x {side} pixels: "
                f"{reason(error)}. {see}"
            ) from error

    def _turned(self, x: Tensor) -> Tensor:
        return x.flip(-3) if self.order == "bgr" and self.colors == 3 else x

    def merged(self) -> Self:
        """A copy in eval mode: what a stranger's blocks call `merge` is not known to be what ours do."""
        deployed = copy.deepcopy(self)
        deployed.__dict__.pop("network", None)  # a compiled network belongs to the original's weights
        return deployed.eval()
