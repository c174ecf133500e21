"""A run that Slurm takes away at random moments, beside one that it leaves alone: python tests/faults/preemptions.py

Both are jobs of a Slurm that is there (sbatch, srun, scontrol), submitted once each. The one is asked by USR1, as
`sbatch --signal` and a preempting Slurm do, and then puts its job back itself; or its job is put back by Slurm
(`scontrol requeue`), which sends SIGTERM. Nobody types anything in between. In the end all that the runs left is
compared, the files of W&B among it. Slurm begins such a job again after two minutes, which are not waited for.
"""

import argparse
import csv
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

from kills import differences, random_photos, reached  # noqa: E402
from wandb_files import Kept  # noqa: E402

WORDS = ["model=ecbsr_m4c8", "scale=2", "data=div2k", "data.root=../DIV2K", "batch_size=2", "patch_size=8",
         "val_every_steps=400", "save_every_steps=170", "trainer.log_every_n_steps=20", "benchmarks=null",
         "trainer.enable_progress_bar=false"]  # fmt: skip
HOW = ("USR1", "requeue")
DIFFER = ("data_wait", "panels", "artifact_path")  # what no two runs have alike in W&B's files
LIMIT = 900.0  # seconds of anything that is waited for


@dataclass
class Preemption:
    """One time that Slurm took the job away.

    Attributes:
        seed: of the draw.
        tasks: of the job, which train as so many processes.
        number: of the attempt that ended.
        how: USR1, after which the run puts its job back, or requeue, by Slurm.
        seconds: since the job began to run.
        reached: how far the run had come.
        identical: whether the run left in the end what the one left that was not disturbed.
        differing: files that are not the same.
    """

    seed: int
    tasks: int
    number: int
    how: str
    seconds: float
    reached: str
    identical: bool = False
    differing: str = ""


