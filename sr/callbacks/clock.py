"""How long a run has trained, counted over all its resumes, and how it ended."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from sr.errors import UserError, reason
from sr.runs.record import record, recorded
from sr.runs.started import number_of
from sr.runs.version import told

log = logging.getLogger(__name__)


class Clock(L.Callback):
    """Counts the seconds of training steps, validation left out; they stand in the checkpoint beside their steps.

    After a resume it goes on from those of the checkpoint: what was trained after it, and lost, does not count.
    """

    def __init__(self) -> None:
        self.before = 0.0  # seconds up to the last time it was stopped
        self._since: float | None = None  # a running clock's start

    @property
    def seconds(self) -> float:
        return self.before + (0.0 if self._since is None else time.monotonic() - self._since)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        known = state_dict.get("seconds")
        self.before = float(known) if isinstance(known, float | int) and 0 <= known < 1e12 else 0.0

    def on_train_start(self, *_: Any) -> None:
        if self._since is None:
            self._since = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.on_train_start()

    def _stop(self, *_: Any, **__: Any) -> None:
        self.before, self._since = self.seconds, None

    on_validation_start = on_train_end = on_exception = _stop

    @contextmanager
    def recording(
        self,
        folder: Path,
        trainer: L.Trainer,
        resumed: Mapping[str, Any] | None = None,
        digests: Mapping[str, str] | None = None,
        settings: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Keep `run.json` while the run goes on: running, then finished, interrupted, or failed with the error.

        A finished run stays so where what was asked of it now fails before a step is done: it is what it was.

        Args:
            folder: of the run.
            trainer: that trains it.
            resumed: the checkpoint that it goes on from, with the steps and seconds up to it.
            digests: of the code and the weights that it is made of.
            settings: the `identity` of the config that it trains with; None where it is complete.

        Yields:
            What else should stand in it, to be filled in.
        """
        facts: dict[str, Any] = {"digests": dict(digests)} if digests else {}
        facts |= {"settings": settings} if settings else {}
        begun = int(resumed["global_step"]) if resumed else 0
        known = (resumed or {}).get("callbacks", {}).get(self.state_key)
        if isinstance(known, Mapping):
            self.load_state_dict(dict(known))

        def write(status: str, error: str | None = None) -> None:
            if not trainer.is_global_zero or number_of("LOCAL_RANK", 0) > 0:
                return  # the rank is not known to the trainer before it trains
            if self.seconds:
                # A run that is only measured again has a trainer that took no step.
                facts.update(seconds=round(self.seconds, 3), steps=max(begun, trainer.global_step))
            untrained = status != "running" and resumed is not None and trainer.global_step <= begun
            facts["code"] = trained_by if untrained else list(dict.fromkeys([*trained_by, told()]))
            record(folder, status, device=trainer.strategy.root_device.type, error=error, **facts)

        def ended(status: str, error: str | None = None) -> None:
            untouched = former.get("status") == "finished" and trainer.global_step <= begun
            try:
                if untouched and trainer.is_global_zero and number_of("LOCAL_RANK", 0) == 0:
                    record(folder, **former)
                else:
                    write(status, error)
            except (OSError, UserError) as unwritten:  # on a full disk, or moved: the error tells more
                log.warning(f"warning: {folder / 'run.json'} still says running: {reason(unwritten)}")

        former = recorded(folder)
        trained_by = former.get("code", [])
        write("running")
        try:
            yield facts
        except Exception as error:
            ended("failed", f"{type(error).__name__}: {error}")
            raise
        except BaseException:
            ended("interrupted")
            raise
        write("finished")
