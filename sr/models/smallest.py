"""The smallest picture that a network enlarges, tried where its class tells no `min_size`."""

import torch

from sr.errors import UserError, reason
from sr.models.base import SuperResolver

MOST = 128  # LR pixels a side up to which is tried


def smallest_side(model: SuperResolver, scale: int) -> int:
    """LR pixels a side from which on `network` gives a picture: `min_size`, or what that network takes that tells 1.

    One that mirrors its borders by 4 pixels (``F.pad(mode="reflect")``) takes 5.

    Args:
        model: in eval mode.
        scale: see `SuperResolver.forward`.

    Raises:
        UserError: it fails at every side that is tried, with what it says.
    """
    if model.min_size > 1 or (error := _failure(model, scale, 1)) is None:
        return model.min_size
    fails, works = 1, 2
    while (found := _failure(model, scale, works)) is not None:
        fails, works, error = works, 2 * works, found
        if fails >= MOST:
            raise UserError(
                f"{type(model).__name__} makes no picture of LR of 1 to {MOST} pixels a side: {reason(error)}"
            ) from error
    while works - fails > 1:
        middle = (fails + works) // 2
        fails, works = (fails, middle) if _failure(model, scale, middle) is None else (middle, works)
    return works


@torch.no_grad()
def _failure(model: SuperResolver, scale: int, side: int) -> Exception | None:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    try:
        model(torch.full((1, 3, side, side), 0.5, dtype=like.dtype, device=like.device), scale)
    except UserError:
        raise
    except Exception as error:  # whatever a network of the user's says of too small a picture
        return error
    return None


def refuse_smaller(model: SuperResolver, scale: int, height: int, width: int) -> None:
    """Raises a UserError where LR of a size is smaller than a network takes that tells no `min_size`."""
    if min(height, width) < (least := smallest_side(model, scale)):
        raise UserError(
            f"{type(model).__name__} takes LR of {least} pixels a side and more, and this is {width}x{height}. Write "
            f"min_size = {least} into its class, and smaller pictures are padded to that"
        )
