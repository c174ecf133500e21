"""What every test may ask for."""

import logging
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from own_networks import NETWORK
from PIL import Image

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has one core; threads on top only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
for name in ("SR_CACHE_DIR", "SR_TRUST", "SR_BUDGET_FACTOR"):  # of who runs the tests
    os.environ.pop(name, None)
ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("SR_SHARED"):
        absent = pytest.mark.skip(reason="SR_SHARED does not point to the real images and weights")
        for item in items:
            if "shared" in item.keywords:
                item.add_marker(absent)


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Not that of who runs the tests: in it lies the key that tells one's own runs."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and authors' weights; a test that uses it is marked `shared`."""
    return Path(os.environ["SR_SHARED"]).resolve()


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


class Outcome:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code, self.out, self.err, self.folder = code, out, err, folder

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run an entry script in this process as a user would type it, in a run folder below tmp_path.

    command("train.py", "model=srcnn", folder="a") -> Outcome; W&B is off unless a logger is typed. With folder="" the
    command names its folder itself.
    """
    monkeypatch.setenv("SR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("SR_BUDGET_FACTOR", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(script: str, *arguments: str, folder: str = "run") -> Outcome:
        place = tmp_path / folder
        typed = list(arguments)
        multirun = "-m" in typed or "--multirun" in typed
        if folder and not any(a.startswith(("resume=", "hydra.run.dir=", "hydra.sweep.dir=")) for a in typed):
            typed.insert(0, f"hydra.{'sweep' if multirun else 'run'}.dir={place}")
        if script == "train.py" and not any(a.startswith(("logger=", "resume=")) for a in typed):
            typed.insert(0, "logger=csv")
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.setenv("SR_TRUST", os.environ.get("SR_TRUST", ""))  # what a command trusts ends with its process
            patch.setattr(sys, "argv", [str(ROOT / script), *typed])
            try:
                runpy.run_path(str(ROOT / script), run_name="__main__")
                code = 0
            except SystemExit as stop:
                if isinstance(stop.code, str):
                    print(stop.code, file=sys.stderr)
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            finally:
                GlobalHydra.instance().clear()
                logging.getLogger().handlers.clear()
                os.environ.pop("SR_BUDGET_FACTOR", None)
        out, err = capfd.readouterr()
        return Outcome(code, out, err, place)

    return run


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 with edges, texture and smooth parts: something that a network can learn from."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x * rng.uniform(0.1, 0.9) + y * rng.uniform(0.1, 0.9) + rng.uniform(0, 6)) for _ in range(3)]
    image = np.stack([110 + 60 * w * (x > width / 3) + 40 * (y > height / 2) for w in waves], axis=-1)
    return (image + rng.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photos() -> Callable[..., list[Path]]:
    """Write n generated photos into a folder: photos(folder, n, height, width, first_seed) -> their paths."""

    def write(folder: Path, n: int = 3, height: int = 72, width: int = 96, first: int = 0) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{first + i:04d}.png" for i in range(1, n + 1)]
        for seed, path in enumerate(paths, first):
            Image.fromarray(photo(height, width, seed)).save(path)
        return paths

    return write


@pytest.fixture
def div2k(tmp_path: Path, photos: Callable[..., list[Path]]) -> Path:
    """A small tree in DIV2K's layout: 0001-0003 to train on, 0801-0803 to validate on."""
    root = tmp_path / "DIV2K"
    photos(root / "DIV2K_train_HR", 3)
    photos(root / "DIV2K_valid_HR", 3, first=800)
    return root


@pytest.fixture
def clips(tmp_path: Path) -> Callable[..., Path]:
    """clips(frames=5) -> a folder of clips, each a photo that moves by a pixel or two from frame to frame."""

    def make(
        count: int = 3, frames: int = 5, height: int = 64, width: int = 64, folder: str = "clips", first: int = 0
    ) -> Path:
        for clip in range(first, first + count):
            place = tmp_path / folder / f"{clip:03d}"
            place.mkdir(parents=True)
            whole = photo(height + frames, width + 2 * frames, seed=clip)
            for n in range(frames):
                frame = whole[n : n + height, 2 * n : 2 * n + width]
                Image.fromarray(frame).save(place / f"{n:08d}.png")
        return tmp_path / folder

    return make


VGG_WIDTHS = (
    64,
    64,
    "pool",
    128,
    128,
    "pool",
    256,
    256,
    256,
    256,
    "pool",
    512,
    512,
    512,
    512,
    "pool",
    512,
    512,
    512,
    512,
)


@pytest.fixture(scope="session")
def vgg_state() -> dict[str, torch.Tensor]:
    """torchvision's keys and shapes of VGG-19's convolutions with random weights that keep features near 1."""
    random = torch.Generator().manual_seed(0)
    state, before = {}, 3
    index = 0
    for width in VGG_WIDTHS:
        if width == "pool":
            index += 1
            continue
        weight = torch.randn(width, before, 3, 3, generator=random) * (2 / (9 * before)) ** 0.5
        state[f"features.{index}.weight"] = weight.half()
        state[f"features.{index}.bias"] = 0.1 * torch.randn(width, generator=random).half()
        index, before = index + 2, width
    state["classifier.0.weight"] = torch.zeros(1, 1)  # the real file has these too; nothing looks at them
    return state


@pytest.fixture(scope="session")
def vgg_file(vgg_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state as a file, in half precision to be quick."""
    file = tmp_path_factory.mktemp("vgg") / "random_vgg19.pth"
    torch.save(vgg_state, file)
    return file


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "elsewhere/their_package"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(str(place.parent))
    yield place
    sys.modules.pop("their_package", None)
