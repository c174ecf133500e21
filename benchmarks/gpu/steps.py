"""A training step of a network through `sr train`, beside a bare loop: eager, graphed, compiled, in each precision."""

from collections.abc import Mapping
from typing import Any

from gpu.bare import Bare
from gpu.command import train
from gpu.device import device_of
from gpu.part import Part, RefusedError

NETWORKS = {"edsr_baseline": (2, 16, 48), "rlfn": (4, 64, 64), "bsrn": (4, 64, 64)}  # scale, batch, LR pixels
TOY = {
    "edsr_baseline": {"num_blocks": 1, "channels": 8},
    "rlfn": {"num_blocks": 1, "channels": 8, "mid_channels": 8, "esa_channels": 4},
    "bsrn": {"num_blocks": 1, "channels": 16, "esa_channels": 4},
}
# The likeliest to be best and the plainest first, should the time not do for all.
SETTINGS = [("bf16-mixed", True), ("32-true", False), ("32-true", True), ("bf16-mixed", False)]
WAYS = {"eager": (False, False), "graphed": (True, False)}
COMPILED = {"compiled": (False, "default"), "compiled, graphed": (True, "default")}
AUTOTUNED = {"max-autotune, graphed": (True, "max-autotune-no-cudagraphs")}
HOST = ("callbacks=[]", "data.device=false")
AIM = 1.2  # seconds of steps that a way is timed for
COMPILING = 45.0  # seconds at most for a way that compiles first


def run(part: Part) -> None:
    """The rows of one network, whose name is the part's."""
    device, name = device_of(part), part.name
    scale, batch, patch = (2, 2, 8) if part.toy else NETWORKS[name]
    changed = TOY[name] if part.toy else {}
    bare = Bare(part, device, name, scale, batch, patch, changed)
    network = {"network": f"{name} x{scale}", "batch": batch, "LR": patch}
    words = [f"model={name}", f"scale={scale}", "data=bundled", "recipe=base", f"batch_size={batch}"]
    words += [f"patch_size={patch}", *(f"model.{key}={value}" for key, value in changed.items())]
    words += ["trainer.log_every_n_steps=2"] * part.toy
    alone: dict[tuple[str, bool], float] = {}

    def by_hand(setting: tuple[str, bool], graphed: bool) -> Mapping[str, Any]:
        bf16, steps = setting[0] != "32-true", 4 if part.toy else 100
        if graphed:
            if part.toy:
                raise RefusedError("CUDA graphs need a GPU")
            return {"ms a step": bare.graphed_ms(steps, bf16, setting[1])}
        alone[setting] = bare.ms(steps, bf16, setting[1])
        return {"ms a step": alone[setting]}

    def ours(setting: tuple[str, bool], graph: bool, mode: bool | str, *more: str) -> Mapping[str, Any]:
        precision, channels_last = setting
        values = {"precision": precision, "channels_last": channels_last, "graph": graph, "compile": mode}
        typed = [f"trainer.{key}={str(value).lower()}" for key, value in values.items()]
        return command(setting, *typed, "trainer.benchmark=true", *(more or ["callbacks=[]"]))

    def command(setting: tuple[str, bool], *typed: str) -> Mapping[str, Any]:
        steps = 8 if part.toy else min(2000, max(200, round(1000 * AIM / alone.get(setting, 10.0) / 20) * 20))
        found = train(part, *words, *typed, f"steps={steps}")
        ms = found.notes.step_ms()
        return {
            "ms a step": ms,
            "beyond the bare loop": ms - alone[setting] if setting in alone else None,
            "data wait, %": _percent(found.notes.latest("train/data_wait")),
            "MiB": found.allocated,
            "steps": steps,
            "graph": found.graph,
        }

    def case(setting: tuple[str, bool], way: str, do: Any, seconds: float = 25.0) -> None:
        labels = {"way": way, "precision": setting[0], "channels_last": setting[1]}
        part.case("steps", network | labels, do, seconds)

    for n, setting in enumerate(SETTINGS[: 1 if part.toy else None]):
        case(setting, "bare loop", lambda s=setting: by_hand(s, graphed=False))
        if n == 0:
            case(setting, "trainer=gpu", lambda s=setting: command(s, f"trainer={'cpu' if part.toy else 'gpu'}"))
        case(setting, "bare loop, one graph, one batch", lambda s=setting: by_hand(s, graphed=True))
        for way, flags in WAYS.items():
            case(setting, way, lambda s=setting, f=flags: ours(s, *f))
        if n == 0 and name == "edsr_baseline":
            for way, flags in WAYS.items():
                case(setting, f"{way}, EMA", lambda s=setting, f=flags: ours(s, *f, "callbacks=[ema]"))
            case(setting, "eager, crops by the host", lambda s=setting: ours(s, *WAYS["eager"], *HOST))
        case(setting, "bare loop, again", lambda s=setting: by_hand(s, graphed=False))
    if part.toy and name != "edsr_baseline":
        return
    for setting in SETTINGS[: 1 if part.toy else None]:
        for way, flags in list(COMPILED.items())[: 1 if part.toy else None]:
            case(setting, way, lambda s=setting, f=flags: ours(s, *f), COMPILING)
    for way, flags in {} if part.toy else AUTOTUNED.items():  # takes minutes of some machines, and is cut off there
        case(SETTINGS[0], way, lambda f=flags: ours(SETTINGS[0], *f), COMPILING)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
