"""The house keeps its order: rooms import downward only, and a network needs nothing but what it computes with."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SR = Path(__file__).resolve().parents[1] / "sr"
# From the ground up. A room may import the ones before it.
ROOMS = (
    "errors", "memory", "precision", "whole", "bounded", "compiled", "philox", "own_modules", "imaging", "layers",
    "degradation", "metrics", "losses", "data", "models", "scores", "compose", "runs", "zoo", "forms", "measuring",
    "deploy", "callbacks", "loggers", "training", "sweeps", "figures", "comparison", "study", "cli",
)  # fmt: skip
OPTIONAL = {"albumentations", "av", "mlflow", "spandrel", "tensorboard", "torchvision", "wandb"}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def imports(file: Path) -> set[str]:
    """Everything of this project that a file imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "sr"}


def test_every_room_is_listed():
    rooms = {p.stem for p in SR.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert rooms - {"__init__", "__main__", "__pycache__"} == set(ROOMS)


def test_the_page_about_the_code_lists_them_in_order():
    page = (SR.parent / "docs/api.md").read_text()
    assert re.findall(r"^sr/(\w+)(?:/|\.py) ", page, re.M) == list(ROOMS)


def test_what_is_imported_is_there():
    """Within functions too, which are imported when they are called; mypy takes a module that is gone for a package."""
    wrong = []
    for file in SR.rglob("*.py"):
        for name in imports(file):
            places = [SR.parent / name.replace(".", "/"), (SR.parent / name.replace(".", "/")).parent]
            if not any(p.with_suffix(".py").is_file() or (p / "__init__.py").is_file() for p in places):
                wrong.append(f"{file.relative_to(SR)} imports {name}")
    assert not wrong


def test_nothing_imports_upward():
    wrong = []
    for file in SR.rglob("*.py"):
        own = file.relative_to(SR).parts[0].removesuffix(".py")
        for name in imports(file) if own in ROOMS else ():
            if (other := room(name)) in ROOMS and ROOMS.index(other) > ROOMS.index(own):
                wrong.append(f"{file.relative_to(SR)} imports {name}")
    assert not wrong


@pytest.mark.parametrize("name", ["models", "losses", "layers"])
def test_a_network_needs_no_data_set_and_no_logger(name):
    modules = [f"sr.{name}.{p.stem}" for p in sorted((SR / name).glob("*.py")) if p.stem != "__init__"]
    script = f"import sys, importlib\nfor m in {modules}: importlib.import_module(m)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {m for m in loaded if m.startswith(("sr.data", "sr.loggers", "sr.callbacks")) or m in OPTIONAL}
