"""One part of the run, in a process of its own: its cases, and the lines that they leave.

A line is written when a case begins and when it ends, so that nothing is lost with the process. A process that is
started again after a crash goes on behind the case that it died in.
"""

import argparse
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

BROKEN, NO_DEVICE = 17, 18  # exit status: CUDA is of no more use in this process; there is no GPU
LONGEST = 300  # letters of a note


class RefusedError(Exception):
    """What a case needs is not there; in words."""


class OutOfTimeError(BaseException):
    """A case took longer than it may; no Exception, so that nothing between takes it for a failure of its own."""


class Part:
    """What a part is given, and where its rows go.

    Args:
        name: of the part.
        file: of the lines.
        seconds: until the part should end.
        scratch: a folder of its own.
        toy: toy sizes, on the processor.
    """

    def __init__(self, name: str, file: Path, seconds: float, scratch: Path, toy: bool) -> None:
        self.name, self.file, self.scratch, self.toy = name, file, scratch, toy
        self.until = time.monotonic() + seconds
        self.begun = {key(line) for line in lines(file)}
        self.folders = 0
        shared = os.environ.get("SR_SHARED")
        self.shared = Path(shared) / "data" if shared else None

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    def folder(self) -> Path:
        """One that is not there yet."""
        self.folders += 1
        return self.scratch / f"{self.name}_{os.getpid()}_{self.folders}"

    def write(self, **line: Any) -> None:
        """Add a line."""
        with self.file.open("a", encoding="utf-8") as f:
            f.write(json.dumps(line, default=str) + "\n")

    def row(self, table: str, labels: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
        """A row of a table."""
        self.write(table=table, labels=dict(labels), measured=dict(measured))

    def case(
        self, table: str, labels: Mapping[str, Any], do: Callable[[], Mapping[str, Any]], seconds: float = 30.0
    ) -> None:
        """Add a row: the labels and what `do` measures; where it fails or takes too long, a note that says so.

        A toy may take ten times as long, on whatever machine.
        """
        if key({"table": table, "labels": labels}) in self.begun:
            return
        seconds = min(10 * seconds if self.toy else seconds, self.left)
        if seconds < 1:
            self.row(table, labels, {"note": "no time was left"})
            return
        self.write(table=table, labels=dict(labels))
        print(f"\n===== {table}: {labels}", flush=True)
        try:
            with limited(seconds):
                measured = do()
        except RefusedError as refused:
            measured = {"note": f"refused: {refused}"[:LONGEST]}
        except OutOfTimeError:
            measured = {"note": f"took longer than {seconds:.0f} s"}
        except Exception as error:
            traceback.print_exc()
            measured = {"note": f"failed: {type(error).__name__}: {error}"[:LONGEST]}
        self.row(table, labels, measured)
        if "note" in measured and broken():
            os._exit(BROKEN)

    def check(self, name: str, do: Callable[[], tuple[bool, str]], seconds: float = 30.0) -> None:
        """Add a row of `checks`: whether what should hold does, and what was found."""

        def found() -> Mapping[str, Any]:
            passed, text = do()
            return {"passed": bool(passed), "found": text}

        self.case("checks", {"check": name}, found, seconds)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises `OutOfTimeError` in the main thread after so many seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTimeError

    began, handler = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    before, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:  # somebody else's, who waits as before
            signal.setitimer(signal.ITIMER_REAL, max(0.01, before - (time.monotonic() - began)))


def broken() -> bool:
    """Whether this process has used a GPU and cannot any more, as after an address that was none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
        torch.zeros(1, device="cuda").item()
    except Exception:
        traceback.print_exc()
        return True
    return False


def key(line: Mapping[str, Any]) -> str:
    """Of a row, by its table and labels."""
    return json.dumps([line.get("table"), line.get("labels")], default=str)


def lines(file: Path) -> list[dict[str, Any]]:
    """What was written so far; a line that was cut off is left out."""
    found = []
    for text in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def main() -> None:
    """Run a part: a module's `run(part)`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("--name", required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--toy", action="store_true")
    typed = vars(parser.parse_args())
    module = typed.pop("module")
    part = Part(**typed)
    importlib.import_module(module).run(part)


if __name__ == "__main__":
    from gpu.part import main as run_main  # the module that the parts import, not a second one of the same name

    run_main()
