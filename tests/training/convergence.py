"""Short real runs of every family of architectures, and what they did when they were known to be right.

    python tests/training/convergence.py rlfn edsr       make both halves of these families anew (all without a name)
    python tests/training/convergence.py --losses        make the first losses anew, hold the runs to the kept curves

`convergence.json` keeps two halves of each family, made with the words in FAMILIES on the bundled photos, or on
clips of them:

- **losses**: the first 30 training losses of each stage, up to step 65, of one run, which another repeats within 1e-3
  relative. They are other numbers after anything that changes them at all (a learning rate, a loss, the first weights,
  which crops are drawn), also after what is meant to. Then they are made anew with --losses, and are no witness of that
  one change.
- **curves** of five runs that start from the same weights and draw other crops (`data.seed`): at each validation the
  mean of all validations' Y-PSNR up to there, and that of all training losses. They stay what they are when other crops
  are drawn with the same distribution, and are the witness of such a change. A run is inside where it lies between the
  least and the greatest of the five, widened on both sides by three times their distance (the greatest such
  distance of the point and its neighbours), at least by 0.1 dB and 5 % of the loss. The first weights are the same in
  all of them because other ones move these early curves as far as a wrong learning rate does; who changes how a family
  is initialised makes both halves anew.

The losses catch twice and half the learning rate in every family. The curves alone catch both in 19 of the 26 recipes,
in SRCNN and RRDBNet only the half, and neither in VDSR and DRCN, whose clipping follows the learning rate, nor in
LapSRN, MSRResNet and EDVR, which hardly move in so few steps.

test_convergence.py runs each family once, and shows by faults put in on purpose what each half catches.
"""

import argparse
import csv
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from sr.data.bundled import Bundled

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).with_suffix(".json")
DRAWS = 5  # of crops
LOSSES = 30  # of each stage
LATEST = 65  # step of a loss that is compared: rounding grows with every step (RLFN's from 1e-6 at 40 to 5e-3 at 100)
# Relative: other processors and numbers of threads round differently. Measured on a Xeon with AVX-512 and one thread:
# two threads 1.3e-4 (RepSR; most 4e-6), AVX2 1e-4 (DRCN), SSE4.1 3e-4 (SRGAN) but VDSR 1.7e-3 at one step.
CLOSE = 1e-3
WIDER = 3.0  # times the distance of least and greatest
LEAST_MARGIN = {"psnr": (0.1, 0.0), "loss": (0.0, 0.05)}  # absolute, in dB; relative
COMMON = [
    "data=bundled", "logger=csv", "callbacks=[]", "benchmarks=[]", "metrics=[psnr]", "trainer=cpu", "seed=0",
    "trainer.channels_last=false",  # as all was made
    "trainer.log_every_n_steps=1", "trainer.enable_progress_bar=false", "batch_size=8",
]  # fmt: skip
X4 = ["scale=4", "patch_size=12"]
TINY = ["model.num_blocks=2", "model.channels=16"]
CLIPS = ["data=clips", "data.train=clips/train", "data.val=clips/val", "scale=4", "patch_size=16", "batch_size=2",
         "frames=5", "protocol=y", "model.num_blocks=1", "model.channels=8"]  # fmt: skip
