"""A trained network in use: the device's pictures are the host's, tiles are the whole, and what a picture takes."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from beside import in_turns
from PIL import Image

from gpu.command import sr
from gpu.device import device_of, wait
from gpu.part import Part, RefusedError
from sr.compose.words import path_word
from sr.deploy.exact import apart
from sr.deploy.tiles import enlarge
from sr.errors import UserError
from sr.forms.running import EXACT, tried
from sr.metrics.metric import get_metrics
from sr.metrics.protocols import get_protocol
from sr.models.base import SuperResolver
from sr.models.bsrn import BSRN
from sr.models.edsr import EDSR
from sr.models.rlfn import RLFN
from sr.precision import full_precision

SCALE, WEIGHTS = 4, "plain_m10c32_x4"  # which travels with the project
FORMS = ("eager", "merged", "channels_last", "compiled", "bf16")
HALF, BF16 = 1e-2, 5e-2  # of the largest value: what half precision of features, and bfloat16, may change


def run(part: Part) -> None:
    """By the command first, then each network."""
    device = device_of(part)
    photo = picture(part, 48 if part.toy else 240)
    for words in ([], ["self_ensemble=true"], ["tile=19"]):
        name = f"sr upscale on the device: to a level of the host's{', '.join(['', *words])}"
        part.check(name, lambda w=words: upscaled(part, photo, device, w))
    for build in (EDSR, RLFN, BSRN):
        torch.manual_seed(0)
        small = {"num_blocks": 1, "channels": 16} if part.toy else {}
        model = build(SCALE, **small).eval().to(device)
        name = build.__name__
        part.check(f"{name}: tiles are the whole", lambda m=model: within(apart(m, SCALE, device), EXACT))
        part.check(f"{name}: features in float16", lambda m=model: within(apart(m, SCALE, device, half=True), HALF))
        for form in FORMS if not part.toy else FORMS[:3]:
            labels = {"network": name, "form": form}
            part.case("forms", labels, lambda m=model, f=form: of_form(m, f, device, part.toy), 20)
        for how, tile in {"whole": None, "tiles": 32 if part.toy else 256}.items():
            labels = {"network": name, "made": how}
            part.case("upscaling", labels, lambda m=model, t=tile: enlarging(m, t, device, part.toy))
    for name in ("niqe", "lpips", "dists"):
        part.check(f"{name} on the device is the host's", lambda n=name: measured(n, device, part.toy))


def picture(part: Part, side: int) -> Path:
    """A folder with a picture of smooth noise."""
    folder = part.folder()
    folder.mkdir()
    small = np.random.default_rng(0).integers(0, 256, (side // 8, side // 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize((side * 4 // 3, side), Image.Resampling.BICUBIC).save(folder / "photo.png")
    return folder


def within(found: float, most: float) -> tuple[bool, str]:
    """Whether a difference is small enough."""
    return found <= most, f"{found:.1e} of the largest value; {most:.0e} allowed"


def upscaled(part: Part, photo: Path, device: torch.device, words: list[str]) -> tuple[bool, str]:
    """The picture by the command on both."""
    made = []
    for place in ("cpu", device.type):
        folder = part.folder()
        own = [path_word("input", photo), path_word("output", folder), f"model={WEIGHTS}", "format=png"]
        sr("upscale", *own, f"device={place}", *words)
        (file,) = folder.rglob("photo*.png")
        made.append(np.asarray(Image.open(file), np.int16))
    off = np.abs(made[0] - made[1])
    return int(off.max()) <= 1 and float((off > 0).mean()) < 1e-2, f"{100 * (off > 0).mean():.3f} % differ by a level"


def of_form(model: SuperResolver, form: str, device: torch.device, toy: bool) -> dict[str, Any]:
    """How far from the merged network, and milliseconds of 320x180 (a 720p frame at x4)."""
    plain = model.merged().to(device)
    found, most = tried(model, plain, form, SCALE), BF16 if form == "bf16" else EXACT
    if found.apart > most:
        raise RuntimeError(f"{found.apart:.1e} from the merged network, {most:.0e} allowed")
    lr = torch.rand(1, 3, *((12, 20) if toy else (180, 320)), device=device)

    @torch.inference_mode()
    def once() -> None:
        with full_precision(device):
            found.model(lr, SCALE)
        wait(device)

    once()
    seconds = in_turns({form: once}, 1 if toy else 20, time.perf_counter)[form]
    return {"ms a frame of 720p": 1000 * seconds, "apart": found.apart}


def enlarging(model: SuperResolver, tile: int | None, device: torch.device, toy: bool) -> dict[str, Any]:
    """Milliseconds and MiB of a picture of 960x640, from the host and back to it."""
    lr = torch.rand(1, 3, *((48, 64) if toy else (640, 960)))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def once() -> None:
        with full_precision(device):
            enlarge(model, lr, SCALE, tile=tile, device=device)

    seconds = in_turns({"": once}, 1 if toy else 3, time.perf_counter)[""]
    found = {"ms": 1000 * seconds}
    return found | ({"MiB": torch.cuda.max_memory_allocated() / 2**20} if device.type == "cuda" else {})


def measured(name: str, device: torch.device, toy: bool) -> tuple[bool, str]:
    """A metric of an output that is a little off, on both."""
    draw, (height, width) = torch.Generator().manual_seed(0), (240, 320) if toy else (480, 640)
    small = torch.rand(1, 3, height // 8, width // 8, generator=draw)
    hr = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    pair = (hr + 0.02 * torch.randn(hr.shape, generator=draw)).clamp(0, 1), (hr * 255).round().byte()
    compare = partial(get_protocol("y").compare, scale=2, metrics=get_metrics([name]))
    values = []
    for place in (torch.device("cpu"), device):
        with full_precision(place):
            try:
                values.append(float(compare(*(x.to(place) for x in pair))[name]))
            except UserError as error:  # its weights are not there
                raise RefusedError(str(error)) from error
    return abs(values[0] - values[1]) <= 1e-3 * abs(values[0]), f"{values[1]:.5f}; the host's {values[0]:.5f}"
