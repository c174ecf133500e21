"""The network that another one learns from: of a run, a checkpoint, an author's file or a name of the zoo."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from sr.errors import UserError
from sr.models.base import SuperResolver
from sr.runs import checkpoint
from sr.zoo.entries import shipped
from sr.zoo.load import beginning


def teacher(source: str | None, scale: Any, zoo: Mapping[str, Any]) -> SuperResolver:
    """A trained network in the form to deploy.

    Args:
        source: as typed; None for the one of the scale that travels with the package.
        scale: of the run, or a list.
        zoo: its settings, see sr.compose.schema.Zoo.

    Raises:
        UserError: it is not there or cannot be read.
    """
    if source is None:
        own = None if isinstance(scale, list) else shipped().get(scale)
        if own is None:
            raise UserError(f"no network x{scale} travels with the package: type teacher=<a run or a name of the zoo>")
        source = own.name
    found = beginning(source, SimpleNamespace(**zoo), None if isinstance(scale, list) else scale, key="teacher")
    return checkpoint.build(found, source).merged()
