"""What `model=` and `sr.load` mean: a run, a checkpoint, a name of the zoo, an author's file."""

from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from sr.compose.common_schema import Zoo
from sr.compose.words import listed
from sr.deploy.done import state_of
from sr.deploy.enlarger import Enlarger
from sr.errors import UserError
from sr.forms.running import AUTO
from sr.measuring.scoring import pick_device
from sr.models.base import SuperResolver
from sr.models.bicubic import Bicubic
from sr.runs import checkpoint
from sr.runs.folder import tell_unfinished
from sr.scores.score import BASELINE
from sr.zoo.entries import name_of, shipped
from sr.zoo.load import KINDS, load, ours

DEFAULT = 4  # the factor of what is enlarged where neither a network nor a factor is told


def named(source: str | Path | None, scale: int | None, zoo: Zoo) -> tuple[str, SuperResolver]:
    """A trained network with the name that it is told by, in eval mode. Nothing in a file is executed.

    Args:
        source: as typed; `bicubic` is MATLAB's; None for one that travels with the package.
        scale: that is wanted; needed for an author's file that fits every scale and that the zoo does not list.
        zoo: where authors' files are, and whether they may be fetched.

    Raises:
        UserError: no such run, file or name, or a file that is refused; with what to do about it.
    """
    if source is None:
        source = _shipped(scale)
    if source == "":
        raise UserError(f"the model's name is empty; is a variable empty? Give {KINDS}, or None")
    if source == BASELINE:
        return BASELINE, Bicubic(scale or 4).eval()
    if (content := ours(str(source), "model")) is not None:
        tell_unfinished(checkpoint.run_of(checkpoint.locate(Path(source).expanduser())))
        return name_of(content["sr"]), checkpoint.build(content, source)
    found = load(str(source), zoo.dir, scale, zoo.download, zoo.range, zoo.order)
    return found.name, found.model


def asked(cfg: DictConfig) -> tuple[str, SuperResolver]:
    """The one network of a command; see `named`."""
    if len(typed := listed(cfg.weights)) > 1:
        raise UserError(f"model={typed}: one network at a time; type the command once for each")
    source = next(iter(typed), None) or _shipped(cfg.scale, OmegaConf.select(cfg, "outscale"))
    return named(source, cfg.scale, cfg.zoo)


def folder_of(output: str) -> Path:
    """The absolute path of `output=`, which is there or may be made."""
    path = Path(output).expanduser().absolute()
    if path.is_file():
        raise UserError(f"output={output} is a file; the results go into a folder, under their own names")
    return path


def loaded(source: str | Path | None, scale: int | None, zoo: Zoo, device: str, form: str = AUTO) -> Enlarger:
    """`sr.load`."""
    name, model = named(source, scale, zoo)
    if scale is not None:
        model.scale_of(scale)  # refused now, where it is none of the network's
    return Enlarger(model, name, pick_device(device), form, scale)


def kept(
    source: str | Path | Enlarger | None, scale: int | None, device: str, outscale: float | None = None
) -> Enlarger:
    """The network of `sr.upscale`, loaded once for many images, and again once its file is another one."""
    if isinstance(source, Enlarger):
        return source
    if not isinstance(source, str | Path | None):
        raise UserError(f"model={source!r}: wanted is {KINDS}, or what sr.load gives")
    path = Path(source).expanduser() if source else None
    file = checkpoint.locate(path) if path is not None and path.is_dir() else path
    state = state_of(file) if file is not None and file.is_file() else None
    if source is None:
        source, scale = _shipped(scale, outscale), None
    return _kept(str(source), scale, device, Path.cwd(), state)


@lru_cache(maxsize=4)
def _kept(source: str, scale: int | None, device: str, *_: object) -> Enlarger:
    return loaded(source, scale, Zoo(), device)


def _shipped(scale: int | None, outscale: float | None = None) -> str:
    """The name of the network that is taken where none is told: of the scale, or the least that reaches outscale."""
    here = shipped()
    wanted = scale or min((s for s in here if outscale is not None and s >= outscale), default=DEFAULT)
    if wanted not in here:
        raise UserError(
            f"scale={wanted}: the networks that travel with the project enlarge by {', '.join(map(str, here))}. Type "
            f"one of these, or model=... with {KINDS}"
        )
    return here[wanted].name
