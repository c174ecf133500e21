"""The package as it is installed: built from its source distribution and used from an empty folder elsewhere."""

import doctest
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sr.models.ecbsr import ECBSR
from sr.runs.checkpoint import describe

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("sr", "conf", "tests", "docs", "notebooks", "results", ".ci")
SHOWN = [p for p in sorted((ROOT / "sr").rglob("*.py")) if ">>>" in p.read_text()]
DRAWING, LOGGING = {"matplotlib", "scipy"}, {"mlflow", "tensorboard", "wandb"}
UNUSED = {"albumentations", "kornia", "lpips", "spandrel", "torchvision"} | DRAWING | LOGGING
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, f'build_{sys.argv[1]}')(sys.argv[2])"


def done(*typed: object, cwd: Path, **environment: str) -> str:
    """What a process printed, which must end well; nothing of this checkout is on its path."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    ended = subprocess.run([*map(str, typed)], cwd=cwd, env=env, capture_output=True, text=True)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def files_below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a source distribution and of the wheel that is built from it."""
    copy, place = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, copy)
    done(sys.executable, "-c", BUILD, "sdist", place, cwd=copy)
    with tarfile.open(next(place.glob("*.tar.gz"))) as archive:
        archive.extractall(place, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # not in 3.11.2
    done(sys.executable, "-c", BUILD, "wheel", place, cwd=next(place.glob("sr_lab-*/")))
    return place


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """installed("train", ...) -> what `sr train ...` of the wheel prints, in a folder that was empty."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    wheel = next(dist.glob("*.whl"))
    done(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel, cwd=folder)

    def run(*typed: str) -> str:
        return done(sys.executable, *(typed if "-c" in typed else ("-m", "sr", *typed)), cwd=folder,
                    PYTHONPATH=str(site), OMP_NUM_THREADS="1")  # fmt: skip

    run.folder, run.site = folder, site
    return run


def test_the_wheel_holds_the_package_and_the_configs_and_nothing_else(dist, installed):
    site = installed.site
    assert {p.name.split("-")[0] for p in site.iterdir()} == {"sr", "sr_lab", "bin"}
    assert files_below(site / "sr" / "conf") == files_below(ROOT / "conf")
    assert files_below(site / "sr") - {f"conf/{name}" for name in files_below(ROOT / "conf")} == files_below(
        ROOT / "sr"
    )
    assert (site / "sr" / "py.typed").is_file() and (site / "bin" / "sr").is_file()


def test_the_source_distribution_is_complete(dist):
    source = next(dist.glob("sr_lab-*/"))
    for name in SOURCES:
        assert files_below(ROOT / name) <= files_below(source / name)
    assert all(
        (source / p.name).is_file() for p in ROOT.iterdir() if p.suffix in (".py", ".toml", ".txt", ".md", ".cff")
    )


def test_what_is_installed_trains_measures_and_loads_where_the_user_stands(installed):
    tiny = ["experiment=demo", "budget=smoke", "steps=4", "logger=csv", "trainer=cpu", "benchmarks=[]"]
    typed = ["sr", "train", *tiny, "hydra.run.dir=demo"]
    script = (
        f"import gc, sys; from sr.cli import entry; sys.argv = {typed}; entry()\n"
        "print('modules:', gc.isenabled(), gc.get_freeze_count(), *sys.modules)"
    )
    collecting, kept, *modules = installed("-c", script).split("modules:")[1].split()
    assert not UNUSED & set(modules), UNUSED & set(modules)
    assert collecting == "True" and int(kept) > 100_000  # objects that imports made, through which nobody looks again
    assert "bicubic" in installed("evaluate", "model=bicubic", "benchmarks=[bundled]", "scale=2", "panels=0")
    loaded = "import sr; print(sr.__file__, sr.load('demo').scales, sr.load('demo/checkpoints/last.ckpt').scales)"
    file, *scales = installed("-c", loaded).replace("(2,)", "x2").split()
    assert Path(file).parent == installed.site / "sr" and scales == ["x2", "x2"]
    assert {p.name for p in installed.folder.iterdir()} == {"demo", "outputs", "data"}  # data/.cache: decoded pixels
    assert not {p.name for p in installed.site.iterdir()} & {"outputs", "data"}


@pytest.mark.slow
def test_a_photo_is_enlarged_by_what_is_installed_alone(installed):
    """640x480, x4, in less than 10 s of all threads' processor time, start-up included; nothing asks for the network.

    Not by the clock, which tells what else the machine does. What the package needs is this environment's.
    """
    photo = saved_photo(installed.folder)
    script = (
        "import socket, sys, time\n"
        "asked = []\n"
        "def refuse(*what, **how):\n"
        "    asked.append(what)\n"
        "    raise OSError('no network')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse\n"
        "from sr.cli import entry; sys.argv = ['sr', 'upscale', 'input=photo.jpg']; entry()\n"
        "print('seconds:', time.process_time())\n"
        "print('asked:', *asked)"
    )
    told = installed("-c", script)
    assert told.endswith("asked:\n") and "by plain_m10c32_x4 " in told, told
    assert float(told.split("seconds:")[1].split()[0]) < 10, told  # of the processor, start-up included
    assert_enlarged(installed.folder / "outputs/upscaled/photo_x4.jpg", photo)


def saved_photo(folder: Path) -> Image.Image:
    """photo.jpg of 640x480."""
    photo = Image.open(Path(find_spec("skimage").origin).parent / "data/coffee.png").resize((640, 480))
    photo.save(folder / "photo.jpg", quality=95)
    return photo


def assert_enlarged(file: Path, photo: Image.Image) -> None:
    """It is the photo, four times as large."""
    with Image.open(file) as large:
        assert large.size == (4 * photo.width, 4 * photo.height)
        small = large.convert("RGB").resize(photo.size, Image.Resampling.BOX)
    assert np.abs(np.subtract(small, photo.convert("RGB"), dtype=np.int16)).mean() < 3, "another picture"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_demo_ends_with_one_of_its_photos_enlarged(tmp_path):
    """What make types behind the training, in a folder with an environment of that name."""
    lines = done("make", "-n", "-o", ".venv/installed", "demo", cwd=ROOT).splitlines()
    assert len(lines) == 2 and lines[0].endswith("python train.py experiment=demo"), lines
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "upscale.py").symlink_to(ROOT / "upscale.py")
    told = done("sh", "-c", lines[1], cwd=tmp_path, OMP_NUM_THREADS="1")
    assert "by plain_m10c32_x4 " in told, told
    photo = Image.open(Path(find_spec("skimage").origin).parent / "data/coffee.png")
    assert_enlarged(tmp_path / "outputs/upscaled/coffee_x4.png", photo)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_mixes_no_two_pythons_in_one_environment(tmp_path):
    """It made an environment over one of another Python, in which packages of both lay."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (config := tmp_path / ".venv/pyvenv.cfg").parent.mkdir()
    typed = ("make", "test", f"PYTHON={sys.executable}")
    config.write_text("home = /usr/bin\nversion = 3.1.4\n")
    told = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode and "is of another Python than" in told.stdout and "make clean" in told.stdout, told
    assert [*config.parent.iterdir()] == [config]
    config.write_text("home = /usr/bin\nversion_info = {}.{}.0\n".format(*sys.version_info))
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho typed "$@"\n')
    python.chmod(0o755)
    told = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True)
    assert not told.returncode and "typed -m pytest" in told.stdout and "version_info" in config.read_text(), told


