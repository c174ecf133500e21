"""What a metric is, and how one is found: by its name, or in a file of the user's own."""

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

import sr.metrics
from sr.errors import UserError, nearest
from sr.own_modules import remember

NAME = re.compile(r"(?!paper_)[a-z][a-z0-9_]*(?<!_difference)(?<!_left_out)(?<!_left_out_are)")
COLUMNS = "model", "dataset", "scale", "protocol", "image", "images", "clip", "clips", "lr"  # others of its tables
OTHER = "_weights_"  # between the name of a metric and what tells its weights


@dataclass(frozen=True)
class Metric:
    """A number that says how near an output is to HR.

    A metric is one file, which declares it under the name METRIC. A file of sr/metrics is typed by its name, any other
    one by its path: ``metrics=[psnr,ssim,PATH/rmse.py]``.

    Attributes:
        name: of its columns and keys, in small letters.
        function: (sr, hr) -> (B,). Both are what the protocol compares, shaved: (B, C, H, W) float64 in 0..255.
        unit: of its values, if they have one.
        digits: after the point, in tables.
        better: 1 where more is better, -1 where less is; 0 where that is not known.
        rgb: the function sees colour pictures instead, (B, 3, H, W) uint8 RGB, shaved; such a metric has no value
            under a protocol whose LR has no colour.
        of_lr: the function sees the output shrunk again by MATLAB's bicubic, and LR: whole, (B, 3, h, w) uint8 RGB.
        smallest: pixels a side that it needs after the shave.
        note: what a reader must know of its values.
        perfect: what stands for a mean where every image came out identical to HR and its value is infinite; None for
            a metric that is finite there.
        other_weights: of a metric that is a network, what tells its weights where they are not the published ones; else
            "". Its figures then stand under a name of their own (see `with_weights`).

    Example:
        >>> def rmse(sr: Tensor, hr: Tensor) -> Tensor:
        ...     return (sr - hr).square().flatten(1).mean(1).sqrt()
        >>> METRIC = Metric("rmse", rmse, unit="grey levels", digits=2, better=-1)
        >>> METRIC.text(5.1)
        '5.10'
    """

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    unit: str = ""
    digits: int = 4
    better: int = 1
    rgb: bool = False
    of_lr: bool = False
    smallest: int = 1
    note: str = ""
    perfect: float | None = None
    other_weights: Callable[[], str] | None = None

    @property
    def title(self) -> str:
        """As it stands in tables: PSNR."""
        return self.name.upper()

    def with_weights(self, other: str) -> "Metric":
        """As it is called with other weights than the published ones: lpips_weights_0123abcd; itself for ""."""
        if not other:
            return self
        note = (
            f"{self.title}{OTHER.upper()}{other.upper()}: with other weights than the published ones: no {self.title}"
        )
        return replace(self, name=f"{self.name}{OTHER}{other}", note=note, other_weights=None)

    def text(self, value: float, sign: str = "") -> str:
        """A value to read, without its unit.

        Args:
            value: to be rounded to `digits`.
            sign: "+" for a difference, so that its sign is always shown, but where nothing of it is left.
        """
        rounded = round(value, self.digits) + 0.0  # adding 0.0 makes -0.0 a 0.0
        return f"{rounded:{sign if rounded else ''}.{self.digits}f}"

    def mean(self, total: float, finite: int, infinite: int, images: int) -> float | None:
        """The mean over the images that have a finite value; one infinite value would hide all the others.

        Args:
            total: of the finite values.
            finite: how many they are.
            infinite: how many values are infinite.
            images: that were measured.

        Returns:
            `perfect` where all images are identical to HR; None where no value can stand for the images.
        """
        if finite:
            return total / finite
        return self.perfect if infinite == images else None

    def remark(self, left_out: int, images: int) -> str:
        """What stands beside a mean that leaves images out: `1 of 2 identical`; empty where it is over all."""
        what = "identical" if self.perfect is not None else f"without a {self.title}"
        return f"{left_out} of {images} {what}" if left_out else ""


