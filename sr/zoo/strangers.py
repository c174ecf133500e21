"""Files of networks that are not ours: ONNX Runtime computes them, or code of the library spandrel."""

import logging
from dataclasses import asdict
from pathlib import Path

from sr.errors import UserError, reason
from sr.layers.identity import checksum
from sr.models.base import SuperResolver
from sr.zoo import spandrel_file
from sr.zoo.families import Tensors
from sr.zoo.files import raw_tensors
from sr.zoo.onnx_file import OnnxResolver
from sr.zoo.spandrel_file import SpandrelResolver
from sr.zoo.trial import HOPELESS, UNPROVED, Trial, try_out

FILE = "sha256"  # in the settings of such a network, which are no more than which file it is
log = logging.getLogger(__name__)
STRANGERS = (OnnxResolver, SpandrelResolver)  # measured and used; their weights are of no network of ours


def by_onnx(
    path: Path, name: str, scale: int | None, range_: str | None, order: str | None
) -> tuple[str, SuperResolver]:
    """An ONNX file's network and what it is told by; see `sr.zoo.load.load`."""
    model = OnnxResolver(path)
    _serves(model, scale)
    exported = "architecture" in model.facts  # of `sr export`, always in [0, 1] and RGB; or so anybody's file says
    own = ("0-1", "rgb") if exported else (None, None)
    trial = try_out(model, 1.0, range_ or own[0], order or own[1])
    log.info(f"note: {path} {'tells' if exported else 'does not tell'} that sr export wrote it: {trial}")
    if not exported and range_ is None and trial.psnr < trial.bicubic - HOPELESS:
        raise UserError(f"{path} is refused: {trial}, the best of all ranges and orders. Type zoo.range=0-1 to take it")
    return _told(model, name, trial)


def by_spandrel(
    path: Path, name: str, tensors: Tensors, scale: int | None, range_: str | None, order: str | None
) -> tuple[str, SuperResolver] | None:
    """The network that spandrel takes a file for, in its range; None where it is not installed or takes it for none."""
    model = spandrel_file.resolver(path, (read() for read in (lambda: raw_tensors(path), lambda: tensors)))
    if model is None:
        return None
    _serves(model, scale)
    try:
        trial = try_out(model.eval(), 1.0, range_ or "0-1", order or "rgb")
    except RuntimeError as error:
        raise UserError(f"{path} is {model.architecture} to spandrel, but does not run so: {reason(error)}") from error
    log.info(
        f"note: {path} is unknown to the zoo, and read by spandrel (MIT licence) as {model.architecture} "
        f"x{model.scale}; {trial}. Its weights are on their author's terms"
    )
    return _told(model, name, trial)


def _serves(model: OnnxResolver | SpandrelResolver, scale: int | None) -> None:
    if scale is not None and scale != model.scale:
        raise UserError(f"scale={scale}: {model.path} is of scale {model.scale}; leave scale= out")


def _told(model: OnnxResolver | SpandrelResolver, name: str, trial: Trial) -> tuple[str, SuperResolver]:
    name += "" if trial.proved else UNPROVED
    node = {"_target_": f"{type(model).__module__}.{type(model).__name__}", "scale": [*model.scales]}
    node[FILE] = checksum(model.path)
    model.metadata = {"format": 1, "name": name, "model": node, "config": {}, "published": ""}
    model.metadata |= {"reads": asdict(model.reads) if model.reads else {}}
    return name, model.eval()
