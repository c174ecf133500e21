"""What a run was composed of, kept in its folder from its first step on: a resume reads this, not the words typed then.

`composed.yaml` is written by the run itself, and again where a resume is told another length. Folders of format 1 have
none: there Hydra's own record and the last checkpoint tell.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr.compose.keys import declared, recorded_choices
from sr.compose.known import dotted
from sr.compose.schema import TrainSchema
from sr.compose.suggestions import no_such_key
from sr.compose.words import Word, Words, listed, pasted, path_word, quoted
from sr.errors import UserError, reason, some
from sr.runs import own, yaml_file
from sr.runs.config import RECORD, flat, hydras_choices, plain, read_config, typed_words, upgraded
from sr.runs.latest import last_run, run_folder
from sr.runs.occupied import refuse_links
from sr.runs.trust import FOREIGN, refuse_foreign, refuse_impure, trust, trust_what_was_typed, trusts_place, trusts_run
from sr.whole import write_whole

FORMAT = 2
# Words of a run that somebody else began that choose a config by its name, or set a number, and neither say what to
# trust or read, nor leave out a look at the data; and those that say where images are.
GROUPS = "model|data|degradation|loss|optimizer|scheduler|recipe|budget|trainer|callbacks|experiment"
STRANGERS = re.compile(
    rf"[+]{{0,2}}(({GROUPS}|data\.lr)=\w+|(?!data\.check_)\w+(\.\w+)*=(-?\d[\d.]*(e-?\d+)?|true|false|null))"
)
IMAGES = re.compile(r"data(_dir|\.(root|train|val|test)(_lr)?)=[\w./~+-]+")
# Where a run reads data, and writes beside its folder; the user's own settings say it, or his words.
HERE = ("logger", "cache_dir", "data_dir")
ONE_PROCESS = {"accelerator": "auto", "devices": 1, "num_nodes": 1, "strategy": "auto"}
READ = re.compile(r"(.*\.)?(init_from|teacher|lr|(root|train|val|test)(_lr)?)")  # keys of files and folders
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Composed:
    """Of one run.

    Attributes:
        folder: of the run.
        config: as it was composed, with interpolations, before its budget was applied but with the budget's factor.
        words: that were typed.
        own: this user began it.
    """

    folder: Path
    config: DictConfig
    words: Words
    own: bool = True

    def has(self, word: Word) -> bool:
        """Whether a word says what the run has anyway."""
        if word.text.startswith("~"):
            return OmegaConf.select(self.config, word.key) is None
        if word.key in self.config.choices:
            return self.config.choices[word.key] == word.value
        return plain(OmegaConf.select(self.config, word.key)) == word.parsed

    def tell_foreign(self, words: Words) -> None:
        """Say what is done otherwise with a run that nothing shows to be this user's; once it goes on."""
        if not self.own:
            logs = "it logs to metrics.csv alone (or logger=wandb)"
            if "logger" in words:
                logs = "what its files tell of its steps is logged, too,"
            log.warning(
                f"note: nothing shows that you began this run here: {logs} and it looks for data in your own data_dir. "
                f"If it is your own: {_as_own(self.folder)}"
            )

    def changed(self, words: Words, cfg: DictConfig) -> DictConfig:
        """The config with what a resume may change.

        Args:
            words: typed for the resume; those about what a run keeps are passed over.
            cfg: composed with them, for the config groups among them.

        Raises:
            UserError: a word changes what the run was begun with.
        """
        config = self.config.copy()
        free = words.only(lambda key: not declared(key).fixed and not key.startswith(("hydra", "resume")))
        for word in free:
            parent, _, last = word.key.rpartition(".")
            node = OmegaConf.select(config, parent) if parent else config
            if word.text.startswith("~"):
                if node is not None:
                    node.pop(last, None)
            elif OmegaConf.is_config(chosen := OmegaConf.select(cfg, word.key)) and not parent:
                config[word.key] = OmegaConf.to_container(chosen, resolve=False)
            else:
                OmegaConf.update(config, word.key, word.parsed, force_add=True)
        if not self.own:
            self._refuse_places(config, words)
        # A node without keys says nothing that the missing of its keys does not say.
        then, now = ({k: v for k, v in flat(plain(c)).items() if v != {}} for c in (self.config, config))
        for key in dict.fromkeys([*then, *now]):
            if then.get(key) != now.get(key) and declared(key).fixed:
                why = [w.text.lstrip("+") for w in free if then.get(w.key) != now.get(w.key)]
                raise self.refusal(key, then.get(key), now.get(key), words, ", ".join(why))
        files = [Path(metric) for metric in map(str, config.metrics) if metric.endswith(".py")]
        if "metrics" not in words and (nowhere := [file for file in files if not file.expanduser().is_absolute()]):
            raise UserError(
                f"{self.folder / RECORD} names {some(nowhere)}, and where you stand another file may have that name. "
                "Type metrics=[...] anew, with the file's path"
            )
        return config

    def _refuse_places(self, config: DictConfig, words: Words) -> None:
        """Refuse what somebody else's run reads outside this user's data_dir and nobody typed.

        Its panels and its weights would show that, and they lie where somebody else may read them.
        """
        named = {key: listed(v) for key, v in flat(plain(config)).items() if READ.fullmatch(key) and key not in words}
        found = {key: v for key, v in named.items() if any(_outside(place, config.data_dir, key) for place in v)}
        if found:
            typed = [word.text for word in words if not word.key.startswith(("hydra", "resume"))]
            typed += [
                f"{key}=[{','.join(map(quoted, v))}]" if v[1:] else path_word(key, v[0]) for key, v in found.items()
            ]
            raise UserError(
                f"{self.folder} {FOREIGN} it reads {some([*chain(*found.values())])}, which its panels and "
                "its weights would show to whoever may read them. If that may be, type it yourself: "
                f"{pasted('train', [path_word('resume', self.folder), *typed])}\nIf it is your own run: "
                f"{_as_own(self.folder)}"
            )

    def refusal(self, key: str, then: Any, now: Any, words: Words, why: str = "") -> UserError:
        """What to say where a resume would change a key: itself, or by what is typed of others (`why`)."""
        follows, typed = f", which follows from {why}" if why else "", self.words.then(words)
        another = key.partition(".")[0] == "model"  # which its weights may not fit
        begin = f" from its weights: {from_its_weights(self.folder, typed)}"
        begin = f": {anew(_pasteable(self.folder, typed))}" if another else begin
        return UserError(
            f"a run goes on with what it was begun with, but {key} was {then}, is {now}{follows}. Leave that "
            f"out, or begin a new run{begin}"
        )