def test_the_command_explains_itself(installed):
    from sr.cli import TASKS

    told = installed()
    assert all(name in told for name in (*TASKS, "zoo")) and installed("--help") == told
    assert "sr train experiment=demo" in installed("train", "--help")
    assert "rlfn_x4" in installed("zoo", "list")


def test_help_and_the_package_wait_for_nothing_heavy(installed):
    """Torch alone takes a second, and Hydra's copies of its schemas for --help took another one."""
    script = "import sys, sr; assert set(sr.__all__) <= set(dir(sr)); print(*sys.modules)"
    assert not {"torch", "lightning", "hydra", "numpy"} & set(installed("-c", script).split())
    script = (
        "import copy, sys; from hydra.core.config_store import ConfigStore; from sr.cli import entry\n"
        "sys.argv = ['sr', 'train', '--help']\n"
        "try: entry()\n"
        "except SystemExit: print('modules:', *sys.modules)\n"
        "assert copy.deepcopy(ConfigStore.instance()) is ConfigStore.instance()"
    )
    modules = installed("-c", script).split("modules:")[1].split()
    assert not {"torch", "lightning", "numpy", "wandb", "sr.models", "sr.training.train"} & set(modules)


def test_an_unknown_command_is_told_the_nearest(monkeypatch):
    from sr.cli import entry

    monkeypatch.setattr(sys, "argv", ["sr", "trian"])
    with pytest.raises(SystemExit, match=r"Did you mean train\? There are train, evaluate"):
        entry()


@pytest.mark.parametrize("file", SHOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_examples_of_docstrings_run(file, tmp_path, monkeypatch):
    """In a folder with a run in it."""
    monkeypatch.chdir(tmp_path)
    node = {"_target_": "sr.models.ecbsr.ECBSR", "scale": 2}
    content = {"state_dict": ECBSR(scale=2).state_dict(), "sr": describe(node, "ecbsr", {})}
    Path("outputs/ecbsr_m4c16_x2/2026-01-31_12-00-00/checkpoints").mkdir(parents=True)
    torch.save(content, "outputs/ecbsr_m4c16_x2/2026-01-31_12-00-00/checkpoints/last.ckpt")
    module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted and not result.failed


@pytest.mark.slow
@pytest.mark.timeout(1800)  # torch and all else is fetched
def test_the_wheel_installs_with_what_it_needs_into_a_fresh_environment(dist, tmp_path):
    """Trains, measures, enlarges and loads there with what pip fetched for the wheel alone. No time is measured."""
    venv.create(tmp_path / "venv", with_pip=True)
    bin, wheel = tmp_path / "venv" / "bin", next(dist.glob("*.whl"))
    done(bin / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    folder = tmp_path / "empty"
    folder.mkdir()
    done(bin / "sr", "train", "experiment=demo", "budget=smoke", "logger=csv", "hydra.run.dir=demo", cwd=folder)
    done(bin / "sr", "evaluate", "model=bicubic", "benchmarks=[bundled]", cwd=folder)
    photo = saved_photo(folder)
    done(bin / "sr", "upscale", "input=photo.jpg", cwd=folder)
    assert_enlarged(folder / "outputs/upscaled/photo_x4.jpg", photo)
    assert "ECBSR" in done(bin / "python", "-c", "import sr; print(sr.load('demo'))", cwd=folder)
