"""Whose code a file may name. A file of somebody else's says what is built, so only what computes and no more.

Trusted beside this package: what the user names in `trust=[my_pkg]`, in SR_TRUST, and each class in a config composed
of the user's own words.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sr.compose.conf import CONF
from sr.compose.words import listed
from sr.errors import UserError, printable, some
from sr.runs import own, yaml_file

VARIABLE = "SR_TRUST"  # modules, or what else is trusted, between commas; a command's own processes inherit it

# What a run folder of somebody else may build, beside what conf/ names for a training: classes, none of which runs what
# it is given, or writes, or copies layers so often as it is told, which `sr.runs.construct.limited` does not see.
BUILDS = re.compile(
    r"sr\.models\.\w+\.[A-Z]\w*"
    r"|(sr\.(losses|degradation)|torch\.nn(?!\.Transformer)|torch\.optim(\.lr_scheduler)?|albumentations)\.[A-Z]\w*"
)
# The largest number of what is done to crops: pixels, holes, levels. By larger ones it would take hours of one.
LARGEST = {"albumentations.": 4096, "sr.degradation.": 400}
APART = ("figure", "hydra", "logger")  # groups of conf/ that nothing of a training is built from, but its loggers
FOREIGN = "is refused: nothing shows that you began this run here, and"
NAME = re.compile(r"[\w./:@+-]+")  # of a module, a file or an address: no sign that a shell acts on
ADDRESS = re.compile(r"(?!sqlite|file)\w+://")


def trust(names: Sequence[str]) -> None:
    """Trust modules, classes, files or addresses from here on, in the processes that this one starts too."""
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*_trusted(), *names]))


def trust_what_was_typed(cfg: DictConfig) -> None:
    """Trust what a command's config says, all of which is the user's own: `trust` and each class that it names."""
    targets = [str(t) for node in _nodes(OmegaConf.to_container(cfg, resolve=False)) if (t := node["_target_"])]
    trust([*listed(OmegaConf.select(cfg, "trust")), *(t for t in targets if not t.startswith(("sr.", "${")))])


def _trusted() -> list[str]:
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def trusts(name: str) -> bool:
    """Whether a class, a module, a file or an address is one of the trusted, or within one."""
    if name.endswith(".py"):  # what it says may lead elsewhere, by `..` or a link
        return trusts_place(Path(name).expanduser().resolve())
    return any(name == t or name.startswith(f"{t}/" if ":" in t else f"{t}.") for t in _trusted())


def trusts_place(place: Path) -> bool:
    """Whether a run folder or a file, or a folder around it that was typed with a slash, is one of the trusted."""
    places = [(Path(t).expanduser().resolve(), "/" in t) for t in _trusted()]
    return any(own == place or (within and own in place.parents) for own, within in places)


def trusts_run(folder: Path) -> bool:
    """Whether this user began the run in a folder, or trusts it."""
    return own.began(folder) or trusts_place(folder.resolve())


def how_to_trust(names: Sequence[str]) -> str:
    """What to type for what stands in no list: its package, but of torch, which can load anything, the class alone."""
    alone = re.compile(r".*:.*|.*\.py|torch\..*")
    roots = dict.fromkeys(name if alone.fullmatch(name) else name.partition(".")[0] for name in names)
    if odd := [root for root in roots if not NAME.fullmatch(root)]:  # what is told is pasted into a shell
        return f"Nothing that can be trusted has such a name: {some([printable(root) for root in odd])}"
    typed = ",".join(roots)
    return f"If you know whose it is and trust it, type trust=[{typed}], or set {VARIABLE}={typed} for all commands"


def refuse_impure(config: Mapping[str, Any], source: object) -> dict[str, Any]:
    """Refuse a config that somebody else wrote where its texts are more than names, or could become so when joined.

    Args:
        config: in plain values, with interpolations.
        source: the file, for messages.

    Returns:
        The config, resolved.

    Raises:
        UserError: a text holds control characters, or an interpolation that looks at more than the config, leads
            nowhere or becomes another one.
    """
    if "$" in str(config.get("metrics")):  # which may mean something else in a stage
        raise UserError(
            f"{source} {FOREIGN} metrics={config['metrics']} in it looks elsewhere. Write the value itself there"
        )
    for text in _texts(config):
        if not text.isprintable():
            raise UserError(f"{source} {FOREIGN} {text!r} in it holds control characters")
        if not yaml_file.pure(text):
            raise UserError(f"{source} {FOREIGN} {text} in it reads more than the config. Write the value itself there")
    found = yaml_file.resolved(config)
    for text in _texts(found):
        if "$" in text or not text.isprintable():
            raise UserError(f"{source} {FOREIGN} {text!r} in it leads nowhere. Write the value itself there")
    return found


def refuse_foreign(config: Mapping[str, Any], source: object) -> None:
    """Refuse a run's config that somebody else wrote where it names what may do more than compute.

    Args:
        config: in plain values, as written or resolved: both are to be looked at.
        source: the file, for messages.

    Raises:
        UserError: it names code, files with code or addresses that are neither of this project nor trusted, or a
            folder to write to; or a transform would not come to an end.
    """
    if folders := [str(node["folder"]) for node in _nodes(config) if "folder" in node]:
        raise UserError(f"{source} {FOREIGN} it would write to {some(folders)}. Leave `folder` out")
    control = {key for node in _nodes(config) for key in node if str(key).startswith("_")} - {"_target_", "_partial_"}
    if control:  # values without a name, `_args_`, could be such a folder
        raise UserError(f"{source} {FOREIGN} it uses {some(sorted(control))}. Give each value by its name")
    named = [node["_target_"] for node in _nodes(config) if node["_target_"] is not None]
    named = [t for t in named if not (isinstance(t, str) and (BUILDS.fullmatch(t) or t in _of_conf()))]
    metrics = config.get("metrics")
    named += [m for m in (metrics if isinstance(metrics, list) else [metrics]) if str(m).endswith(".py")]
    named += [text for text in _texts(config) if ADDRESS.match(text)]
    if wrong := [str(name) for name in dict.fromkeys(map(str, named)) if not trusts(str(name))]:
        raise UserError(
            f"{source} {FOREIGN} it names {some(wrong)}, which is not part of this project. {how_to_trust(wrong)}"
        )
    for package, most in LARGEST.items():
        transforms = [node for node in _nodes(config) if str(node["_target_"]).startswith(package)]
        if large := [text for node in transforms for text in _texts(node) if _number(text) > most]:
            raise UserError(f"{source} {FOREIGN} a transform in it is told {some(large)}, where {most} is most")


def _number(text: str) -> float:
    """How large the number is that a text is read as; 0 where it is none."""
    try:
        return abs(float(text))
    except ValueError:
        return 0


@cache
def _of_conf() -> frozenset[str]:
    """Each class and function that conf/ names for a training."""
    files = [file for file in CONF.glob("*/**/*.yaml") if file.relative_to(CONF).parts[0] not in APART]
    return frozenset(t for file in files for t in re.findall(r"_target_: *([\w.]+)", file.read_text("utf-8")))


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every node that is to be built."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _texts(value: Any) -> Iterator[str]:
    """Every key and every value, as text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    else:
        yield str(value)
