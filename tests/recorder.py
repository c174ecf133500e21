"""What stands where a GPU would record steps."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any


class Recorder:
    """Repeats a step by calling its function again."""

    def __init__(self, watched: str = "") -> None:
        self.watched = watched
        self.replays = self.recorded = 0

    def aside(self) -> Any:
        return nullcontext()

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1

        def replay() -> None:
            self.replays += 1
            function()

        return replay