def get_metrics(words: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics of ``metrics=[...]``: names, and paths of files that end in .py.

    Raises:
        UserError: there is none, or one is not known.
    """
    if not words:
        raise UserError(f"metrics=[]: name one at least. There are {', '.join(sorted(known_metrics()))}")
    found = [_from_file(word) if word.endswith(".py") else _named(word) for word in map(str, words)]
    found = [metric.with_weights(metric.other_weights() if metric.other_weights else "") for metric in found]
    return tuple({metric.name: metric for metric in found}.values())


def located(words: Sequence[str]) -> list[str]:
    """The words of ``metrics=[...]`` with files by where they lie, for who reads them standing in another folder."""
    return [str(_place(word)) if word.endswith(".py") else word for word in map(str, words)]


def _place(word: str) -> Path:
    return Path(word).expanduser().resolve()


def known_metrics() -> dict[str, Metric]:
    """Every metric of this project, and those of the files that were loaded, by name."""
    for module in pkgutil.iter_modules(sr.metrics.__path__):
        importlib.import_module(f"sr.metrics.{module.name}")
    modules = [module for name, module in sys.modules.items() if name.startswith("sr.metrics.")]
    return {module.METRIC.name: module.METRIC for module in modules if hasattr(module, "METRIC")}


def declared(name: str) -> Metric:
    """How a stored value is shown: as its metric says, or plainly where the file that has it was not named."""
    own = getattr(sys.modules.get(f"sr.metrics.{name}"), "METRIC", None)  # where most are
    if isinstance(own, Metric) and own.name == name:
        return own
    known, (plain, _, other) = known_metrics(), name.partition(OTHER)
    if name not in known and other and plain in known:
        return known[plain].with_weights(other)
    return known.get(name) or Metric(name, _unknown, better=0)


def _unknown(sr: Tensor, hr: Tensor) -> Tensor:
    raise NotImplementedError("this metric is known by its name alone")


def _named(name: str) -> Metric:
    known = known_metrics()
    if name not in known:
        raise UserError(
            f"metrics=[{name}]: there is no such metric.{nearest(name, known)} There are {', '.join(sorted(known))}; "
            f"one of your own is typed as the path of its file, metrics=[psnr,PATH/{name}.py], which declares a METRIC "
            "(see sr/metrics/metric.py)"
        )
    return known[name]


def _from_file(word: str) -> Metric:
    """The METRIC of a file, which is from then on known by its name too."""
    file = _place(word)
    if not file.is_file():
        raise UserError(f"metrics=[{word}]: there is no file {file}")
    name = f"sr.metrics.{file.stem}"
    if (module := sys.modules.get(name)) is None or module.__file__ != str(file):
        if file.stem in {module.name for module in pkgutil.iter_modules(sr.metrics.__path__)}:
            raise UserError(f"metrics=[{word}]: sr/metrics has a {file.stem}.py of its own: give the file another name")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # whatever the user's code raises
            raise UserError(f"metrics=[{word}]: the file cannot be run: {type(error).__name__}: {error}") from error
    metric = getattr(module, "METRIC", None)
    if not isinstance(metric, Metric):
        raise UserError(
            f'metrics=[{word}]: {file} declares no metric. Write into it: METRIC = Metric("{file.stem}", <function>), '
            "as in sr/metrics/psnr.py"
        )
    if not NAME.fullmatch(metric.name) or metric.name in COLUMNS:
        raise UserError(
            f"metrics=[{word}]: {file} declares the name {metric.name!r}, which cannot be a column of its own: name it "
            f"in small letters, digits, _, not {', '.join(COLUMNS)}, paper_..., ..._difference or ..._left_out(_are)"
        )
    own = [known for known in known_metrics().items() if known[0] == metric.name and known[1] is not metric]
    if own and sys.modules.get(name) is not module:  # whose figures it would stand for
        raise UserError(
            f"metrics=[{word}]: {file} declares the name {metric.name!r}, which another metric has: give its METRIC "
            "another name"
        )
    sys.modules[name] = module
    remember()
    return metric
