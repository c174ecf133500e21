"""What the device computes equals what the host computes: crops, LR, resizing, metrics; and how long both take."""

import time
from itertools import islice

import torch
from beside import in_turns
from torch.utils.data import Dataset

from gpu.device import device_of, photos, wait, wild
from gpu.part import Part
from sr.data.batch import Batch
from sr.data.bundled import Bundled
from sr.data.device import on_device
from sr.data.multiscale import MultiScale
from sr.data.sampling import SampleNumbers
from sr.imaging.resize import imresize
from sr.metrics.protocols import PROTOCOLS, get_protocol

ROUNDING = 1e-3, 1e-5  # dB and SSIM: what a pixel that is rounded the other way, and float32, may change


def run(part: Part) -> None:
    """One check after the other."""
    device = device_of(part)
    batches, patch, batch = (2, 8, 4) if part.toy else (150, 48, 16)
    for scale in (2, 4):
        data = photos(part, device, scale, patch, batch)
        part.check(f"x{scale}: crops and LR on the device are the host's", lambda d=data: crops(d, device, batches))
    part.check("x2, x4 mixed: the same", lambda: mixed(part, device, patch, batch, batches))
    random = photos(part, device, 4, patch, batch, degradation=wild(4))
    few = min(batches, 20)
    part.check("x4: blur, noise and JPEG on the device are the host's to a level", lambda: near(random, device, few))
    for workers in (2,) if part.toy else (2, 8):
        given = photos(part, device, 2, patch, batch, num_workers=workers, device=False)
        part.check(f"x2: crops of {workers} workers are those of none", lambda d=given: by_workers(d, batches))
    one = data.whole("val")[0]
    hr = one.hr[..., :96, :96] if part.toy else one.hr
    for scale in (2, 3, 4):
        part.check(f"imresize of bytes to 1/{scale}: to the bit", lambda s=scale: bytes_resized(hr, s, device))
    part.check("imresize of floats: 1/2, 1/3, 2, 4 within 1e-6", lambda: floats_resized(hr, device))
    for name in PROTOCOLS:
        part.check(f"PSNR and SSIM under {name}", lambda n=name: measured(hr, n, device))
    count, (height, width) = (2, (60, 80)) if part.toy else (16, (320, 480))
    images = hr[..., :height, :width].repeat(count, 1, 1, 1)
    what = f"PSNR and SSIM, {count} images of {height}x{width}"
    part.case("numbers", {"what": what}, lambda: metric_times(images, device, part.toy))
    size = (60, 80) if part.toy else (1356, 2040)
    what = f"imresize of a {size[0]}x{size[1]} image to 1/4"
    part.case("numbers", {"what": what}, lambda: resize_times(size, device, part.toy))


def crops(data: Bundled, device: torch.device, batches: int) -> tuple[bool, str]:
    """Whether the batches are equal to the bit."""
    return alike(data.patches(), on_device(data.patches(), device), data.batch_size, batches)


def mixed(part: Part, device: torch.device, patch: int, batch: int, batches: int) -> tuple[bool, str]:
    """The same of several scales in turn."""
    data = MultiScale({scale: photos(part, device, scale, patch, batch) for scale in (2, 4)})
    return alike(data.patches(), on_device(data.patches(), device), batch, batches)


def alike(host: Dataset[Batch], other: Dataset[Batch], size: int, batches: int) -> tuple[bool, str]:
    """Whether two ways to cut batches give the same ones."""
    pairs = [(host[n], other[n]) for n in islice(SampleNumbers(size), batches)]
    return all(same(a, b) for a, b in pairs), f"{sum(same(a, b) for a, b in pairs)} of {batches} batches of {size}"


def near(data: Bundled, device: torch.device, batches: int) -> tuple[bool, str]:
    """Whether random LR is the host's, but for what is rounded the other way."""
    host, other = data.patches(), on_device(data.patches(), device)
    pairs = [(host[n], other[n]) for n in islice(SampleNumbers(data.batch_size), batches)]
    apart = torch.cat([(a.lr.int() - b.lr.cpu().int()).abs().flatten() for a, b in pairs])
    one, more = (float((apart > level).float().mean()) for level in (0, 1))
    return one < 0.01 and more < 0.001, f"{100 * one:.3f} % of the values differ, {100 * more:.3f} % by two or more"


def by_workers(data: Bundled, batches: int) -> tuple[bool, str]:
    """Whether the loader's processes give the batches of this one."""
    patches, numbers, loaded = data.patches(), SampleNumbers(data.batch_size), iter(data.train_dataloader())
    right = sum(same(patches[n], next(loaded)) for n in islice(numbers, batches))
    return right == batches, f"{right} of {batches} batches"


def same(a: Batch, b: Batch) -> bool:
    """To the bit, names included."""
    pixels = all(torch.equal(x.cpu(), y.cpu()) for x, y in zip(a[:2], b[:2], strict=True))
    return pixels and a[2:] == b[2:]


def bytes_resized(hr: torch.Tensor, scale: int, device: torch.device) -> tuple[bool, str]:
    """The LR of the papers."""
    cut = hr[..., : hr.shape[-2] // scale * scale, : hr.shape[-1] // scale * scale].contiguous()
    host, other = imresize(cut, 1 / scale), imresize(cut.to(device), 1 / scale).cpu()
    wrong = int((host != other).sum())
    return wrong == 0, f"{wrong:,} of {host.numel():,} values differ"


def floats_resized(hr: torch.Tensor, device: torch.device) -> tuple[bool, str]:
    """Up and down."""
    image = hr[..., :192, :192].float() / 255
    pairs = [(imresize(image, f), imresize(image.to(device), f).cpu()) for f in (1 / 2, 1 / 3, 2, 4)]
    most = max(float((a - b).abs().max()) for a, b in pairs)
    return most <= 1e-6, f"{most:.1e} at most"


def measured(hr: torch.Tensor, name: str, device: torch.device) -> tuple[bool, str]:
    """An output that is a little off, against its HR."""
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    sr = hr.float() / 255 + 0.03 * noise
    protocol = get_protocol(name)
    host, other = protocol.compare(sr, hr, 2), protocol.compare(sr.to(device), hr.to(device), 2)
    off = [float((host[m] - other[m].cpu()).abs().max()) for m in ("psnr", "ssim")]
    passed = all(found <= allowed for found, allowed in zip(off, ROUNDING, strict=True))
    return passed, f"{off[0]:.1e} dB and {off[1]:.1e} at {float(host['psnr'][0]):.2f} dB"


def metric_times(images: torch.Tensor, device: torch.device, toy: bool) -> dict[str, float]:
    """Milliseconds an image, on the host by one thread."""
    outputs = (images.float() / 255 + 0.02).clamp(0, 1)
    ways = {}
    for name, at in {"host": torch.device("cpu"), "device": device}.items():
        pair = outputs.to(at), images.to(at)
        ways[name] = lambda pair=pair, at=at: (get_protocol("y").compare(*pair, 2), wait(at))
    return {name: 1000 * s / len(images) for name, s in in_turns(ways, 1 if toy else 5, time.perf_counter).items()}


def resize_times(size: tuple[int, int], device: torch.device, toy: bool) -> dict[str, float]:
    """Milliseconds, on the host by one thread."""
    image = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    ways = {}
    for name, at in {"host": torch.device("cpu"), "device": device}.items():
        there = image.to(at)
        ways[name] = lambda there=there, at=at: (imresize(there, 1 / 4), wait(at))
    return {name: 1000 * s for name, s in in_turns(ways, 1 if toy else 5, time.perf_counter).items()}
