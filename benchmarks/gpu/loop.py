"""What the loop on the device must hold: no waiting, a graph's weights are the eager ones, figures are without TF32."""

import os
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import torch
from beside import in_turns

from gpu.command import Trained, evaluated, train
from gpu.device import device_of, wait
from gpu.part import Part, RefusedError
from sr.callbacks import EMA
from sr.metrics.psnr import psnr
from sr.precision import full_precision
from sr.runs import checkpoint

WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "Memcpy DtoH", "cudaGraphLaunch")
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel")
RATE = 1e-4  # of Adam, in all the recipes that are compared
CLOSE = 0.01  # of the way that 50 steps of this rate can move a weight
EDSR = ["model=edsr_baseline", "scale=2", "data=bundled", "recipe=base"]
TINY = ["model.num_blocks=1", "model.channels=8", "patch_size=8", "batch_size=2"]
PLAYER = "losses.adversarial.terms.adversarial.loss.discriminator"
VGG = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)  # 0: a pooling


def run(part: Part) -> None:
    """Weights first: a graph that trains something else has no speed to speak of."""
    device = device_of(part)
    weights(part)
    for way, graph in {"eager": "false", "graphed": "true", "graph=auto": "auto"}.items():
        part.case("waiting", {"way": way}, lambda g=graph: waits(part, g))
    random = "degradation=blur_noise_jpeg"
    part.case("waiting", {"way": f"graph=auto, {random}"}, lambda: waits(part, "auto", random))
    runs: dict[str, Trained] = {}
    for precision in ("32-true", "bf16-mixed"):
        part.case("precision", {"precision": precision}, lambda p=precision: trained(part, p, runs), 45)
    part.check("bf16 trains as well as float32 (within 0.1 dB)", lambda: as_well(runs))
    part.check("sr evaluate on the GPU is that on the CPU (within 1e-3 dB)", lambda: evaluations(part, runs), 60)
    part.check("figures are computed without TF32", lambda: without_tf32(runs, device), 60)
    part.case("averaging", {"tensors": 346}, lambda: averaging(device, part.toy))


# ---- weights ------------------------------------------------------------------------------------------------


def weights(part: Part) -> None:
    """Each kind of run eager and graphed, by cuDNN's deterministic ways."""
    small = TINY if part.toy else ["model.num_blocks=4", "patch_size=24", "batch_size=8"]
    steps = 4 if part.toy else 50
    net = [word for word in small if not word.startswith("model.")]
    mdsr = ["model.num_blocks=1", f"model.channels={8 if part.toy else 32}"]
    gan = ["model=srgan", "model.num_blocks=1", "model.channels=8", "scale=4", "patch_size=8", "batch_size=2"]
    gan += [f"+{PLAYER}.channels=8", f"{PLAYER}.pooled=1"]
    kinds: dict[str, Callable[[], list[str]]] = {
        "plain, a rate that is halved": lambda: [*EDSR, *small, "callbacks=[]", f"scheduler.step_size={steps // 3}"],
        "EMA, clipping": lambda: [*EDSR, *small, "callbacks=[ema]", "trainer.gradient_clip_val=0.1"],
        "bf16": lambda: [*EDSR, *small, "callbacks=[]", "trainer.precision=bf16-mixed"],
        "batch norm": lambda: ["model=srresnet", "scale=4", *mdsr, *net, "callbacks=[]"],
        "several scales": lambda: ["model=mdsr_baseline", "scale=[2,3,4]", *mdsr, *net, "callbacks=[]"],
        "GAN": lambda: [*gan, f"vgg_weights={random_vgg(part)}", "callbacks=[]"],
    }
    for kind, words in kinds.items():
        found: dict[str, dict[str, torch.Tensor]] = {}

        def one(graph: str, words: Callable[[], list[str]] = words) -> dict[str, torch.Tensor]:
            typed = [*words(), f"steps={steps}", "trainer.deterministic=warn", f"trainer.graph={graph}"]
            found = train(part, *typed)
            if graph == "true" and found.graph != "yes":
                raise RefusedError(found.graph)
            return found.weights()

        def both(found: dict[str, dict[str, torch.Tensor]] = found, one: Any = one) -> tuple[bool, str]:
            found["eager"] = one("false")
            return within(found["eager"], one("true"), steps)

        part.check(f"graphed weights are eager's after {steps} steps: {kind}", both, 45)
        if kind.startswith("plain"):
            part.check("two eager runs have the same weights", lambda f=found, o=one: repeated(f, o, steps))


def within(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], steps: int) -> tuple[bool, str]:
    """Whether two runs ended alike, measured by how far a weight can have come."""
    if a.keys() != b.keys():
        return False, f"other tensors: {sorted(a.keys() ^ b.keys())[:3]}"
    off = {name: float((a[name] - b[name]).abs().max()) for name in a if a[name].numel()}
    worst = max(off, key=lambda name: off[name])
    return off[worst] <= CLOSE * RATE * steps, f"{off[worst]:.1e} at most ({worst}); {RATE * steps:.0e} can be gone"


def repeated(found: dict[str, dict[str, torch.Tensor]], one: Any, steps: int) -> tuple[bool, str]:
    """What two runs of one command differ by."""
    if "eager" not in found:
        raise RefusedError("the first of them did not end")
    return within(found["eager"], one("false"), steps)


