"""Authors' files and the papers' figures, for the entry scripts: what `weights=` means, which paper a model is of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sr.compose.conf import CONF
from sr.compose.words import listed
from sr.measuring.scoring import Entry
from sr.zoo.load import load


def weights_entries(cfg: DictConfig, scale: int | None) -> list[Entry]:
    """The models of `weights=[...]`, names of the zoo and paths; at a scale where one is told."""
    entries: list[Entry] = []
    for spec in listed(cfg.weights):
        loaded = load(spec, cfg.zoo.dir, scale, cfg.zoo.download, cfg.zoo.range, cfg.zoo.order)
        taken = [e.name for e in entries]
        name = loaded.name if loaded.name not in taken else f"{loaded.name}:{taken.count(loaded.name) + 1}"
        entries.append(Entry(name, loaded.model, paper_of(loaded.model.metadata)))
    return entries


def paper_of(metadata: Mapping[str, Any]) -> str:
    """The name of a paper's figures that a checkpoint may stand beside: an author's file only if it is the paper's."""
    told = metadata.get("published")
    return str(told) if told is not None else published_name(metadata["model"], metadata["name"])


def published_name(node: Mapping[str, Any], name: str = "") -> str:
    """The name in conf/model of exactly this architecture and size; `name` where several have it; "" if none."""
    settings = _settings(node)
    like = [p for p in sorted((CONF / "model").glob("*.yaml")) if str(node["_target_"]) in p.read_text()]
    files = {p.stem: OmegaConf.to_container(OmegaConf.load(p)) for p in like}
    same = [other for other, node in files.items() if isinstance(node, dict) and _settings(node) == settings]
    return name if name in same else next(iter(same), "")


def _settings(node: Mapping[Any, Any]) -> dict[str, Any]:
    return {k: v for k, v in node.items() if k != "scale"}


def trained_in(metadata: Mapping[str, Any]) -> list[Path]:
    """The folders of one's own that a checkpoint's run took its training images from."""
    config = metadata.get("config")
    data = config.get("data") if isinstance(config, Mapping) else None
    if not isinstance(data, Mapping) or not str(data.get("_target_")).endswith(".Folder"):
        return []
    given = data.get("train") or data.get("root")
    names = given if isinstance(given, list) else [given]
    return [Path(name).expanduser().resolve() for name in names if isinstance(name, str) and "\0" not in name]
