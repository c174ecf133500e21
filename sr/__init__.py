"""Super-resolution research on PyTorch Lightning and Hydra: what `import sr` offers, imported when it is first used."""

from __future__ import annotations

from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sr.deploy.enlarger import Enlarger
    from sr.imaging.resize import imresize
    from sr.metrics.protocol import Protocol
    from sr.metrics.psnr import psnr
    from sr.metrics.ssim import ssim

Image = TypeVar("Image")
__version__ = "0.1.0"
__all__ = ["Protocol", "imresize", "load", "psnr", "ssim", "upscale"]
_HOMES = {
    "Protocol": "sr.metrics.protocol",
    "imresize": "sr.imaging.resize",
    "psnr": "sr.metrics.psnr",
    "ssim": "sr.metrics.ssim",
}


def _without_another_build_of_torchvision() -> None:
    """Have torchmetrics, and with it Lightning, do without a torchvision that does not import beside this torch.

    It is imported wherever it is installed, and one from the package index beside a torch for processors ends every
    program. Nothing here needs it; the extra `spandrel` brings it.
    """
    if find_spec("torchvision") is None:
        return
    try:
        builds = {metadata.version(name).partition("+")[2] for name in ("torch", "torchvision")}  # cpu, cu130, ""
    except metadata.PackageNotFoundError:
        return
    if len(builds) > 1:
        from lightning_utilities.core.imports import RequirementCache

        asked = RequirementCache._check_available

        def check(self: RequirementCache) -> None:
            if str(self.requirement).startswith("torchvision"):
                self.available, self.message = False, "torchvision is of another build than torch"
            asked(self)

        RequirementCache._check_available = check  # type: ignore[method-assign]


_without_another_build_of_torchvision()


def load(
    source: str | Path | None = None,
    scale: int | None = None,
    zoo_dir: str | Path | None = None,
    download: bool = True,
    device: str = "cpu",
    form: str = "auto",
) -> Enlarger:
    """A trained network, in eval mode: of one of our runs, or with weights that the paper's authors published.

    Args:
        source: a run folder (its last checkpoint is meant), a checkpoint (.ckpt), a name of the zoo (`sr zoo list`),
            the path of an author's file, or bicubic; None for the network of this scale that travels with the package.
        scale: 2, 3, or unless told 4 of those that travel with the package; needed for an author's file that fits every
            scale and that the zoo does not list.
        zoo_dir: the folder that is searched for the zoo's files; None: data/weights where you stand.
        download: fetch a file of the zoo that is not there, where its address is known.
        device: where it runs: cpu, cuda, or auto for a GPU if there is one.
        form: in which it runs: merged, channels_last, compiled, onnx (ONNX Runtime, made at the first image), or auto
            for the fastest that is exact and at hand.

    Returns:
        What takes a path, a Pillow image, an array (H, W, 3) or a tensor, any H and W, and returns the same kind (see
        `sr.deploy.enlarger`): of (B, 3, H, W) in [0, 1] (B, 3, scale * H, scale * W), RGB, not clamped.

    Raises:
        UserError: no such run, file or name, or a file that is refused; with what to do about it.

    Example:
        >>> import sr, torch
        >>> model = sr.load("outputs/ecbsr_m4c16_x2")
        >>> with torch.inference_mode():
        ...     model(torch.rand(1, 3, 24, 32)).shape
        torch.Size([1, 3, 48, 64])
    """
    from sr.compose.common_schema import Zoo
    from sr.deploy.load import loaded

    return loaded(source, scale, Zoo(str(zoo_dir or Zoo.dir), download), device, form)


def upscale(
    image: Image,
    scale: int | None = None,
    model: str | Path | Enlarger | None = None,
    outscale: float | None = None,
    self_ensemble: bool = False,
    device: str = "cpu",
) -> Image:
    """An image enlarged. What was loaded once is kept, so that many images cost one loading.

    Args:
        image: a path, a Pillow image, an array (H, W, 3) of uint8, uint16 or floats in [0, 1], or a tensor.
        scale: needed where the network serves several; see `load`.
        model: see `load`, or what that gave; None for what travels with the package, of the scale or the least that
            reaches `outscale`.
        outscale: another factor, up to the network's, to which its result is reduced.
        self_ensemble: average over the eight flips and quarter turns.
        device: see `load`.

    Returns:
        The same kind; of a path that of a new file beside it.

    Raises:
        UserError: as `load`, or the image cannot be taken.

    Example:
        >>> import numpy as np, sr
        >>> sr.upscale(np.zeros((24, 32, 3), np.uint8)).shape
        (96, 128, 3)
        >>> sr.upscale(np.zeros((24, 32, 3), np.uint8), model="outputs/ecbsr_m4c16_x2").shape
        (48, 64, 3)
    """
    from sr.deploy.load import kept

    enlarger = kept(model, scale, device, outscale)
    return enlarger(image, scale, outscale=outscale, self_ensemble=self_ensemble)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
