"""Authors' files and the papers' figures, for the entry scripts: what `weights=` means, which paper a model is of."""

import logging
from collections.abc import Collection, Mapping
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from sr.compose.conf import CONF
from sr.compose.words import listed
from sr.data.images import Images
from sr.data.leaks import find_copies
from sr.data.module import SRDataModule
from sr.errors import some
from sr.measuring.scoring import Entry
from sr.runs import checkpoint
from sr.runs.folder import tell_unfinished
from sr.runs.same_data import looked_like, trained_on
from sr.zoo.entries import ENTRIES, name_of
from sr.zoo.load import load

log = logging.getLogger(__name__)


def weights_entries(cfg: DictConfig, scale: int | None, strict: bool = True) -> list[Entry]:
    """The models of `weights=[...]`, names of the zoo and paths; at a scale where one is told (see `load`)."""
    entries: list[Entry] = []
    for spec in listed(cfg.weights):
        loaded = load(spec, cfg.zoo.dir, scale, cfg.zoo.download, cfg.zoo.range, cfg.zoo.order, strict)
        taken = [e.name for e in entries]
        name = loaded.name if loaded.name not in taken else f"{loaded.name}:{taken.count(loaded.name) + 1}"
        entries.append(Entry(name, loaded.model, paper_of(loaded.model.metadata)))
    return entries


def checkpoint_entry(path: str) -> Entry:
    """The model of `checkpoint=`; of one architecture all have one name."""
    content = checkpoint.read(path)
    metadata, run = content["sr"], checkpoint.run_of(checkpoint.locate(path))
    tell_unfinished(run)
    return Entry(name_of(metadata), checkpoint.build(content, path), paper_of(metadata), run=run)


def paper_of(metadata: Mapping[str, Any]) -> str:
    """The name of a paper's figures that a checkpoint may stand beside: an author's file only if it is the paper's.

    Not of a stage before the last one, but for one of another scale, which is whole, as EDSR's of x2. Anybody can write
    a file that claims to be one: it may claim figures of a zoo entry of its own architecture alone.
    """
    node, told = metadata["model"], metadata.get("published")
    stage = metadata.get("stage") or {}
    if told is None and stage.get("number", 0) < stage.get("of", 0) and node.get("scale") == _ends_at(metadata):
        return ""
    if told is None:
        return published_name(node, metadata["name"])
    same = _names(node)
    return next((e.published for e in ENTRIES if e.published == told and e.model in same), "")


def _ends_at(metadata: Mapping[str, Any]) -> Any:
    """The scale, or scales, of the last stage of a checkpoint's run."""
    config: Mapping[str, Any] = metadata.get("config") or {}
    overlays: list[Any] = list((config.get("stages") or {}).values()) or [None]
    return (overlays[-1] or {}).get("scale", config.get("scale"))


def published_name(node: Mapping[str, Any], name: str = "") -> str:
    """The name in conf/model of exactly this architecture and size; `name` where several have it; "" if none."""
    same = _names(node)
    return name if name in same else next(iter(same), "")


def same_network(node: Mapping[str, Any], other: object) -> bool:
    """Whether a node, perhaps a file's, is an architecture of ours with the same settings at any scale."""
    own = isinstance(other, Mapping) and other.get("_target_") == node["_target_"]
    return own and isinstance(other, Mapping) and _full(other) == _full(node)


def _names(node: Mapping[str, Any]) -> list[str]:
    """The names in conf/model of an architecture with these settings at any scale; what is not told is its default."""
    ours = _of_class(str(node["_target_"]))
    full = _full(node) if ours else {}  # which imports the class: never one that a file alone names
    return [name for name, own in ours.items() if _full(own) == full]


@cache
def _of_class(target: str) -> dict[str, Any]:
    """The configs of conf/model of one class."""
    like = [p for p in sorted((CONF / "model").glob("*.yaml")) if target in p.read_text()]
    files: dict[str, Any] = {p.stem: OmegaConf.to_container(OmegaConf.load(p)) for p in like}
    return {name: own for name, own in files.items() if own["_target_"] == target}


def _full(node: Mapping[Any, Any]) -> dict[str, Any]:
    known = signature(get_class(node["_target_"])).parameters  # of conf/model: no file says what is imported
    return {k: p.default for k, p in known.items() if k not in node} | {**node, "scale": None}


def tell_trained_on(entry: Entry, data: SRDataModule) -> list[str]:
    """Warn where a model was trained on images of a checked set: see `tell_seen`."""
    return tell_seen(entry, data.images("test").values(), data.test_name)


def tell_seen(entry: Entry, images: Collection[Images], of: str) -> list[str]:
    """Warn where a model was trained on images, or on such of the same look (`sr.data.leaks`).

    A run's folder tells pixels and looks; a checkpoint that lies elsewhere tells no more than where images came from.

    Args:
        entry: the model.
        images: that are measured.
        of: which set they are.
    """
    paths = [path for each in images for path in each.everything.paths]
    if entry.run is not None and (known := trained_on(entry.run)):
        seen = looked_like(entry.run)
        copies = [path for each in images for path in find_copies(known, seen, each)]
        which = f"{len(copies)} of the {len(paths)} images of {of} ({some(copies)})" if copies else ""
    else:
        shared = {place for path in paths for place in path.resolve().parents} & {*trained_in(entry.model.metadata)}
        which = f"images of {min(shared)}, which are among those of {of}" if shared else ""
    if which:
        log.warning(f"warning: {entry.name} {(told := f'was trained on {which}: its figures on them flatter it')}")
    return [told] if which else []


def trained_in(metadata: Mapping[str, Any]) -> list[Path]:
    """The folders of one's own that a checkpoint's run took its training images from."""
    config = metadata.get("config")
    data = config.get("data") if isinstance(config, Mapping) else None
    if not isinstance(data, Mapping) or not str(data.get("_target_")).endswith("Folder"):
        return []
    given = data.get("train") or data.get("root")
    names = given if isinstance(given, list) else [given]
    return [Path(name).expanduser().resolve() for name in names if isinstance(name, str) and "\0" not in name]
