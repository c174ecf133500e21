"""Real runs, killed at random moments and gone on with, beside runs that nobody killed: python tests/faults/kills.py

Each run is a command in a process of its own, as typed in a shell. A signal reaches it at a random moment between the
first import and the last line of the final table: SIGKILL the process, or one of a run's several; SIGTERM the
process, as Slurm sends it; SIGINT all of a run's processes, as Ctrl-C does. Then the run is gone on with, perhaps
killed again, and at the end everything that it left is compared with what the run left that nobody killed.
"""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ECBSR = ["model=ecbsr_m4c8", "scale=2", "steps=210"]
DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
PLAYER = "losses.adversarial.terms.adversarial.loss.discriminator"
CASES = {
    "plain": ECBSR,
    "ema": [*ECBSR, "callbacks=[panels,ema]"],
    "accumulated": [*ECBSR, "accumulate=2"],
    "rlfn": ["model=rlfn", "model.num_blocks=1", "model.channels=8", "scale=2", "steps=30"],
    "srgan": [
        "model=srgan",
        "model.num_blocks=1",
        "model.channels=8",
        "scale=4",
        "steps=6",
        "vgg_weights=vgg.pth",
        f"+{PLAYER}.channels=8",
        f"{PLAYER}.pooled=1",
    ],
    "vdsr": ["model=vdsr", "model.num_layers=3", "model.channels=8", "steps=210", "hr_patch_size=24"],
    "repsr": ["model=repsr_m4c16", "scale=2", "steps=210", "callbacks.population_statistics.at_step=107"],
    "two processes": [*ECBSR, *DDP],
    "two processes with ema": [*ECBSR, *DDP, "callbacks=[panels,ema]"],
}
# What is written down falls at other steps than what is saved or validated: up to 10 steps are taken at once.
TINY = ["data=div2k", "data.root=DIV2K", "batch_size=2", "patch_size=8", "val_every_steps=30", "save_every_steps=14",
        "trainer.log_every_n_steps=10", "logger=csv", "benchmarks=null"]  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LIMIT = 600.0  # seconds of one command


@dataclass
class Kill:
    """One signal that reached a run.

    Attributes:
        seed: of the draw.
        run: its number.
        case: of CASES.
        signal: its name.
        to: main, or the rank of another process of the run.
        seconds: since the command was typed.
        reached: how far the run had come: a step of metrics.csv, its results, or nothing.
        resumed: whether it was gone on with by resume=, else typed again.
        identical: whether the run left in the end what the one left that nobody killed.
        differing: files that are not the same.
    """

    seed: int
    run: int
    case: str
    signal: str
    to: str
    seconds: float
    reached: str
    resumed: bool = False
    identical: bool = False
    differing: str = ""


class Place:
    """A folder with data, in which commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        random_photos(folder / "DIV2K" / "DIV2K_train_HR", range(1, 4))
        random_photos(folder / "DIV2K" / "DIV2K_valid_HR", range(801, 804))
        torch.save(random_vgg19(), folder / "vgg.pth")

    def start(self, run: str, case: str) -> subprocess.Popen[bytes]:
        """Type what begins a run, or goes on with it where it has begun."""
        words = [*TINY, *CASES[case], f"hydra.run.dir={run}"]
        if "hr_patch_size=24" in words:
            words.remove("patch_size=8")
        if (self.folder / run / "composed.yaml").is_file():
            words = [f"resume={run}"]
        environment = {
            **os.environ, "SR_CACHE_DIR": str(self.folder / "cache"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        with (self.folder / f"{run}.out").open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-u", "-m", "sr", "train", *words],
                cwd=self.folder, stdout=out, stderr=out, env=environment, start_new_session=True,
            )  # fmt: skip

    def printed(self, run: str) -> str:
        return (self.folder / f"{run}.out").read_text(errors="replace")

    def whole(self, case: str) -> float:
        """Run a case in peace; the seconds that it takes."""
        began = time.monotonic()
        process = self.start(named(case), case)
        if process.wait(LIMIT) != 0:
            raise SystemExit(f"{case}: a run that nobody killed ended with {process.returncode}:\n"
                             f"{self.printed(named(case))}")  # fmt: skip
        return time.monotonic() - began

    def kill(self, number: int, case: str, seed: int, seconds: float, most: int) -> list[Kill]:
        """Run a case, kill it up to `most` times at random moments, go on with it until it is done, and compare."""
        run, kills, draw = f"run{number}", [], random.Random(f"{seed} {number}")
        while True:
            process = self.start(run, case)
            if len(kills) == most:
                ended(process)
                break
            delay, sent = draw.uniform(0.0, 1.1 * seconds), draw.choice(SIGNALS)
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                to = send(process, sent, draw)
                resumed = (self.folder / run / "composed.yaml").is_file()
                kills.append(
                    Kill(seed, number, case, sent.name, to, round(delay, 2), reached(self.folder / run), resumed)
                )
                ended(process)
                continue
            if process.returncode == 0:  # before its moment
                break
            if not kills:
                raise SystemExit(f"{case} failed by itself:\n{self.printed(run)}")
            if self.printed(run).count("error:") > len(kills):
                break
        differing = differences(self.folder / named(case), self.folder / run)
        for kill in kills:
            kill.identical, kill.differing = not differing, " ".join(differing)
        if not differing:
            shutil.rmtree(self.folder / run)
        return kills


def named(case: str) -> str:
    return f"whole_{case.replace(' ', '_')}"


def send(process: subprocess.Popen[bytes], sent: signal.Signals, draw: random.Random) -> str:
    """Send a signal as it comes in life, and tell whom it reached."""
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)
        return "all"
    others = children(process.pid) if sent == signal.SIGKILL else []
    if others and draw.random() < 0.5:
        os.kill(others[0], sent)
        return "rank 1"
    process.send_signal(sent)
    return "main"


def reached(folder: Path) -> str:
    """How far a run has come by its files, which are written whole."""
    if (folder / "results.csv").is_file():
        return "results"
    steps = [row["step"] for row in figures(folder / "metrics.csv")] if (folder / "metrics.csv").is_file() else []
    return f"step {steps[-1]}" if steps else ""


def children(pid: int) -> list[int]:
    """The other processes of a run, which Lightning has started."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(p) for p in file.read_text().split()] if file.is_file() else []
    return [p for p in found if b"train_ddp_process" in Path(f"/proc/{p}/cmdline").read_bytes()]


def ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run, and end what it may have left behind."""
    process.wait(LIMIT)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def differences(whole: Path, cut: Path) -> list[str]:
    """The files of a run that say something else than those of another one; times, hosts and attempts may differ."""
    files: dict[str, Any] = {"metrics.csv": figures, "run.json": facts}
    files |= {str(p.relative_to(whole)): Path.read_text for p in whole.rglob("results*.csv")}
    files |= {f"checkpoints/{p.name}": state for p in (whole / "checkpoints").glob("*.ckpt") if p.stem != "previous"}
    return [f for f, read in files.items() if not (cut / f).is_file() or not same(read(whole / f), read(cut / f))]


def figures(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as f:
        return [{k: v for k, v in row.items() if k != "train/data_wait"} for row in csv.DictReader(f)]


def facts(file: Path) -> dict[str, Any]:
    return {k: v for k, v in json.loads(file.read_text()).items() if k != "seconds"}


def state(file: Path) -> dict[str, Any]:
    content = torch.load(file, weights_only=True)
    names = ("state_dict", "current_model_state", "averaging_state", "loss_state_dict", "optimizer_states",
             "lr_schedulers", "global_step")  # fmt: skip
    return {name: content[name] for name in names if name in content} | {"seen": content["sr"]["batches_seen"]}


def same(a: Any, b: Any) -> bool:
    """Whether two nested values are equal, tensors to the bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def random_photos(folder: Path, numbers: Sequence[int] | range) -> None:
    """Smooth noise of 48x60 pixels, `0001.png` and so on."""
    folder.mkdir(parents=True)
    for number in numbers:
        small = np.random.default_rng(number).integers(0, 256, (12, 15, 3), dtype=np.uint8)
        Image.fromarray(small).resize((60, 48), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.png")


def random_vgg19() -> dict[str, torch.Tensor]:
    """torchvision's keys and shapes of VGG-19's convolutions, random."""
    draw, found, index, before = torch.Generator().manual_seed(0), {}, 0, 3
    for block in ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4):
        for width in block:
            weight = torch.randn(width, before, 3, 3, generator=draw) * (2 / (9 * before)) ** 0.5
            found |= {f"features.{index}.weight": weight.half(), f"features.{index}.bias": torch.zeros(width).half()}
            index, before = index + 2, width
        index += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40, help="signals that reach a run, at least")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=2, help="kills of one run")
    parser.add_argument("--cases", default=",".join(c for c in CASES if "with" not in c), help=", ".join(CASES))
    parser.add_argument("--output", type=Path, help="a CSV file; a line for each kill")
    parser.add_argument("--folder", type=Path, help="where it works; what differs is kept there")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="kills_"))
    place, cases, kills, number = Place(folder.resolve()), chosen.cases.split(","), [], 0

    with ThreadPoolExecutor(chosen.jobs) as several:
        seconds = dict(zip(cases, several.map(place.whole, cases), strict=True))

        def killed(number: int) -> list[Kill]:
            case = cases[(number - 1) % len(cases)]
            return place.kill(number, case, chosen.seed, seconds[case], chosen.most)

        while len(kills) < chosen.kills:
            for found in several.map(killed, range(number + 1, number + 1 + chosen.jobs)):
                kills += found
                for kill in found:
                    print(*asdict(kill).values(), sep="; ", flush=True)
            number += chosen.jobs
    identical = sum(kill.identical for kill in kills)
    print(f"{len(kills)} kills, {identical} identical (seed {chosen.seed})")
    if chosen.output:
        with chosen.output.open("w", newline="") as f:
            writer = csv.DictWriter(f, [field.name for field in fields(Kill)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(map(asdict, kills))
    sys.exit(0 if identical == len(kills) else f"what differs is in {folder}")


if __name__ == "__main__":
    main()
