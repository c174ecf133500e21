"""How long it took to become as good as each validation finds it: for the time to a paper's figure."""

import time
from typing import Any

import lightning.pytorch as L


class Stopwatch(L.Callback):
    """Logs `time/seconds` and `time/cpu_seconds` at each validation: of the run so far, validations left out.

    CPU seconds are those of this process, by which runs can be compared on a machine that has other work, too. They
    begin with the process, so that what comes before the first step is in them; the other seconds begin with the first
    step. After a resume both go on from those of the checkpoint.
    """

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0  # up to the last time it was stopped
        self._since: float | None = None  # a running watch's start
        self._cpu_since = 0.0  # at first that of the process
        self._begun = False

    def state_dict(self) -> dict[str, Any]:
        running = self._since is not None
        return {
            "seconds": self.seconds + (time.monotonic() - (self._since or 0.0)) * running,
            "cpu_seconds": self.cpu_seconds + (time.process_time() - self._cpu_since) * running,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.cpu_seconds = float(state_dict["seconds"]), float(state_dict["cpu_seconds"])

    def on_train_start(self, *_: Any) -> None:
        if self._since is None:
            self._since = time.monotonic()
            self._cpu_since = time.process_time() if self._begun else 0.0
            self._begun = True

    def _stop(self, *_: Any, **__: Any) -> None:
        if self._since is not None:
            self.load_state_dict(self.state_dict())
            self._since = None

    on_validation_start = on_train_end = _stop

    def on_validation_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._since, self._cpu_since = time.monotonic(), time.process_time()
            for logger in trainer.loggers:
                told = {"time/seconds": self.seconds, "time/cpu_seconds": self.cpu_seconds}
                logger.log_metrics(told, step=trainer.global_step - 1)