PLAYER = "losses.adversarial.terms.adversarial.loss.discriminator"
FAMILIES = {
    "srcnn": ["model=srcnn", *X4, "steps=120", "val_every_steps=10"],
    "espcn": ["model=espcn", *X4, "batch_size=32", "steps=80", "val_every_steps=8"],
    "fsrcnn": ["model=fsrcnn_s", "scale=3", "patch_size=11", "batch_size=32", "steps=100", "val_every_steps=10"],
    "vdsr": ["model=vdsr", "model.num_layers=5", "model.channels=16", *X4, "steps=60", "val_every_steps=6"],
    "drcn": ["model=drcn", "model.num_recursions=3", "model.channels=16", *X4, "steps=60", "val_every_steps=6"],
    "lapsrn": ["model=lapsrn", "model.channels=16", "model.depth=2", *X4, "steps=60", "val_every_steps=6"],
    "srresnet": ["model=srresnet", *TINY, *X4, "steps=100", "val_every_steps=10"],
    "msrresnet": ["model=msrresnet", *TINY, "scale=2", "patch_size=16", "steps=100", "val_every_steps=10",
                  "optimizer.lr=1e-3"],  # the recipe's 2e-4 changes next to nothing in so few steps
    "srgan": ["model=srgan", "loss@losses.adversarial=srgan_mse", f"+{PLAYER}.channels=8", f"{PLAYER}.pooled=1",
              *TINY, *X4, "steps=50", "stages.adversarial.steps=50", "val_every_steps=10"],
    "edsr": ["model=edsr_baseline", "recipe=edsr_baseline_x2_first", *TINY, *X4, "steps=60", "val_every_steps=10"],
    "mdsr": ["model=mdsr_baseline", *TINY, "patch_size=12", "steps=80", "val_every_steps=10"],
    "imdn": ["model=imdn", *TINY, *X4, "steps=100", "val_every_steps=10"],
    "rfdn": ["model=rfdn", *TINY, *X4, "steps=100", "val_every_steps=10"],
    "rlfn": ["model=rlfn", *TINY, "model.mid_channels=16", *X4, "steps=40", "val_every_steps=10"],
    "efdn": ["model=efdn", "model.channels=16", *X4, "steps=100", "val_every_steps=10"],
    "bsrn": ["model=bsrn", *TINY, *X4, "steps=100", "val_every_steps=10"],
    "ecbsr": ["model=ecbsr_m4c8", "scale=2", "patch_size=16", "steps=200", "val_every_steps=20"],
    "plain": ["model=plain_dbb", *X4, "steps=100", "val_every_steps=10"],
    "repsr": ["model=repsr", *X4, "callbacks.population_statistics.at_step=70", "steps=100", "val_every_steps=10"],
    "rcan": ["model=rcan", "model.num_blocks=1", "model.depth=2", "model.channels=16", *X4, "steps=60",
             "val_every_steps=6"],
    "swinir": ["model=swinir_light", "model.num_blocks=1", "model.depth=2", "model.channels=12", "model.heads=2", *X4,
               "hr_patch_size=null", "steps=60", "val_every_steps=10"],
    "rrdbnet": ["model=rrdbnet", "model.num_blocks=1", "model.channels=16", "model.growth=8", *X4, "hr_patch_size=null",
                "steps=60", "val_every_steps=10", "optimizer.lr=1e-3"],
    "span": ["model=span", *TINY, *X4, "hr_patch_size=null", "steps=100", "val_every_steps=10"],
    "disp": ["model=disp", *TINY, *X4, "steps=100", "val_every_steps=10"],
    "edvr": ["model=edvr_m", *CLIPS, "model.groups=2", "stages.without_tsa.steps=40", "stages.tsa_alone.steps=10",
             "stages.everything.steps=10", "val_every_steps=10"],
    "basicvsr": ["model=basicvsr", *CLIPS, "stages.flow_frozen.steps=20", "stages.everything.steps=40",
                 "scheduler.T_max=60", "val_every_steps=10"],
    # from what travels with the package: weights that a run just made are other ones on each kind of processor
    "init_from": ["model=plain", "model.num_blocks=10", "model.channels=32", "init_from=plain_m10c32_x2", "scale=2",
                  "patch_size=16", "steps=60", "val_every_steps=10"],
}  # fmt: skip


@dataclass
class Course:
    """How a run went.

    Attributes:
        losses: the first 30 of each stage, up to step 65, in the loss's own unit.
        steps: of the validations.
        curves: at each validation, psnr: mean Y-PSNR of the validations so far, dB; loss: mean of the losses so far.
    """

    losses: list[float]
    steps: list[int]
    curves: dict[str, list[float]]

    @classmethod
    def of(cls, run: Path) -> "Course":
        """Read a run folder's metrics.csv."""
        with (run / "metrics.csv").open(newline="") as f:
            rows = list(csv.DictReader(f))
        losses = [float(row["train/loss"]) for row in rows if row["train/loss"]]
        assert len(losses) == int(rows[-1]["step"])
        validated = [row for row in rows if row["val/psnr_y"]]
        stages: dict[str | None, list[float]] = {}
        for row in rows:
            if row["train/loss"] and int(row["step"]) <= LATEST:
                stages.setdefault(row.get("stage"), []).append(float(row["train/loss"]))
        first = [loss for stage in stages.values() for loss in stage[:LOSSES]]
        steps, psnr = [int(row["step"]) for row in validated], [float(row["val/psnr_y"]) for row in validated]
        means = {"psnr": so_far(psnr, range(1, len(psnr) + 1)), "loss": so_far(losses, steps)}
        return cls(first, steps, means)


def so_far(values: Sequence[float], counts: Iterable[int]) -> list[float]:
    """The means of the first so many values each."""
    return [sum(values[:count]) / count for count in counts]


def outside(run: Course, kept: Mapping[str, Any]) -> dict[str, list[str]]:
    """Where a run left what its family did: by `losses`, `psnr` and `loss`, a line for each place.

    Args:
        run: to be judged.
        kept: of the family, as convergence.json has it.
    """
    found = {
        "losses": [
            f"number {n}: {now:.6g}, was {then:.6g}"
            for n, (now, then) in enumerate(zip(run.losses, kept["losses"], strict=True), 1)
            if not abs(now - then) <= CLOSE * abs(then)
        ]
    }
    assert run.steps == kept["steps"]
    for name, values in run.curves.items():
        limits = envelope(kept["curves"][name], *LEAST_MARGIN[name])
        found[name] = [
            f"step {step}: {value:.4g}, not within {low:.4g} to {high:.4g}"
            for step, value, (low, high) in zip(run.steps, values, limits, strict=True)
            if not low <= value <= high
        ]
    return found


