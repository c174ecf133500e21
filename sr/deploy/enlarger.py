"""A trained network that takes pictures in whatever form they are, and gives them back in the same one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sr.compose.words import path_typed
from sr.data.video_files import VIDEO_SUFFIXES
from sr.deploy import exact
from sr.deploy.photos import How, Made, enlarged
from sr.deploy.tiles import weight_marks
from sr.errors import UserError
from sr.forms.running import AUTO, Formed, formed, known
from sr.imaging.color import to_uint8
from sr.imaging.ensemble import self_ensemble
from sr.imaging.photo import Photo, of_pillow, to_pillow
from sr.imaging.photo_reading import read_photo
from sr.imaging.photo_writing import WRITTEN, depth_in, write_photo
from sr.models.base import SuperResolver
from sr.runs.trained_scales import tell_untrained, trained_scales
from sr.whole import replacing

BEYOND = 2.0  # of a tensor in [0, 1]: what rings and what is noisy stays below, what is in 0 to 255 does not


class Enlarger:
    """`enlarger(image)` is the image enlarged: a path, a Pillow image, a NumPy array or a tensor.

    What it does not know itself it leaves to its network: `enlarger.merged()`, `enlarger.scales`, and so on.

    Args:
        model: the network, in eval mode.
        name: that it is told by.
        device: where it runs.
        form: in which it runs, see `sr.forms.running`. A tensor goes through `model` itself, which has
            gradients, unless a form is told.
        scale: where none is given for a picture.

    Example:
        >>> import numpy as np, sr
        >>> enlarger = sr.load("outputs/ecbsr_m4c16_x2")
        >>> enlarger(np.zeros((24, 32, 3), np.uint8)).shape
        (48, 64, 3)
    """

    def __init__(
        self,
        model: SuperResolver,
        name: str = "",
        device: torch.device | str = "cpu",
        form: str = AUTO,
        scale: int | None = None,
    ) -> None:
        known(form)
        self._scale = scale
        self.model, self.name, self._device, self.form = model.to(device), name, torch.device(device), form
        self._formed: dict[int, tuple[list[tuple[int, int]], Formed]] = {}

    def __getattr__(self, name: str) -> Any:
        if name in ("model", "_device", "_scale") or name.startswith("__"):  # not there yet
            raise AttributeError(name)
        return getattr(self.model, name)

    def __repr__(self) -> str:
        return f"Enlarger({self.name}, {self.device}, {self.model})"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in self.model.parameters()), self._device)

    def deployed(self, scale: int) -> Formed:
        """The network in the form that enlarges pictures, anew once a weight was changed in place or moved."""
        state, found = weight_marks(self.model), self._formed.get(scale)
        if found is None or found[0] != state:
            found = self._formed[scale] = state, formed(self.model, self.form, scale, self.device)
        return found[1]

    def __call__(self, image: Any, scale: int | None = None, *, outscale: float | None = None,
                 self_ensemble: bool = False) -> Any:  # fmt: skip
        """Enlarge.

        Args:
            image: a tensor (B, 3, H, W) or (3, H, W), floating in [0, 1] or uint8, or clips (B, T, 3, H, W); an array
                (H, W, 3), (H, W), or with alpha (H, W, 4) of uint8, uint16, or floating in [0, 1]; a Pillow image; or
                the path of a file.
            scale: needed by a network that serves several.
            outscale: another factor, up to the network's: the result is reduced to it as MATLAB does.
            self_ensemble: average over the eight flips and quarter turns.

        Returns:
            The same kind and type. A floating tensor is what the network gives, unrounded and not clipped; everything
            else is clipped, and rounded where it holds whole numbers. Of a path it is that of a new file beside it,
            `photo_x4.png` of `photo.png`.

        Raises:
            UserError: another shape or type, a tensor's values far beyond [0, 1], a scale that the network does not
                serve, a file that cannot be read, or one that is there already.
        """
        how = self.how(scale, outscale, self_ensemble)
        if isinstance(image, Tensor):
            return self._tensor(image, how)
        if isinstance(image, np.ndarray):
            return self._array(image, how)
        if isinstance(image, Image.Image):
            return to_pillow(self.photo(of_pillow(image), how).photo)
        if isinstance(image, str | Path):
            return type(image)(self._file(Path(image), how))
        raise UserError(f"an image is a path, a Pillow image, an array or a tensor, not {type(image).__name__}")

    def photo(
        self,
        photo: Photo,
        how: How,
        depth: np.dtype[Any] | None = None,
        seen: Callable[[float], object] | None = None,
    ) -> Made:
        """A picture enlarged by the network in its form; see `sr.deploy.photos.enlarged`."""
        return enlarged(self.deployed(how.scale).model, photo, how, self.device, depth, seen)

    def in_tiles(self, how: How) -> str:
        """What is told of a picture that was made in tiles: how exact they are."""
        return exact.told(self.deployed(how.scale).model, how.scale, self.device, how.half)

    def how(self, scale: int | None = None, outscale: float | None = None, ensemble: bool = False, **rest: Any) -> How:
        """What is asked for, by the network's own factor."""
        return How(self.factor(scale, outscale), outscale, ensemble, **rest)

    def factor(self, scale: int | None, outscale: float | None = None) -> int:
        """The network's own factor for what is asked for.

        Raises:
            UserError: it serves none of it.
        """
        factor = self._factor(scale, outscale)
        tell_untrained(self.model, self.name or "the network", factor)
        return factor

    def _factor(self, scale: int | None, outscale: float | None) -> int:
        scale = scale or self._scale
        if outscale is None:
            return self.model.scale_of(scale)
        if not isinstance(outscale, int | float):
            raise UserError(f"outscale={outscale!r}: a number is wanted")
        trained = trained_scales(self.model.scales, self.model.metadata)
        order = sorted(self.model.scales, key=lambda s: (s not in trained, s))
        fitting = [s for s in order if s >= outscale and scale in (None, s)]
        if outscale < 1 or not fitting:
            most = max(self.model.scales) if scale is None else scale
            raise UserError(f"outscale={outscale:g}: from 1 to {most}, by which {self.name or 'the network'} enlarges")
        return fitting[0]

    def _tensor(self, image: Tensor, how: How) -> Tensor:
        eight_bit = image.dtype == torch.uint8
        if image.ndim not in (3, 4, 5) or image.shape[-3] != 3 or not (image.is_floating_point() or eight_bit):
            raise UserError(
                f"a tensor is (B, 3, H, W), floating in [0, 1] or uint8, not {tuple(image.shape)} {image.dtype}"
            )
        if image.layout != torch.strided or image.is_meta or image.is_quantized:
            raise UserError("a tensor that is enlarged holds all its values: not a sparse, a meta or a quantised one")
        _refuse_empty(image.shape, image.shape[-2:])
        if not eight_bit and image.numel() and (most := float(image.detach().amax())) > BEYOND:
            raise UserError(f"a floating tensor is in [0, 1], and this one reaches {most:g}: divide it, as by 255")
        lr = image.float() / 255 if eight_bit else image.to(next(self.model.parameters(), torch.empty(0)).dtype)
        lr = (lr if image.ndim > 3 else lr[None]).to(self.device)
        network = partial(self.model if self.form == AUTO else self.deployed(how.scale).model, scale=how.scale)
        sr = how.reduced(self_ensemble(network, lr) if how.ensemble else network(lr))
        sr = (sr if image.ndim > 3 else sr[0]).to(image.device)
        return to_uint8(sr) if eight_bit else sr.to(image.dtype)

    def _array(self, image: np.ndarray, how: How) -> np.ndarray:
        if isinstance(image, np.ma.MaskedArray):
            raise UserError("an array that is enlarged has no mask: fill it, as by image.filled(0)")
        image = np.asarray(image)  # np.matrix has two dimensions whatever is done to it
        image = image.astype(image.dtype.newbyteorder("="), copy=False)
        planes, dtype = np.atleast_3d(image), image.dtype
        if dtype.kind == "f":
            planes = planes.astype(np.float32)
        if image.ndim not in (2, 3) or planes.shape[2] > 4 or planes.dtype not in (np.uint8, np.uint16, np.float32):
            raise UserError(
                f"an array is (H, W, 3), or (H, W) for grey, of uint8, uint16 or floats in [0, 1], not {image.shape} "
                f"{dtype}"
            )
        _refuse_empty(image.shape, image.shape[:2])
        if not np.isfinite(planes).all():
            raise UserError("an array's values are numbers, and some of this one's are NaN or infinite")
        if dtype.kind == "f" and np.median(planes) > BEYOND:  # a lamp may be brighter than white, half a picture not
            raise UserError(
                f"an array of floats is in [0, 1], and this one reaches {planes.max():g}: divide it by white"
            )
        found = self.photo(Photo.of(planes), how).photo.planes().astype(dtype, copy=False)
        return found[..., 0] if image.ndim == 2 else found

    def _file(self, path: Path, how: How) -> Path:
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            raise UserError(f"{path} is a film: to enlarge it, type  sr upscale {path_typed('input', path)}")
        suffix = path.suffix.lower() if path.suffix.lower() in WRITTEN else ".png"
        target = path.with_name(f"{path.stem}_x{how.factor:g}{suffix}")
        _refuse(target)
        photo = read_photo(path)
        large = self.photo(photo, how, depth_in(suffix, photo.colour.dtype)).photo
        with replacing(target) as part:
            write_photo(part, large)
            _refuse(target)  # that came meanwhile
        return target


def _refuse_empty(shape: Sequence[int], sides: Sequence[int]) -> None:
    if 0 in sides:
        raise UserError(f"an image of {tuple(shape)} holds no pixels")


def _refuse(target: Path) -> None:
    if os.path.lexists(target):
        raise UserError(f"{target} is there already: nothing is overwritten. Remove it, or give the image itself")
