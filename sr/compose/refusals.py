"""Words that Hydra would take for something that nobody means; they are refused before it composes with them."""

from contextlib import suppress
from typing import Any

from hydra.errors import HydraException

from sr.compose.known import single_groups
from sr.compose.suggestions import one_of
from sr.compose.words import Word, Words
from sr.errors import UserError


def refuse_meaningless(command: str, words: Words) -> None:
    """Look at what was typed.

    Args:
        command: train, evaluate, ...
        words: its own, spelled out.

    Raises:
        UserError: nothing stands behind an equals sign, as where a variable of the shell is empty: `init_from=` would
            train from scratch. Or a group of which one option is needed is chosen as none or as several.
    """
    single = single_groups(command)
    for word in words:
        key, equals, value = word.text.partition("=")
        if equals and not value.strip("'\" "):
            raise UserError(
                f"{word.text}: nothing stands behind the =. Is a variable of the shell empty? Leave the word out, or "
                f"type {key}=null for none"
            )
        if word.key.partition("@")[0] in single and not word.text.startswith("~"):
            with suppress(HydraException):  # what cannot be read is refused as that
                if not word.several and _options(word) != 1:
                    group = word.key.partition("@")[0]
                    raise UserError(f"{word.text}: choose one of the group by its name. {one_of(group, word.value)}")


def _options(word: Word) -> int:
    parsed: Any = word.parsed
    return len(parsed) if isinstance(parsed, list) else int(isinstance(parsed, str))