def envelope(curves: Sequence[Sequence[float]], absolute: float, relative: float) -> list[tuple[float, float]]:
    """The least and greatest value that a run may have at each validation, with the least margin; see above."""
    ranges = [(min(point), max(point)) for point in zip(*curves, strict=True)]
    widths = [high - low for low, high in ranges]
    around = [max(widths[max(0, n - 1) : n + 2]) for n in range(len(widths))]
    margins = [max(WIDER * w, absolute, relative * high) for w, (_, high) in zip(around, ranges, strict=True)]
    return [(low - margin, high + margin) for (low, high), margin in zip(ranges, margins, strict=True)]


def clips(folder: Path) -> None:
    """Write what data=clips reads: five frames of each of some bundled photos, a window that moves over it."""
    data = Bundled(scale=4, patch_size=16, batch_size=1)
    for part, photos in (("train", data.train_pairs()), ("val", data.val_pairs())):
        for photo in (photo for photo in photos if photo.hr.suffix == ".png"):  # the same pixels everywhere
            place = folder / "clips" / part / photo.name
            place.mkdir(parents=True)
            with Image.open(photo.hr) as image:
                for n in range(5):
                    left, top = 100 + 2 * n, 80 + n
                    image.convert("RGB").crop((left, top, left + 96, top + 96)).save(place / f"{n:08d}.png")


def read() -> dict[str, dict[str, Any]]:
    """convergence.json."""
    return json.loads(KEPT.read_text()) if KEPT.is_file() else {}


def write(kept: Mapping[str, Any]) -> None:
    text = json.dumps({name: kept[name] for name in FAMILIES if name in kept}, indent=1)
    innermost = re.compile(r"\[\s+([^][{}]*?)\s+\]")
    KEPT.write_text(innermost.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n")


def trained(family: str, draws: int, folder: Path) -> list[Path]:
    """Train a family in a process of its own, as typed; the run folders, one for each draw of crops."""
    runs = folder / family
    own = {word.partition("=")[0]: word for word in [*COMMON, *FAMILIES[family]]}  # a family's word before a common one
    words = [*own.values(), f"hydra.sweep.dir={runs}", f"data.seed={','.join(map(str, range(draws)))}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SR_CACHE_DIR": str(folder / "cache")}
    subprocess.run([sys.executable, "-m", "sr", "train", "-m", *words], cwd=folder, env=environment, check=True,
                   stdout=(folder / f"{family}.out").open("w"))  # fmt: skip
    return sorted(file.parent for file in runs.glob("*/metrics.csv"))


def code() -> str:
    """The last commit that changed what is trained, for a reader of convergence.json."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words, "sr", "conf"], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    return git("log", "-1", "--format=%H", "--") + (" and changes" if git("status", "--porcelain", "--") else "")


def rounded(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def alone(kept: Mapping[str, Any]) -> int:
    """How many of the five runs the other four would not let pass."""
    count = 0
    for n in range(DRAWS):
        curves = {name: values[n] for name, values in kept["curves"].items()}
        others = {name: [*values[:n], *values[n + 1 :]] for name, values in kept["curves"].items()}
        count += any(outside(Course(kept["losses"], kept["steps"], curves), {**kept, "curves": others}).values())
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="family", help=", ".join(FAMILIES))
    parser.add_argument("--losses", action="store_true", help="keep the curves, which the runs must not leave")
    chosen = parser.parse_args()
    if unknown := set(chosen.families) - set(FAMILIES):
        parser.error(f"no such family: {', '.join(unknown)}")
    left = 0
    made = {"code": code(), "torch": torch.__version__, "processor": platform.processor() or platform.machine()}
    with tempfile.TemporaryDirectory() as place:
        clips(Path(place))
        for family in chosen.families or FAMILIES:
            runs = trained(family, 1 if chosen.losses else DRAWS, Path(place))
            first, *_ = courses = [Course.of(run) for run in runs]
            new = {"typed": FAMILIES[family], "losses": rounded(first.losses)}
            if chosen.losses:
                kept = {**read()[family], **new, "losses_made": made}
                strays = outside(first, kept)
                left += any(strays.values())
                places = [f"{half} {place}" for half in strays for place in strays[half]]
                print(f"{family}:", "; ".join(places) or "inside", flush=True)
            else:
                curves = {name: [rounded(c.curves[name]) for c in courses] for name in first.curves}
                kept = {**new, "losses_made": made, "steps": first.steps, "curves_made": made, "curves": curves}
                print(f"{family}: {alone(kept)} of {DRAWS} runs outside of the other four's curves", flush=True)
            write({**read(), family: kept})
    sys.exit(f"{left} families have left their curves" if left else 0)


if __name__ == "__main__":
    main()