class Job:
    """A run as a job of Slurm's, in a folder of its own."""

    def __init__(self, folder: Path, tasks: int, steps: int) -> None:
        self.folder = folder
        folder.mkdir()
        command = [sys.executable, "-u", "-m", "sr", "train", *WORDS, f"steps={steps}"]
        script = ["#!/bin/bash", f"srun --ntasks={tasks} --overcommit {' '.join(command)}", ""]
        (folder / "job.sh").write_text("\n".join(script))
        environment = {**os.environ, "SR_CACHE_DIR": str(folder.parent / "cache"), "PYTHONPATH": str(ROOT),
                       "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}  # fmt: skip
        typed = [
            "sbatch",
            "--parsable",
            "--requeue",
            "--open-mode=append",
            f"--ntasks={tasks}",
            "--overcommit",
            "--output=job.out",
        ]
        self.id = _printed([*typed, "job.sh"], cwd=folder, env=environment).strip()

    def state(self) -> tuple[str, int]:
        """`PENDING`, `RUNNING` and so on, and how often it was put back."""
        shown = _printed(["scontrol", "show", "job", "-o", self.id])
        state, restarts = re.search(r"JobState=(\w+)", shown), re.search(r"Restarts=(\d+)", shown)
        assert state and restarts, shown
        return state[1], int(restarts[1])

    def wait(self, *states: str, restarts: int = 0) -> str:
        """Wait until it is in one of the states, having been put back so often."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            state, times = self.state()
            if state in states and (times >= restarts or state == "COMPLETED"):
                return state
            if state in ("FAILED", "CANCELLED", "TIMEOUT"):
                break
            time.sleep(0.3)
        raise SystemExit(f"job {self.id} is {state}, wanted was {' or '.join(states)}:\n{self.printed}")

    def take_away(self, how: str, restarts: int) -> bool:
        """Preempt it; whether it was, and not at its end already."""
        command = ["scancel", "--signal=USR1", self.id] if how == "USR1" else ["scontrol", "requeue", self.id]
        subprocess.run(command, capture_output=True, check=False)
        if self.wait("PENDING", "COMPLETED", restarts=restarts) == "COMPLETED":
            return False
        # not in the second that it was taken away in: its credentials are revoked, and it would count as failed
        _printed(["scontrol", "update", f"jobid={self.id}", "starttime=now+2"])
        return True

    @property
    def run(self) -> Path:
        """The run's folder: one, whatever became of the job."""
        found = sorted(self.folder.glob("outputs/*/*/"))
        if len(found) > 1:
            raise SystemExit(f"one run made {len(found)} folders: {found}")
        return found[0] if found else self.folder / "none"

    @property
    def printed(self) -> str:
        file = self.folder / "job.out"
        return file.read_text(errors="replace") if file.is_file() else ""


def _printed(command: list[str], **how: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **how)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def history(run: Path) -> tuple[set[str], dict[int, dict[str, Any]]]:
    """The numbers of its W&B runs, and what their files say of each step; times differ, and where W&B keeps tables."""
    numbers, found = set(), {}
    for file in sorted((run / "wandb").glob("offline-run-*/*.wandb")):
        kept = Kept(file)
        if "run" not in kept.kinds:  # stopped before W&B had begun: nothing was logged
            continue
        numbers.add(kept.run.run_id)
        for row in kept.history:
            said = {k: v for k, v in row.items() if not k.startswith("_") and not any(word in k for word in DIFFER)}
            if "trainer/global_step" in said:
                found.setdefault(said["trainer/global_step"], {}).update(said)
    return numbers, found


def disturbed(folder: Path, name: str, tasks: int, steps: int, most: int, seed: int, ready: float) -> list[Preemption]:
    """Run a job and take it away up to `most` times, each a random time after it began."""
    job, draw, found = Job(folder / name, tasks, steps), random.Random(f"{seed} {name}"), []
    while len(found) < most:
        if job.wait("RUNNING", "COMPLETED", restarts=len(found)) == "COMPLETED":
            break
        began, how = time.monotonic(), draw.choice(HOW)
        time.sleep(2 + draw.uniform(0, 1.5) * ready)  # of the first moments Python does not know
        if job.take_away(how, len(found) + 1):
            seconds = round(time.monotonic() - began, 1)
            found.append(Preemption(seed, tasks, len(found), how, seconds, reached(job.run)))
            print(*list(asdict(found[-1]).values())[:-2], sep="; ", flush=True)
    job.wait("COMPLETED")
    whole = next((folder / "whole").glob("outputs/*/*/"))
    differing = differences(whole, job.run)
    (_, there), (numbers, here) = history(whole), history(job.run)
    if len(numbers) != 1 or there != here or not there:
        differing.append("wandb")
    for one in found:
        one.identical, one.differing = not differing, " ".join(differing)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="that a job is taken away, at least")
    parser.add_argument("--tasks", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="a CSV file; a line for each time")
    parser.add_argument("--folder", type=Path, help="where it works; what the runs left is kept there")
    chosen = parser.parse_args()
    folder = (chosen.folder or Path(tempfile.mkdtemp(prefix="preemptions_"))).resolve()
    random_photos(folder / "DIV2K" / "DIV2K_train_HR", range(1, 4))
    random_photos(folder / "DIV2K" / "DIV2K_valid_HR", range(801, 804))
    whole = Job(folder / "whole", chosen.tasks, chosen.steps)
    whole.wait("RUNNING", "COMPLETED")
    began = time.monotonic()
    while not (whole.run / "metrics.csv").is_file() and time.monotonic() < began + LIMIT:
        time.sleep(0.3)
    ready = time.monotonic() - began
    whole.wait("COMPLETED")
    print(f"undisturbed: {ready:.0f} s to its first step, {time.monotonic() - began:.0f} s in all", flush=True)
    found: list[Preemption] = []
    number = 0
    while len(found) < chosen.times:
        number += 1
        left = chosen.times - len(found)
        found += disturbed(folder, f"run{number}", chosen.tasks, chosen.steps, left, chosen.seed, ready)
    identical = sum(one.identical for one in found)
    print(f"{len(found)} preemptions of {number} runs, {identical} identical (seed {chosen.seed})")
    if chosen.output:
        with chosen.output.open("w", newline="") as f:
            writer = csv.DictWriter(f, [field.name for field in fields(Preemption)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(map(asdict, found))
    sys.exit(0 if identical == len(found) else f"what differs is in {folder}")


if __name__ == "__main__":
    main()
