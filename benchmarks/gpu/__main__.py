"""Every check and every timing that needs a GPU, in one run: each part a process of its own with a time of its own.

What is known is written as each part ends, so that a run that is stopped has lost only the part in which it was.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gpu.part import NO_DEVICE, key, lines
from gpu.report import markdown

SECONDS = 455.0  # of the whole run
GRACE = 8.0  # seconds in which a part may end what it has begun
ROOM = 60  # letters of a temporary folder in which sockets, whose paths have 107 at most, still have a place
START = 10.0  # seconds at least that are worth a start
WHOLE, LATE, ABSENT = "whole", "its time was up", "this torch sees no GPU here; --toy needs none"  # how a part ended


class Planned(NamedTuple):
    """A part: the module that holds it, and the seconds that it may take, start included; None: what is left."""

    module: str
    seconds: float | None


PARTS = {  # what must hold first
    "equal": Planned("gpu.equal", 35),
    "loop": Planned("gpu.loop", 110),
    "edsr_baseline": Planned("gpu.steps", 90),
    "crops": Planned("gpu.crops", 30),
    "rlfn": Planned("gpu.steps", 45),
    "bsrn": Planned("gpu.steps", 45),
    "clips": Planned("gpu.clips", 50),
    "using": Planned("gpu.using", 40),
    "learning": Planned("gpu.learning", None),
}


class Run:
    """The parts, one after the other.

    Args:
        out: folder of the results.
        scratch: folder for everything else.
        seconds: of all parts together.
        toy: toy sizes on the processor.
    """

    def __init__(self, out: Path, scratch: Path, seconds: float, toy: bool) -> None:
        self.out, self.scratch, self.runs, self.toy = out, scratch, scratch / "runs", toy
        self.runs.mkdir()
        self.began, self.until = time.monotonic(), time.monotonic() + seconds
        self.ended: list[dict[str, Any]] = []
        self.environment = environment(scratch)

    def perform(self, parts: Mapping[str, Planned]) -> dict[str, Any]:
        """All of them, with the results written after each."""
        for name, planned in parts.items():
            left = self.until - time.monotonic()
            self.part(name, planned.module, left if planned.seconds is None else min(planned.seconds, left))
            self.write()
            if self.ended[-1]["ended"] == ABSENT:
                break
        return self.write()

    def part(self, name: str, module: str, seconds: float) -> None:
        """One part; a process that dies is started again behind the case in which it died."""
        file, began = self.scratch / f"{name}.jsonl", time.monotonic()
        how, before = "no time was left", -1
        while (left := seconds - (time.monotonic() - began)) >= min(START, seconds):
            how = self.process(name, module, file, left)
            found = lines(file)
            note_unfinished(file, found, how)
            if how in (WHOLE, LATE, ABSENT) or len(found) == before:
                break
            before = len(found)
        self.ended.append({"part": name, "seconds": round(time.monotonic() - began, 1), "ended": how})

    def process(self, name: str, module: str, file: Path, seconds: float) -> str:
        """Run a part's process; how it ended."""
        typed = [sys.executable, "-m", "gpu.part", module, "--name", name, "--file", file]
        typed += ["--seconds", max(0.0, seconds - GRACE / 2), "--scratch", self.runs, *["--toy"] * self.toy]
        with (self.out / "gpu.log").open("a") as log:
            log.write(f"\n########## {name}\n")
            log.flush()
            process = subprocess.Popen(
                [str(word) for word in typed],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.runs,  # nothing in it is named like a module
                start_new_session=True,  # so that its workers end with it
            )
        try:
            status = process.wait(seconds + GRACE)
            how = {0: WHOLE, NO_DEVICE: ABSENT}.get(status, f"status {status}, see gpu.log")
        except subprocess.TimeoutExpired:
            how = LATE
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return how

    def write(self) -> dict[str, Any]:
        """gpu.json and gpu.md, as far as they are known."""
        found: dict[str, Any] = {"machine": {}, "parts": self.ended, "tables": {}}
        found["seconds"] = round(time.monotonic() - self.began, 1)
        for ended in self.ended:
            rows: dict[str, dict[str, Any]] = {}
            for line in lines(self.scratch / f"{ended['part']}.jsonl"):
                if "measured" in line:
                    rows[key(line)] = line
                found["machine"] |= line.get("machine", {})
            for line in rows.values():
                found["tables"].setdefault(line["table"], []).append(line["labels"] | line["measured"])
        (self.out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (self.out / "gpu.md").write_text(markdown(found), encoding="utf-8")
        return found


def note_unfinished(file: Path, found: list[dict[str, Any]], how: str) -> None:
    """Give a row to each case that was begun and not ended."""
    done = {key(line) for line in found if "measured" in line}
    with file.open("a", encoding="utf-8") as f:
        for line in found:
            if "table" in line and "measured" not in line and key(line) not in done:
                done.add(key(line))
                f.write(json.dumps(line | {"measured": {"note": f"the process ended here: {how}"}}) + "\n")


def environment(scratch: Path) -> dict[str, str]:
    """That of the parts: nothing is fetched, and nothing is written outside `scratch`."""
    places = {
        "XDG_CACHE_HOME": "caches/home/.cache",
        "XDG_CONFIG_HOME": "caches/home/.config",
        "MPLCONFIGDIR": "caches/home/.matplotlib",
        "SR_CACHE_DIR": "caches/images",
        "TORCHINDUCTOR_CACHE_DIR": "caches/inductor",
        "TRITON_CACHE_DIR": "caches/triton",
    }
    found = dict(os.environ)
    for name, place in places.items():
        (scratch / place).mkdir(parents=True, exist_ok=True)
        found[name] = str(scratch / place)
    if len(str(scratch)) < ROOM:
        found["TMPDIR"] = str(scratch)
    if not os.access(found.get("HOME", "/nowhere"), os.W_OK):
        found["HOME"] = str(scratch / "caches/home")
    found.setdefault("USER", "somebody")  # torch names folders after it; there may be none
    offline = {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    return found | offline


def main() -> None:
    """Run all, or some, and tell."""
    parser = argparse.ArgumentParser(prog="gpu.sh", description=__doc__, allow_abbrev=False)
    parser.add_argument("out", type=Path, help="folder for gpu.json, gpu.md and gpu.log")
    parser.add_argument("--toy", action="store_true", help="toy sizes on the processor, to see that it runs")
    parser.add_argument("--seconds", type=float, help=f"of the whole run ({SECONDS:.0f}; a toy takes what it takes)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="some of them")
    typed = parser.parse_args()
    typed.out.mkdir(parents=True, exist_ok=True)
    out = typed.out.resolve()
    (out / "gpu.log").write_text("")
    with tempfile.TemporaryDirectory(prefix="sr_gpu_", ignore_cleanup_errors=True) as scratch:
        run = Run(out, Path(scratch).resolve(), typed.seconds or (3600 if typed.toy else SECONDS), typed.toy)
        chosen = {name: PARTS[name] for name in typed.parts}
        found = run.perform({n: p._replace(seconds=None) for n, p in chosen.items()} if typed.toy else chosen)
    print((out / "gpu.md").read_text(encoding="utf-8"))
    failed = [row for rows in found["tables"].values() for row in rows if "failed" in str(row.get("note"))]
    wrong = [row for row in found["tables"].get("checks", []) if row.get("passed") is False]
    sys.exit(1 if failed or wrong or any(part["ended"] != WHOLE for part in run.ended) else 0)


if __name__ == "__main__":
    main()
