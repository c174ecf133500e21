"""Super-resolution research on PyTorch Lightning and Hydra: what `import sr` offers, imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sr.imaging.resize import imresize
    from sr.metrics.protocol import Protocol
    from sr.metrics.psnr import psnr
    from sr.metrics.ssim import ssim
    from sr.models.base import SuperResolver

__version__ = "0.1.0"
__all__ = ["Protocol", "imresize", "load", "psnr", "ssim"]
_HOMES = {
    "Protocol": "sr.metrics.protocol",
    "imresize": "sr.imaging.resize",
    "psnr": "sr.metrics.psnr",
    "ssim": "sr.metrics.ssim",
}


def load(
    source: str | Path, scale: int | None = None, zoo_dir: str | Path | None = None, download: bool = True
) -> SuperResolver:
    """A trained network, in eval mode: of one of our runs, or with weights that the paper's authors published.

    Args:
        source: a run folder (its last checkpoint is meant), a checkpoint (.ckpt), a name of the zoo (`sr zoo list`),
            or the path of an author's file.
        scale: needed for an author's file that fits every scale and that the zoo does not list.
        zoo_dir: the folder that is searched for the zoo's files; None: data/weights where you stand.
        download: fetch a file of the zoo that is not there, where its address is known.

    Returns:
        model(lr), RGB in [0, 1]: (B, 3, H, W) -> (B, 3, scale * H, scale * W), any H and W.

    Raises:
        UserError: no such run, file or name, or a file that is refused; with what to do about it.

    Example:
        >>> import sr, torch
        >>> model = sr.load("outputs/ecbsr_m4c16_x2/demo")
        >>> with torch.inference_mode():
        ...     model(torch.rand(1, 3, 24, 32)).shape
        torch.Size([1, 3, 48, 64])
    """
    from sr.compose.schema import Zoo
    from sr.runs import checkpoint
    from sr.zoo.load import load

    if Path(source).is_dir() or Path(source).suffix == ".ckpt":
        return checkpoint.load(source)
    return load(str(source), zoo_dir or Zoo.dir, scale, download).model


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
