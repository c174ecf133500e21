"""The device that is measured, and what the machine is called."""

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import beside
import torch
from lightning.pytorch.trainer.states import RunningStage

from gpu.part import NO_DEVICE, Part
from sr.data.bundled import Bundled
from sr.degradation import Degradation, GaussianBlur, GaussianNoise, Jpeg, MatlabBicubic
from sr.runs.version import code_version


def device_of(part: Part) -> torch.device:
    """The GPU, or of a toy the processor; what the machine is, is written down.

    Raises:
        SystemExit: there is none, or this torch cannot use it.
    """
    if not part.toy and not torch.cuda.is_available():
        print(f"torch {torch.__version__} for CUDA {torch.version.cuda} sees no GPU here")
        raise SystemExit(NO_DEVICE)
    device = torch.device("cpu") if part.toy else torch.device("cuda", 0)
    part.write(machine=machine(device))
    return device


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> dict[str, Any]:
    """What a figure of this run belongs to."""
    found: dict[str, Any] = {"date": time.strftime("%Y-%m-%d", time.gmtime())}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "GPU": properties.name,
            "memory": f"{properties.total_memory / 2**30:.0f} GiB",
            "driver": _driver(),
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),
        }
    code = code_version()
    found |= {"torch": torch.__version__, "Python": platform.python_version(), "processor": beside.processor()}
    found |= {"cores": len(os.sched_getaffinity(0)), "system": platform.platform(), "commit": code["commit"]}
    if Path("/dev/shm").is_dir():  # through which loader workers hand over their batches
        found["free in /dev/shm"] = f"{shutil.disk_usage('/dev/shm').free / 2**30:.1f} GiB"
    return {name: value for name, value in found.items() if value is not None}


def _driver() -> str:
    """Of the GPU: by nvidia-smi, or where there is none by the kernel's own file."""
    try:
        ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip().splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        version = Path("/proc/driver/nvidia/version")
        return version.read_text().splitlines()[0] if version.is_file() else "unknown"


def trained_by(device: torch.device) -> Any:
    """As much of a trainer as a data module asks for."""
    strategy = SimpleNamespace(root_device=device)
    seen = {"strategy": strategy, "state": SimpleNamespace(stage=RunningStage.TRAINING), "training": True}
    return SimpleNamespace(world_size=1, global_rank=0, lightning_module=None, **seen)


def photos(part: Part, at: torch.device, scale: int, patch: int, batch: int, **settings: Any) -> Bundled:
    """The bundled photos, set up to train on the device."""
    cache = os.environ.get("SR_CACHE_DIR") or part.scratch / "images"
    data = Bundled(scale=scale, patch_size=patch, batch_size=batch, seed=0, cache_dir=cache, **settings)
    data.setup("fit")
    data.trainer = trained_by(at)
    return data


def wild(scale: int) -> Degradation:
    """That of conf/degradation/blur_noise_jpeg.yaml."""
    return Degradation(scale, [GaussianBlur([0.2, 2.0]), MatlabBicubic(scale), GaussianNoise([0, 15]), Jpeg([40, 95])])