def _outside(place: str, data_dir: str, key: str) -> bool:
    """Whether something is at a place, and not in this user's data_dir."""
    path, folder = Path(place).expanduser(), Path(data_dir).expanduser().absolute()
    at = (folder if key.endswith(".lr") else Path.cwd()) / path  # the former is looked for in a set's own folder
    return ".." in path.parts or (at.exists() and not at.is_relative_to(folder))


def from_its_weights(folder: Path, words: Words) -> str:
    """The command that begins a new run from the weights of the one in a folder."""
    return anew(_pasteable(folder, words).without("init_from"), path_word("init_from", folder))


def _pasteable(folder: Path, words: Words) -> Words:
    """What is pasted counts as typed, so is trusted: of somebody else's words those that only choose and count."""
    return (
        words if trusts_run(folder) else Words(t for t in words.texts if STRANGERS.fullmatch(t) or IMAGES.fullmatch(t))
    )


def anew(words: Words, *more: str) -> str:
    """The command that begins a new run with these words."""
    kept = words.only(lambda key: not key.startswith(("hydra.", "resume")))
    return pasted("train", [*(f"--config-dir={folder}" for folder in words.config_dirs), *kept.texts, *more])


def keep(folder: Path, config: DictConfig, words: Words, mine: bool = True) -> None:
    """Write `composed.yaml`, whole or not at all; signed where it is this user's, and not a stranger's begun anew."""
    content = {"format": FORMAT, "words": words.texts, "config_dirs": [*words.config_dirs]}
    content["config"] = _without_impure(config)
    text = OmegaConf.to_yaml(OmegaConf.create(content))
    write_whole(folder / RECORD, own.signed(text) if mine else text)


def keep_length(run: Composed, words: Words) -> None:
    """Keep how long a run is to be from a resume on: the next one, which need not say it again, goes on to there.

    Only where this user began it, and by keys that say nothing else.
    """
    words = words.only(lambda key: declared(key).budget == "steps" and not declared(key).fixed)
    if not words.texts or not own.began(run.folder):
        return
    config = run.config.copy()
    for word in words:
        OmegaConf.update(config, word.key, word.parsed, force_add=True)
    keep(run.folder, config, run.words.then(words))


def read(folder: Path) -> Composed:
    """What the run in a folder was composed of; what this user did not write is looked through before it is believed.

    Raises:
        UserError: nothing tells it, it is damaged, a newer version wrote it, or it asks for more than to be read.
    """
    file = folder / RECORD
    if file.is_file():
        text = yaml_file.text_of(file)  # once: what is verified is what is parsed
        content = yaml_file.parsed(text, file)
        try:
            if content["format"] > FORMAT:
                raise UserError(f"{file} was written by a newer version of this project (format {content['format']})")
            raw, words = content["config"], Words(content["words"])
            mine = own.is_own(text)
            words = Words(words.texts, content.get("config_dirs", ())) if mine else words
        except (TypeError, LookupError) as error:
            raise UserError(f"{file} is not what a run of this project writes there") from error
    else:
        file = folder / ".hydra" / "config.yaml"
        raw, words, mine = _of_format_1(folder), typed_words(folder), False
    if not isinstance(raw, dict):
        raise UserError(f"{file} is not what a run of this project writes there")
    raw = upgraded(raw)
    mine = mine or trusts_place(folder.resolve())
    if not mine:
        raw = _within_folder(raw)
        with_own = raw | {"cache_dir": "", "data_dir": ""}
        try:
            for values in (with_own, refuse_impure(with_own, file)):
                refuse_foreign(values, file)
        except UserError as error:
            raise UserError(
                f"{error}\nIf you began this run yourself, as on another machine: {_as_own(folder)}"
            ) from error
        if wrong := [text for text in words.texts if not text.isprintable()]:
            raise UserError(f"{file} is not what a run of this project writes there: {wrong[0]!r}")
    try:
        OverridesParser.create().parse_overrides(words.texts)
        config = OmegaConf.merge(OmegaConf.structured(TrainSchema), raw)
        assert isinstance(config, DictConfig)
        if mine:
            trust_what_was_typed(config)  # for its checkpoints, too
        return Composed(folder, config, words.without("resume"), mine)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"{file} is not what a run of this project writes there: {reason(error)}") from error


