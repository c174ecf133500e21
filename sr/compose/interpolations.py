"""Interpolations of configs that anybody may have written, with a limit: OmegaConf has none."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from omegaconf import Container
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import InterpolationResolutionError

MOST = 2_000  # interpolations and collections that one value may become; a run's whole config has below 100


def limit() -> None:
    """Refuse values that repeat each other, as b: ${a}${a} and c: ${b}${b} on and on; harmless when repeated."""
    if not hasattr(Container.resolve_parse_tree, "__wrapped__"):
        within = _Within()
        Container.resolve_parse_tree = within(Container.resolve_parse_tree)  # type: ignore[method-assign]
        BaseContainer._to_content = staticmethod(within(BaseContainer._to_content))  # type: ignore[method-assign]


class _Within:
    """How deep these functions are in each other, and how often they were called since the outermost of them."""

    depth = calls = 0

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls = self.calls + 1 if self.depth else 0
            if self.calls > MOST:
                text = "a config is refused: its interpolations repeat each other without end"
                raise InterpolationResolutionError(text)
            self.depth += 1
            try:
                return function(*args, **kwargs)
            finally:
                self.depth -= 1

        return counted
