"""The exporting run: a trained network written for other programs, each file compared with the network."""

import logging
import os
from pathlib import Path

import torch
from omegaconf import DictConfig

from sr.compose.words import listed
from sr.deploy import card
from sr.deploy.load import asked, folder_of
from sr.deploy.tiling.reach import reach
from sr.errors import UserError, nearest, reason, some, user_error
from sr.forms import formats
from sr.forms.deployed import Exported, exportable
from sr.models.base import SuperResolver
from sr.precision import full_precision
from sr.runs import checkpoint
from sr.runs.lock import locked
from sr.runs.trained_scales import tell_untrained
from sr.whole import replacing

log = logging.getLogger(__name__)
HUB = "hub"  # of `formats`: the one that is a folder


def export(cfg: DictConfig) -> None:
    """Run a composed conf/export.yaml: write model= in all formats=, each compared with the network.

    Raises:
        UserError: before the work, what was typed makes no sense; after it, the forms that it could not be written in.
    """
    chosen = [str(one).lower().lstrip(".") for one in listed(cfg.formats)]
    for one in chosen or ["[]"]:
        if one not in formats.FORMATS:
            raise UserError(f"formats={one}: there are {', '.join(formats.FORMATS)}.{nearest(one, formats.FORMATS)}")
    formats.installed(chosen)
    output = folder_of(cfg.output)
    name, model = asked(cfg)
    exportable(model)
    scale = model.scale_of(cfg.scale)
    tell_untrained(model, name, scale)
    what = Exported(model, name, scale, cfg.half, reach=_reach(model, scale))
    ends = {one: formats.FORMATS[one].ending or f".{one}" for one in chosen}
    places = {
        one: Path(what.stem, checkpoint.EXPORTED) if one == HUB else Path(what.stem + ends[one]) for one in chosen
    }
    files = {one: output / place for one, place in places.items()}
    about = card.known(next(iter(listed(cfg.weights)), None), what.scale) if HUB in chosen else card.Known()
    for one, file in files.items():
        _refuse(one, file, cfg.overwrite)
    failed = []
    with locked(output), full_precision(torch.device("cpu")), torch.no_grad():
        network, given = Exported(model, name, what.scale).deployed(), what.compared()
        before = {name: p.detach() for name, p in network.named_parameters()}  # held, so that nothing else lies there
        wanted = [network(x) for x in given]
        moved = [name for name, p in network.named_parameters() if p.data_ptr() != before[name].data_ptr()]
        if moved and chosen != [HUB]:  # torch's exporter ends the process
            raise UserError(
                f"{some(moved)}: the network puts other weights there each time that it computes, which no exporter "
                f"follows. Let it do so where its train(False) is called, or type formats=[{HUB}]"
            )
        for one, file in files.items():
            log.info(f"writing {places[one]}")
            try:
                with replacing(file) as part:
                    formats.FORMATS[one].write(part, what, cfg.opset)
                    reader = formats.FORMATS[one].reader(part, what)
                    found = formats.apart(reader, given, wanted, what.half, what.strained())
                    _refuse(one, file, cfg.overwrite)  # what came meanwhile
            except Exception as error:  # torch's exporters have many for what they cannot follow
                log.debug("%s", file.name, exc_info=True)
                failed.append(f"{file.name}: {user_error(error) or reason(error)}")
                continue
            if one == HUB:
                card.write(file.parent, what, about)
            size = file.stat().st_size / 1e6
            log.info(f"{file}: {size:.1f} MB, at most {found:.1e} from the network at {len(given)} sizes and patterns")
    if failed:
        raise UserError(f"{len(failed)} of {len(files)} are not written: {'; '.join(failed)}")


def _reach(model: SuperResolver, scale: int) -> dict[str, str]:
    try:
        return reach(model.merged(), scale)
    except Exception as error:  # a network of the user's that cannot be followed
        log.debug("how far the network looks is not told: %s", reason(error))
        return {}


def _refuse(form: str, file: Path, overwrite: bool) -> None:
    for place in [file, *(file.with_name(name) for name in (card.CONFIG, card.CARD) if form == HUB)]:
        if os.path.lexists(place) and not (overwrite and place.is_file()):
            raise UserError(f"{place} is there already. Type overwrite=true, or another output=PATH")