def _as_own(folder: Path) -> str:
    """The command that goes on with a run as with one's own."""
    return pasted("train", [path_word("resume", folder), f"trust=[{quoted(folder)}]"])


def _within_folder(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A config of somebody else, which logs, caches, downloads and looks for data where this user does, in one process.

    What he types, as trainer=ddp, goes before it.
    """

    def walk(node: Any) -> Any:
        if isinstance(node, Mapping):
            own = {"cache_dir": "${cache_dir}", "data_dir": "${data_dir}", "download": False, "num_workers": None}
            return {key: own[key] if key in own else walk(value) for key, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, list) else node

    found = {key: walk(value) for key, value in raw.items() if key not in HERE}
    if isinstance(trainer := found.get("trainer"), dict):
        found["trainer"] = trainer | ONE_PROCESS
    if isinstance(zoo := found.get("zoo"), dict):
        found["zoo"] = {key: value for key, value in zoo.items() if key not in ("dir", "download")}
    return found


def _of_format_1(folder: Path) -> Any:
    file = folder / ".hydra" / "config.yaml"
    if not file.is_file():
        raise UserError(f"{folder} cannot be gone on with: neither {RECORD} nor .hydra/config.yaml is in it")
    raw = yaml_file.read(file)
    if isinstance(raw, dict) and isinstance(budget := raw.get("budget"), dict):
        raw["choices"] = raw.get("choices") or recorded_choices(hydras_choices(folder))
        then = read_config(folder).get("budget") or {}
        if budget.get("factor") is None and then.get("name") == budget.get("name"):
            budget["factor"] = then.get("factor")
        raw["resume"] = None
    return raw


def _without_impure(config: DictConfig) -> dict[str, Any]:
    """In plain values; interpolations stay but for those that read the environment or the like, which are resolved."""

    def walk(node: Any, path: str) -> Any:
        if isinstance(node, Mapping):
            return {key: walk(value, f"{path}.{key}" if path else str(key)) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value, f"{path}[{i}]") for i, value in enumerate(node)]
        if isinstance(node, str) and not yaml_file.pure(node):
            return OmegaConf.select(config, path)
        return node

    found: dict[str, Any] = walk(OmegaConf.to_container(config, resolve=False), "")
    return found


def with_resumed_run(words: Words) -> Words:
    """`resume=last` or `resume=<run folder>` becomes a command in the run's own folder, with what may change in it.

    Raises:
        UserError: there is no such run, or what was typed beside it changes what the run was begun with.
    """
    value = words.value("resume")
    if value is None:
        return words
    folder = (last_run(Path("outputs")) if value == "last" else run_folder(Path(value))).resolve()
    refuse_links(folder)
    if trusted := words.last("trust"):  # before the run is read, which may be what is trusted
        trust(listed(trusted.parsed))
    if place := words.value("hydra.run.dir"):
        if Path(place).resolve() != folder:  # where another run may be
            again = from_its_weights(folder, read(folder).words.then(words))
            raise UserError(
                f"resume={value} goes on in the run's own folder, {folder}: leave hydra.run.dir={place} out. To begin "
                f"another run from its weights: {again}"
            )
        return words
    run = read(folder)
    texts = []
    for word in words.without("resume"):
        if not declared(word.key).fixed:
            # Hydra composes with another model and data set than the run's, which may not have this key.
            add = "." in word.key and not word.key.startswith("hydra") and word.text[0] not in "+~"
            texts.append(f"++{word.text}" if add else word.text)
        elif not run.has(word):
            known = [*run.config.choices, *dotted(OmegaConf.to_container(run.config, resolve=False))]
            in_list = OmegaConf.select(run.config, word.key) is not None  # as degradation.steps.0.sigma
            if word.text[0] not in "+~" and word.key not in known and not in_list:
                raise UserError(no_such_key(word.key, word.key, known))
            then = OmegaConf.select(run.config, f"choices.{word.key}") or OmegaConf.select(run.config, word.key)
            raise run.refusal(word.key, then, word.value, words)
    path = quoted(folder)
    return Words([*texts, f"resume={path}", f"hydra.run.dir={path}", "hydra.output_subdir=null"])
