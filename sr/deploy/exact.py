"""How far what a network makes in tiles is from what it makes of the whole, as seen on a small picture."""

from weakref import WeakKeyDictionary

import torch

from sr.deploy.tiles import enlarge, weight_marks
from sr.forms.deployed import Exported
from sr.forms.running import EXACT
from sr.models.base import SuperResolver
from sr.precision import full_precision

SIZE, TILE = (61, 83), 27  # LR pixels, at least: sides that no tile divides
_kept: WeakKeyDictionary[SuperResolver, tuple[object, float]] = WeakKeyDictionary()


def apart(model: SuperResolver, scale: int, device: torch.device, half: bool = False) -> float:
    """The largest difference between tiles and the whole, in parts of the largest value, at least 1; measured once.

    Args:
        model: in eval mode, one that can be followed (see `sr.deploy.tiles`).
        scale: the factor.
        device: where it runs.
        half: whether features are kept in half precision.
    """
    state, kept = (scale, device, half, weight_marks(model)), _kept.get(model)
    if kept is not None and kept[0] == state:
        return kept[1]
    like = Exported(model, "", scale)
    lr = like.picture(*(max(side, 2 * like.least) for side in SIZE)).flatten(0, -4)[:1]  # of a clip a frame
    with torch.inference_mode(), full_precision(device):
        whole = model(lr.to(device), scale).cpu()
        found = float(
            (enlarge(model, lr, scale, tile=TILE, half=half) - whole).abs().max() / whole.abs().max().clamp(min=1)
        )
    _kept[model] = state, found
    return found


def told(model: SuperResolver, scale: int, device: torch.device, half: bool = False) -> str:
    """What a line says of a picture that was made in tiles."""
    found = apart(model, scale, device, half)
    return (
        f"exact tiles (to {max(found, 1e-7):.0e})"
        if found <= EXACT and not half
        else f"tiles ({found:.0e} from the whole)"
    )
