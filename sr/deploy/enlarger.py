"""A trained network that takes pictures in whatever form they are, and gives them back in the same one."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sr.deploy.alpha import filled
from sr.deploy.tiles import enlarge
from sr.errors import UserError
from sr.imaging.color import to_uint8
from sr.imaging.ensemble import self_ensemble
from sr.imaging.photo import Photo, in_depth, of_pillow, read_photo, to_pillow
from sr.imaging.photo_files import WRITTEN, depth_in, write_photo
from sr.imaging.resize import imresize
from sr.models.base import SuperResolver
from sr.precision import full_precision
from sr.whole import replacing


class Enlarger:
    """`enlarger(image)` is the image enlarged: a path, a Pillow image, a NumPy array or a tensor.

    What it does not know itself it leaves to its network: `enlarger.merged()`, `enlarger.scales`, and so on.

    Args:
        model: the network, in eval mode.
        name: that it is told by.
        device: where it runs.

    Example:
        >>> import numpy as np, sr
        >>> enlarger = sr.load("outputs/ecbsr_m4c16_x2/demo")
        >>> enlarger(np.zeros((24, 32, 3), np.uint8)).shape
        (48, 64, 3)
    """

    def __init__(self, model: SuperResolver, name: str = "", device: torch.device | str = "cpu") -> None:
        self.model, self.name, self._device = model.to(device), name, torch.device(device)

    def __getattr__(self, name: str) -> Any:
        if name in ("model", "_device") or name.startswith("__"):  # not there yet
            raise AttributeError(name)
        return getattr(self.model, name)

    def __repr__(self) -> str:
        return f"Enlarger({self.name}, {self.device}, {self.model})"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in self.model.parameters()), self._device)

    @cached_property
    def deployed(self) -> SuperResolver:
        """The network in the form that enlarges pictures: merged."""
        return self.model.merged()

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
            UserError: another shape or type, a scale that the network does not serve, a file that cannot be read, or
                one that is there already.
        """
        given: dict[str, Any] = {"scale": scale, "outscale": outscale, "ensemble": self_ensemble}
        if isinstance(image, Tensor):
            return self._tensor(image, **given)
        if isinstance(image, np.ndarray):
            return self._array(image, **given)
        if isinstance(image, Image.Image):
            return to_pillow(self.photo(of_pillow(image), **given))
        if isinstance(image, str | Path):
            return type(image)(self._file(Path(image), **given))
        raise UserError(f"an image is a path, a Pillow image, an array or a tensor, not {type(image).__name__}")

    def photo(
        self,
        photo: Photo,
        scale: int | None = None,
        outscale: float | None = None,
        ensemble: bool = False,
        depth: np.dtype[Any] | None = None,
    ) -> Photo:
        """A picture enlarged; alpha is enlarged by bicubic, which leaves what is opaque opaque.

        Args:
            photo: of any depth.
            scale: see `__call__`, and so the next two.
            outscale: another factor.
            ensemble: average over the eight flips and quarter turns.
            depth: the type of the result's values; None for that of `photo`.
        """
        white, grey = photo.white, photo.colour.shape[2] == 1
        own, lr = self.factor(scale, outscale), _unit(filled(photo), white).expand(-1, 3, -1, -1)
        network = partial(enlarge, self.deployed, scale=own, device=self.device)
        with torch.inference_mode(), full_precision(self.device):
            sr = _reduced(self_ensemble(network, lr) if ensemble else network(lr), own, outscale)
        if not bool(torch.isfinite(sr).all()):
            raise UserError(f"{self.name or 'the network'} gives values that are no numbers: its weights have diverged")
        values = (sr.mean(1, keepdim=True) if grey else sr)[0].movedim(0, -1).numpy()
        colour = in_depth(values, depth or photo.colour.dtype, white)
        return Photo(colour, _enlarged_alpha(photo, colour), photo.icc, photo.exif)

    def beside_bicubic(self, photo: Photo, enlarged: Photo) -> Photo:
        """Bicubic to the left, `enlarged` to the right."""
        size, white = enlarged.colour.shape[:2], photo.white
        left = in_depth(_resized(filled(photo), white, size), enlarged.colour.dtype, white)
        alpha = None if enlarged.alpha is None else np.concatenate([enlarged.alpha, enlarged.alpha], 1)
        return Photo(np.concatenate([left, enlarged.colour], 1), alpha, enlarged.icc, enlarged.exif)

    def factor(self, scale: int | None, outscale: float | None = None) -> int:
        """The network's own factor for what is asked for.

        Raises:
            UserError: it serves none of it.
        """
        if outscale is None:
            return self.model.scale_of(scale)
        fitting = [s for s in sorted(self.model.scales) if s >= outscale and scale in (None, s)]
        if outscale < 1 or not fitting:
            most = max(self.model.scales) if scale is None else scale
            raise UserError(f"outscale={outscale:g}: from 1 to {most}, by which {self.name or 'the network'} enlarges")
        return fitting[0]

    def _tensor(self, image: Tensor, scale: int | None, outscale: float | None, ensemble: bool) -> Tensor:
        if image.ndim not in (3, 4, 5) or image.shape[-3] != 3 or not (image.is_floating_point() or _bytes(image)):
            raise UserError(
                f"a tensor is (B, 3, H, W), floating in [0, 1] or uint8, not {tuple(image.shape)} {image.dtype}"
            )
        lr = image.float() / 255 if _bytes(image) else image
        own, lr = self.factor(scale, outscale), (lr if image.ndim > 3 else lr[None]).to(self.device)
        network = partial(self.model, scale=own)
        sr = _reduced(self_ensemble(network, lr) if ensemble else network(lr), own, outscale)
        sr = (sr if image.ndim > 3 else sr[0]).to(image.device)
        return to_uint8(sr) if _bytes(image) else sr

    def _array(self, image: np.ndarray, **given: Any) -> np.ndarray:
        planes, dtype = np.atleast_3d(image), image.dtype
        if dtype.kind == "f":
            planes = planes.astype(np.float32)
        if image.ndim not in (2, 3) or planes.shape[2] > 4 or planes.dtype not in (np.uint8, np.uint16, np.float32):
            raise UserError(
                f"an array is (H, W, 3), or (H, W) for grey, of uint8, uint16 or floats in [0, 1], not {image.shape} "
                f"{dtype}"
            )
        found = self.photo(Photo.of(planes), **given).planes().astype(dtype, copy=False)
        return found[..., 0] if image.ndim == 2 else found

    def _file(self, path: Path, scale: int | None, outscale: float | None, ensemble: bool) -> Path:
        suffix = path.suffix.lower() if path.suffix.lower() in WRITTEN else ".png"
        target = path.with_name(f"{path.stem}_x{outscale or self.factor(scale):g}{suffix}")
        if target.exists():
            raise UserError(f"{target} is there already: nothing is overwritten. Remove it, or give the image itself")
        photo = read_photo(path)
        enlarged = self.photo(photo, scale, outscale, ensemble, depth_in(suffix, photo.colour.dtype))
        with replacing(target) as part:
            write_photo(part, enlarged)
        return target


def _reduced(sr: Tensor, own: int, outscale: float | None) -> Tensor:
    return sr if outscale is None or outscale == own else imresize(sr, outscale / own)


def _enlarged_alpha(photo: Photo, colour: np.ndarray) -> np.ndarray | None:
    if photo.alpha is None:
        return None
    return in_depth(_resized(photo.alpha[..., None], photo.white, colour.shape[:2])[..., 0], colour.dtype, photo.white)


def _bytes(image: Tensor) -> bool:
    return image.dtype == torch.uint8


def _unit(values: np.ndarray, white: float) -> Tensor:
    """(H, W, C) of any type -> (1, C, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(values.astype(np.float32).transpose(2, 0, 1))).div_(white)[None]


def _resized(values: np.ndarray, white: float, size: tuple[int, ...]) -> np.ndarray:
    """(H, W, C) of any type as bicubic enlarges it: (H', W', C) in about [0, 1]."""
    return imresize(_unit(values, white), size=(size[0], size[1]))[0].movedim(0, -1).numpy()
