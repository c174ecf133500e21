"""When LR of a cache is taken again, and when it is made anew."""

import importlib
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from sr.data.folder import Folder
from sr.degradation import (
    Degradation,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    MatlabBicubic,
    MotionBlur,
    PoissonNoise,
    Step,
)
from sr.degradation.fingerprint import _Description
from sr.errors import UserError

MODULE = '''
import numpy as np
from sr.degradation import Step
from sr.degradation.step import as_float

FACTOR = 0.5

def helper(x):
    """Dims."""
    return as_float(x) * FACTOR

def unrelated(x):
    return x in {"a", "b", "c"} or x + 1

class Base(Step):
    def __call__(self, x, generator):
        return helper(x)  # a comment

class Dim(Base):
    names = {"x", "y", "z"}
    def __init__(self, kernel=None):
        self.kernel = kernel
    def check(self, x):
        return x in {"a", "b", "c"}

class Other(Step):
    pass
'''


class Holds(Step):
    """A step that is what it holds."""

    def __init__(self, held: Any) -> None:
        self.held = held


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros((33, 33)), np.pad([[1e-12]], 16)),
        (np.zeros(3, np.float32), np.zeros(3)),
        (torch.zeros(2000), torch.cat([torch.zeros(1000), torch.ones(1), torch.zeros(999)])),
        (torch.zeros(4, dtype=torch.bfloat16), torch.ones(4, dtype=torch.bfloat16)),
        (0.1, 0.1 + 1e-16 * 2),
        ({"a": [1, 2]}, {"a": [1, 3]}),
        ([1, 2], [12]),
        (["a", "b"], ["a", "'b"]),
        (torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Conv2d(1, 1, 1)),
        (lambda x: x + 1, lambda x: x + 2),
        (len, max),
    ],
)
def test_what_is_held_makes_the_key(one: object, other: object) -> None:
    assert Holds(one).key == Holds(one).key != Holds(other).key


def test_contents_of_files_count(tmp_path: Path) -> None:
    file = tmp_path / "kernel.npy"
    keys = []
    for value in (b"1", b"2"):
        file.write_bytes(value)
        keys += [Holds(str(file)).key, Holds(file).key, Holds(tmp_path).key]
    assert len(set(keys)) == 6


@pytest.mark.parametrize("held", [threading.Lock(), random.Random(0), np.random.default_rng(0), np.array([object()])])
def test_what_cannot_be_described_is_refused(held: object) -> None:
    with pytest.raises(UserError, match=r"Holds\.held\[0\].*property `key`"):
        Degradation(2, [Holds([held]), MatlabBicubic(2)]).key  # noqa: B018


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """module(source) -> it, imported anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(source: str) -> ModuleType:
        (tmp_path / "my_steps.py").write_text(source)
        sys.modules.pop("my_steps", None)
        importlib.invalidate_caches()
        return importlib.import_module("my_steps")

    yield load  # type: ignore[misc]
    sys.modules.pop("my_steps", None)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("# a comment", "# another, longer comment", True),
        ('"""Dims."""', '"""Makes darker."""', True),
        ("x + 1", "x + 2", True),
        ("class Other(Step):", "class Other(Step):\n    sigma = 3\n\nclass More(Step):", True),
        ("FACTOR = 0.5", "FACTOR = 0.25", False),
        ("* FACTOR", "* FACTOR ** 2", False),
        ("return helper(x)", "return helper(helper(x))", False),
        ('{"x", "y", "z"}', '{"x", "y", "w"}', False),
    ],
)
def test_own_code_counts_and_the_rest_of_its_module_does_not(
    module: Callable[[str], Any], before: str, after: str, same: bool
) -> None:
    assert before in MODULE
    first = module(MODULE).Dim().key
    assert (module(MODULE.replace(before, after)).Dim().key == first) == same


@pytest.mark.parametrize(
    ("imports", "within", "call"),
    [
        ("import lab.filters", "", "lab.filters.dim"),
        ("import lab.filters as own", "", "own.dim"),
        ("", "from lab.filters import dim", "dim"),
        ("", "import lab.filters", "lab.filters.dim"),
        ("", "import lab.filters as own", "own.dim"),
        ("from lab import step", "", "step.again"),
    ],
)
def test_code_in_other_modules_counts_however_it_is_imported(
    module: Callable[[str], Any], tmp_path: Path, imports: str, within: str, call: str
) -> None:
    step = "from .filters import dim\n        return dim(x)"
    lines = ["from sr.degradation import Step", imports, "class Dim(Step):", "    def __call__(self, x, generator):"]
    source = "\n".join([*lines, f"        {within}", f"        return {call}(x)"])
    keys = []
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").touch()
    (tmp_path / "lab" / "step.py").write_text(f"def again(x):\n    if True:\n        {step}")
    for factor in (2, 2, 3):
        (tmp_path / "lab" / "filters.py").write_text(f"def dim(x):\n    return x // {factor}")
        for name in ("lab", "lab.filters", "lab.step"):
            sys.modules.pop(name, None)
        keys.append(module(source).Dim().key)
    assert keys[0] == keys[1] != keys[2]


def test_a_script_that_ends_the_process_is_not_run_to_its_end_for_a_key(
    module: Callable[[str], Any], tmp_path: Path
) -> None:
    (tmp_path / "viewer_of_mine.py").write_text("raise SystemExit(3)")
    lines = ["from sr.degradation import Step", "class Dim(Step):", "    def __call__(self, x, generator):"]
    assert (
        module(
            "\n".join(
                [*lines, "        if False or x is None:", "            import viewer_of_mine", "        return x"]
            )
        )
        .Dim()
        .key
    )


def test_no_address_makes_the_key() -> None:
    """It would be another one in each process, and LR be made anew each time."""
    bundled = [
        GaussianBlur(),
        MotionBlur(),
        MatlabBicubic(2),
        GaussianNoise(),
        PoissonNoise(),
        Jpeg(),
        Holds(Kept.__new__),
    ]
    for step in bundled:
        for part in _Description((Step,)).of(step, "step"):
            assert not re.search(rb" at 0x[0-9a-f]{6}", part), (step, part)
    assert Holds([1].count).key == Holds([1].count).key != Holds([2].count).key


class Kept(NamedTuple):
    number: int


@pytest.mark.slow
def test_another_process_makes_the_same_key(module: Callable[[str], Any]) -> None:
    kernel = {"a": np.arange(9.0), "names": {"p", "q", "r", "s"}}
    own = module(MODULE).Dim(kernel).key
    code = (
        f"import sys; sys.path.insert(0, {str(Path(sys.modules['my_steps'].__file__ or '').parent)!r})\n"
        "import my_steps, numpy as np\n"
        "print(my_steps.Dim({'a': np.arange(9.0), 'names': {'s', 'r', 'q', 'p'}}).key)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == own


class Weighted(Holds):
    def __call__(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        return x / 255 * float(self.held[20, 20])


def test_another_kernel_is_trained_on_another_lr(tmp_path: Path) -> None:
    for i in range(2):
        image = np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / f"photos/{i}.png")
    made = []
    for level in (1.0, 0.25):
        kernel = np.ones((33, 33))
        kernel[20, 20] = level  # numpy's text leaves the middle of an array out
        chain = Degradation(2, [Weighted(kernel), MatlabBicubic(2)])
        data = Folder(root=tmp_path / "photos", scale=2, degradation=chain, cache_dir=tmp_path / "cache", val_share=0)
        made.append(data.pairs("train").whole(0)[0].mean())
    assert made[1] < 0.5 * made[0]
