"""How long until a network is as good as its paper says, and how EDSR-baseline learns in the time that is left."""

import time
from pathlib import Path
from typing import Any

from gpu.command import Notes, train
from gpu.device import device_of
from gpu.part import OutOfTimeError, Part, limited
from sr.compose.words import path_word, quoted
from sr.scores.published import published

SETS = {  # by the folders that they need, the best first
    "t91_bsd200_general100": ("T91", "BSD200", "General100"),
    "t91_bsd200": ("T91", "BSD200"),
    "t91": ("T91",),
}
TOY = ["batch_size=2", "hr_patch_size=null", "patch_size=8", "model.channels=8"]
VALIDATIONS = 12
START = 8.0  # seconds in which a run begins and ends, and validates


def run(part: Part) -> None:
    """VDSR, then EDSR-baseline."""
    device_of(part)
    left = part.left
    vdsr = ["model=vdsr", "scale=[2,3,4]", "protocol=y_classic", "trainer.channels_last=true"]
    vdsr += ["model.num_layers=3", *TOY] if part.toy else ["trainer.benchmark=true"]
    part.case(
        "learning",
        {"run": "VDSR"},
        lambda: learned(part, "vdsr", vdsr, 9960, "y_classic", ["t91_bsd200", "t91"], left / 2 - 4),
        left / 2,
    )
    edsr = ["model=edsr_baseline", "scale=2", f"trainer={'cpu' if part.toy else 'gpu'}"]
    edsr += ["model.num_blocks=1", *TOY] if part.toy else []
    part.case(
        "learning",
        {"run": "EDSR-baseline"},
        lambda: learned(part, "edsr_baseline", edsr, 300_000, "y", list(SETS), part.left - 4),
        part.left,
    )


def learned(
    part: Part, name: str, words: list[str], recipe: int, protocol: str, sets: list[str], seconds: float
) -> dict[str, Any]:
    """Train by the paper's recipe, or as much of it as there is time for, and validate on Set5 if it is there.

    Args:
        part: that asks.
        name: of the model.
        words: of the command.
        recipe: steps of the recipe.
        protocol: of the figure.
        sets: to train on, the first of which is there.
        seconds: for all of it.
    """
    until = time.monotonic() + seconds
    data, told = images(part, sets)
    patch = ["patch_size=39"] * (name == "edsr_baseline" and "T91" in told and not part.toy)  # T91 has no room for more
    words = [*words, *data, *patch, "callbacks=[]"]
    few = 4 if part.toy else 240
    probe = train(part, *words, f"steps={few}", *["trainer.log_every_n_steps=1"] * part.toy)
    step, left = probe.notes.step_ms() / 1000, until - time.monotonic()
    steps = 8 if part.toy else int(max(few, min(recipe, 0.8 * (left - START) / step)))
    typed = [] if steps == recipe else [f"budget.factor={steps / recipe:.9f}"]
    typed += [f"val_every_steps={max(1, steps // VALIDATIONS)}", "data.val_images=null"]
    try:
        with limited(max(1.0, until - time.monotonic())):
            train(part, *words, *typed)
        ended = None
    except OutOfTimeError:
        ended = "stopped when its time was up"
    found: dict[str, Any] = {"images": told, "steps": steps, "ms a step": 1000 * step, "graph": probe.graph}
    for scale in (2, 3, 4) if name == "vdsr" else (2,):
        found |= curve(name, scale, protocol, "Set5" in told, several=name == "vdsr")
    return found | ({"note": ended} if ended else {})


def curve(name: str, scale: int, protocol: str, on_set5: bool, several: bool) -> dict[str, Any]:
    """The validations of the last run at a scale: the best and when, and when the paper's figure was passed."""
    key = f"val/x{scale}/psnr_{protocol}" if several else f"val/psnr_{protocol}"
    notes = Notes.last
    looks = (
        [(at - notes.began, step, values[key]) for at, step, values in notes.looks if key in values] if notes else []
    )
    if not looks:
        return {f"x{scale}": "not validated"}
    best = max(looks, key=lambda look: look[2])
    found: dict[str, Any] = {f"x{scale}": f"{best[2]:.2f} dB after {best[0]:.0f} s"}
    found[f"curve x{scale}"] = ", ".join(f"{step}: {value:.2f}" for _, step, value in looks)
    if on_set5 and (paper := published(name, scale, "Set5", protocol)) is not None:
        passed = next((at for at, _, value in looks if value >= paper.values["psnr"]), None)
        when = "not reached" if passed is None else f"after {passed:.0f} s"
        found[f"x{scale}, the paper's"] = f"{paper.values['psnr']:.2f} dB: {when}"
    return found


def images(part: Part, sets: list[str]) -> tuple[list[str], str]:
    """The words for the best set that is there, and how a table names it."""
    root = part.shared
    if root is None or part.toy:
        return ["data=bundled"], "the bundled photos"
    there = next((name for name in sets if all(any_in(root / "train" / part) for part in SETS[name])), None)
    if there is None:
        return ["data=bundled"], "the bundled photos: T91 and the others are not here"
    words = [f"data={there}", path_word("data_dir", root)]
    told = " + ".join(SETS[there])
    if any_in(set5 := root / "benchmarks/Set5/HR"):
        return [*words, f"data.val=[{quoted(set5)}]"], f"{told}, validated on Set5"
    return words, told


def any_in(folder: Path) -> bool:
    """Whether a folder holds anything."""
    return folder.is_dir() and any(folder.iterdir())
