"""Words that Hydra would take for something that nobody means; they are refused before it composes with them."""

import logging
import re
from collections.abc import Sequence, Set
from contextlib import suppress
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException

from sr.compose.conf import CONF
from sr.compose.keys import root
from sr.compose.known import single_groups
from sr.compose.schema import SCHEMAS
from sr.compose.suggestions import ELSEWHERE, FLAGS, TAKING, one_of
from sr.compose.words import Word, Words, split
from sr.errors import UserError

log = logging.getLogger(__name__)
# Of these flags Hydra takes one; names as its parser has them.
MODES = {"-m": "multirun", "--run": "run", "--cfg": "cfg", "--info": "info", "--shell-completion": "shell_completion"}
# A variable of the environment, which a job is given: Hydra writes down its value, of env_copy, too.
SECRET = re.compile(r"\b[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSW)[A-Z0-9_]*\b")
COMPLETION = ("install=", "uninstall=", "query=")  # of a shell, as Hydra has it


def refuse_meaningless(command: str, words: Words) -> None:
    """Look at what was typed.

    Args:
        command: train, evaluate, ...
        words: its own, spelled out.

    Raises:
        UserError: nothing stands behind an equals sign, as where a variable of the shell is empty: `init_from=` would
            train from scratch. Or a group of which one option is needed is chosen as none or as several, or what every
            run needs is taken away.
    """
    single = single_groups(command)
    first: dict[str, Word] = {}
    for word in words:
        other = first.setdefault(word.key, word)
        # Of Hydra's own keys Lightning adds some once more to what it starts a run's other processes with.
        if other.value != word.value and not word.key.startswith("hydra."):
            log.warning(f"note: of {other.text} and {word.text} the last one typed holds")
            first[word.key] = word
        if word.key.startswith(("hydra.job.", "hydra.launcher.")) and (found := SECRET.search(word.text)):
            raise UserError(
                f"{word.key}: {found[0]} would stand in the command's folder, and in what is given to others. Leave "
                f"the word out, and before the command: export {found[0]}=..."
            )
        key, equals, value = word.text.partition("=")
        if equals and not value.strip("'\" "):
            raise UserError(
                f"{word.text}: nothing stands behind the =. Is a variable of the shell empty? Leave the word out, or "
                f"type {key}=null for none"
            )
        if word.text.startswith("~"):
            _refuse_taking_away(command, word, single)
        elif (group := word.key.partition("@")[0]) and (CONF / group).is_dir():
            with suppress(HydraException):  # what cannot be read is refused as that
                _refuse_other_than_names(word, group, group in single)


def _refuse_other_than_names(word: Word, group: str, single: bool) -> None:
    if word.several:
        return
    parsed: Any = word.parsed
    names = parsed if isinstance(parsed, list) else [parsed] * (parsed is not None)
    named = all(isinstance(name, str) for name in names)
    if single and not (named and len(names) == 1):
        raise UserError(f"{word.text}: choose one of the group by its name. {one_of(group, word.value)}")
    if not named:
        raise UserError(
            f"{word.text}: options of the group are chosen by their names, as {group}=[a,b]. "
            f"{one_of(group, word.value)}"
        )


def _refuse_taking_away(command: str, word: Word, single: Set[str]) -> None:
    if word.key in single:
        raise UserError(f"{word.text}: one of the group is needed. {one_of(word.key, '')}")
    if word.key in ("callbacks", "logger"):
        raise UserError(f"{word.text}: for none of them type {word.key}=[]")
    if word.key in root(SCHEMAS[command]) and not (CONF / word.key).is_dir():
        raise UserError(f"{word.text}: every command needs this key. Type the value that it should have")


def refuse_flags(command: str, arguments: Sequence[str]) -> None:
    """Look at the flags of a command line; what is typed beside them is key=value.

    Raises:
        UserError: something begins with a dash and is no flag of Hydra's, or two flags exclude each other.
    """
    parser = get_args_parser()
    known = parser._option_string_actions
    keys = root(SCHEMAS[command])
    for before, word, after in zip(["", *arguments], arguments, [*arguments[1:], ""], strict=False):
        flag, equals, value = word.partition("=")
        same = [option for option in known if option.startswith(flag)]
        others = FLAGS.get(flag, "") if command == "upscale" else ""
        if not flag.startswith("-") or before in TAKING or ((flag in known or len(same) == 1) and not others):
            continue
        name = flag.lstrip("-").replace("-", "_")
        key = others or (name if name in keys else ELSEWHERE.get(name.lower(), "").partition(" ")[0])
        value = value if equals else after if after and not after.startswith("-") and "=" not in after else "..."
        instead = f"type {key}={value}" if key else "what is typed is key=value, as model=bsrn scale=4"
        raise UserError(f"sr {command}: there is no flag {flag}: {instead}. Flags are -m (a sweep) and --help")
    chosen = parser.parse_known_args(split(arguments)[0])[0]
    modes = [flag for flag, name in MODES.items() if getattr(chosen, name)]
    if len(modes) > 1:
        instead = "leave -m out and give each key one value: a config is of one run" if "-m" in modes else "type one"
        raise UserError(f"sr {command}: {' and '.join(modes)} exclude each other: {instead}")
    if chosen.experimental_rerun is not None:  # a pickle, which runs what it names
        raise UserError(f"sr {command}: there is no --experimental-rerun: a run goes on by resume=RUN")
    if chosen.shell_completion and not any("=" in word and word.startswith(COMPLETION) for word in arguments):
        raise UserError(f"sr {command}: --shell-completion is typed with install=bash, install=zsh or install=fish")
    if chosen.config_name in {*SCHEMAS} - {command}:
        raise UserError(f"sr {command}: --config-name={chosen.config_name} is another command: sr {chosen.config_name}")
    if chosen.resolve and not (chosen.cfg or chosen.help):
        raise UserError(f"sr {command}: --resolve is for the config that --cfg shows: type --cfg job --resolve")
