"""YAML that anybody may have written, read as plain values: nothing is resolved but what stands in the file itself."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from sr import bounded
from sr.compose.rules import scale_name, share
from sr.errors import UserError, reason

LARGEST = 60_000  # characters; a run's records have some thousands
DEEPEST = 60  # nodes within each other
LONGEST = 1_000  # characters of a value with interpolations
MOST_VALUES = 200_000  # values and characters that interpolations may become
# Resolvers that a stored config may use: they compute with what stands in it.
PURE = {"share": share, "scale_name": scale_name}
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
REFERENCE = re.compile(rf"\$\{{\s*(?:(?P<path>\w[\w@.\[\]-]*)|(?P<name>{'|'.join(PURE)})\s*:(?P<args>[^${{}}]*))\s*\}}")


def read(file: Path) -> Any:
    """The contents of a file, interpolations as they are written.

    Raises:
        UserError: it cannot be read, is no YAML, or is more than a record can be.
    """
    return parsed(text_of(file), file)


def text_of(file: Path) -> str:
    """The text of a file that is not larger than a record can be.

    Raises:
        UserError: it is, or it cannot be read.
    """
    with _reading(file):
        text = bounded.text_of(file, 4 * LARGEST)
    if len(text) > LARGEST:
        raise UserError(f"{file} is refused: it is larger than any record of a run")
    return text


def parsed(text: str, file: Path) -> Any:
    """The contents of a file's text, as `read`."""
    with _reading(file):
        _refuse_growth(text, file)
        return OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)


def quickly(file: Path) -> Any:
    """The contents of a file as plain YAML has them, ten times as fast as `read`: of what is only looked at.

    Raises:
        UserError: as `read`; of interpolations nothing is checked.
    """
    text = text_of(file)
    with _reading(file):
        _refuse_growth(text, file)
        return yaml.load(text, Loader=FAST)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # parsers raise whatever damage leads them to
        raise UserError(f"{file} cannot be read: {reason(error)}. It is damaged, or not a run's") from error


def _refuse_growth(text: str, file: Path) -> None:
    """Refuse what is small here and large once it is read: a thing that is named and repeated, nodes without end."""
    depth = 0
    for event in yaml.parse(text, Loader=FAST):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        long = isinstance(event, yaml.ScalarEvent) and "${" in event.value and len(event.value) > LONGEST
        if long or depth > DEEPEST or isinstance(event, yaml.AliasEvent):
            raise UserError(f"{file} is refused: it holds what no run writes (line {event.start_mark.line + 1})")


def refuse_endless(file: Path) -> None:
    """Look at a config of the user's own, or of a folder that was typed: what is named may be repeated, within bounds.

    Raises:
        UserError: it cannot be read, is no YAML, or is small here and would be large once it is read.
    """
    try:
        text, total = bounded.text_of(file), 0
        sizes: dict[str, int] = {}  # of what is named
        inside: list[tuple[str | None, int]] = []  # names of the collections that are open, with what came before them
        for event in yaml.parse(text, Loader=FAST):
            if isinstance(event, yaml.CollectionStartEvent):
                inside.append((event.anchor, total))
            elif isinstance(event, yaml.CollectionEndEvent):
                name, before = inside.pop()
                sizes |= {name: total - before} if name else {}
            elif isinstance(event, yaml.AliasEvent):
                total += sizes.get(event.anchor, 0)  # 0: a scalar's, or of what it stands in, which OmegaConf refuses
            total += 1
            if total > MOST_VALUES or len(inside) > DEEPEST:
                raise UserError(f"{file} is refused: it holds values within values without end")
    except UserError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{file}, line {line}: {error.problem}. Mend it") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: {reason(error)}") from error


def pure(text: str) -> bool:
    """Whether a value's interpolations look at nothing but the config.

    No other `$` may stand in it: joined to other values, it could become an interpolation that is resolved later.

    Args:
        text: the value; one interpolation may stand within another, and name a resolver so.
    """
    while (shorter := REFERENCE.sub("x", text)) != text:
        text = shorter
    return "$" not in text


def resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with its interpolations resolved, but for those that look elsewhere or lead nowhere: they stay as text.

    Raises:
        UserError: they grow without end.
    """
    try:
        found: dict[str, Any] = _Resolver(config).value(config)
    except RecursionError as error:
        raise UserError("a config is refused: its interpolations lead to each other without end") from error
    return found


class _Resolver:
    """OmegaConf's interpolations of nodes and of `PURE`, with a limit: theirs have none."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config, self.left = config, MOST_VALUES

    def value(self, node: Any) -> Any:
        self.left -= 1 + (len(node) if isinstance(node, str) else 0)
        if self.left < 0:
            raise UserError("a config is refused: its interpolations repeat each other without end")
        if isinstance(node, Mapping):
            return {str(key): self.value(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [self.value(inner) for inner in node]
        if isinstance(node, str) and "${" in node and pure(node):
            try:
                return self._text(node)
            except (LookupError, TypeError, ValueError, yaml.YAMLError) as error:
                if isinstance(error, UserError):
                    raise
        return node

    def _text(self, text: str) -> Any:
        while found := REFERENCE.search(text):
            value = self._reference(found)
            if found[0] == text.strip():
                return value
            text = text[: found.start()] + str(value) + text[found.end() :]
            self.left -= len(text)
            if len(text) > LONGEST:
                raise UserError("a config is refused: its interpolations grow without end")
        return text

    def _reference(self, found: re.Match[str]) -> Any:
        if found["name"]:
            return PURE[found["name"]](*yaml.safe_load(f"[{found['args']}]"))  # type: ignore[operator]
        node: Any = self.config
        for part in re.split(r"[.\[\]]+", found["path"].rstrip("]")):
            node = node[int(part)] if isinstance(node, list) else node[part]
        return self.value(node)