def random_vgg(part: Part) -> str:
    """VGG-19's tensors with random numbers: its real ones are not needed to compare two runs."""
    file = part.scratch / "vgg.pth"
    if not file.exists():
        random, state, index, before = torch.Generator().manual_seed(0), {}, 0, 3
        for width in VGG:
            if width:
                scale = (2 / (9 * before)) ** 0.5
                state[f"features.{index}.weight"] = scale * torch.randn(width, before, 3, 3, generator=random)
                state[f"features.{index}.bias"] = torch.zeros(width)
                before = width
            index += 2 if width else 1
        torch.save({name: value.half() for name, value in state.items()}, file)
    return str(file)


# ---- waiting ------------------------------------------------------------------------------------------------


def waits(part: Part, graph: str, *more: str) -> dict[str, Any]:
    """How often a step of EDSR-baseline makes the host wait for the device, and from where."""
    every = 2 if part.toy else 100
    typed = [*EDSR, *(TINY if part.toy else []), *more, "callbacks=[ema]", f"trainer.graph={graph}"]
    typed += ["trainer.channels_last=true", "trainer.precision=bf16-mixed", f"trainer.log_every_n_steps={every}"]
    run = train(part, *typed, f"steps={2 * every + every // 2}", profiled=True)
    found: dict[str, Any] = {
        f"{name} a step": sum(n for event, n in run.notes.counts.items() if event.startswith(name)) / every
        for name in WAITS
    }
    found["kernels launched a step"] = sum(n for e, n in run.notes.counts.items() if e.startswith(LAUNCHES)) / every
    return found | {
        "graph": run.graph,
        "from": ", ".join(f"{place} x{n}" for place, n in run.notes.places.most_common(4)),
    }


# ---- precision ----------------------------------------------------------------------------------------------


def trained(part: Part, precision: str, runs: dict[str, Trained]) -> dict[str, Any]:
    """EDSR-baseline from the same seed, validated at the end."""
    steps = 4 if part.toy else 1500
    typed = [*EDSR, *(TINY if part.toy else ["patch_size=48", "batch_size=16"]), "callbacks=[]", "optimizer.lr=2e-4"]
    typed += [f"trainer.precision={precision}", f"steps={steps}", f"val_every_steps={steps}", "data.val_images=null"]
    runs[precision] = found = train(part, *typed)
    return {"steps": steps, "seconds": found.seconds, "PSNR, Y": found.notes.latest("val/psnr_y")}


def as_well(runs: dict[str, Trained]) -> tuple[bool, str]:
    """The validations of both."""
    both = [the(runs, precision).notes.latest("val/psnr_y") for precision in ("32-true", "bf16-mixed")]
    off = both[1] - both[0]
    return abs(off) <= 0.1, f"{off:+.3f} dB"


def evaluations(part: Part, runs: dict[str, Trained]) -> tuple[bool, str]:
    """The same checkpoint by the command on both devices."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    words = [f"checkpoint={the(runs, '32-true').folder}", "benchmarks=[bundled]", "protocols=[y,rgb]", "baseline=false"]
    found = [evaluated(part, *words, f"device={device}") for device in ("cpu", "cpu" if part.toy else "cuda")]
    figures = [[float(row["psnr"]) for row in rows] for rows in found]
    off = max(abs(a - b) for a, b in zip(*figures, strict=True))
    return off <= 1e-3, f"{off:.1e} dB at most, of {len(figures[0])} figures"


def without_tf32(runs: dict[str, Trained], device: torch.device) -> tuple[bool, str]:
    """The output against the host's, beside what TF32 would make of it: the check is able to fail."""
    model = checkpoint.build(checkpoint.read(str(the(runs, "32-true").folder)), "the run").eval()
    lr = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        host = model(lr)
        model.to(device)
        with full_precision(device):
            figure = model(lr.to(device)).cpu()
        torch.backends.cudnn.allow_tf32 = True
        other = model(lr.to(device)).cpu()
    off, would = (float((x - host).abs().max()) for x in (figure, other))
    like = float(psnr(other.double(), host.double(), 1.0))
    return off <= 2e-5, f"{off:.1e} at most; with TF32 {would:.1e} ({like:.0f} dB)"


def the(runs: dict[str, Trained], precision: str) -> Trained:
    """A run of before.

    Raises:
        RefusedError: it did not end, or in a process that did not.
    """
    if precision not in runs:
        raise RefusedError(f"there is no {precision} run of this process")
    return runs[precision]


# ---- averaging ----------------------------------------------------------------------------------------------


def averaging(device: torch.device, toy: bool) -> dict[str, float]:
    """An update of EMA, all tensors at once, beside one tensor after the other."""
    sizes = [(8, 8, 3, 3) if toy else (64, 64, 3, 3), (64,)] * 173
    model = L.LightningModule()
    model.weights = torch.nn.ParameterList([torch.nn.Parameter(torch.randn(size, device=device)) for size in sizes])
    ema, trainer = EMA(), L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    ema.setup(trainer, model, "fit")
    ema.on_train_start(trainer, model)
    copies = [weight.detach().clone() for weight in model.weights]

    def ours() -> None:
        ema.within_step()
        wait(device)

    def each() -> None:
        with torch.no_grad():
            for average, weight in zip(copies, model.weights, strict=True):
                average.lerp_(weight, 0.001)
        wait(device)

    found = in_turns({"ours": ours, "tensor by tensor": each}, 2 if toy else 50, time.perf_counter)
    return {name: 1000 * seconds for name, seconds in found.items()}
