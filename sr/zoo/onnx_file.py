"""An ONNX file as one of our models. ONNX Runtime computes; nothing in the file is executed as code."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from sr.bounded import WEIGHTS, refuse_odd
from sr.errors import UserError, installing, reason
from sr.memory import free_ram, limited_to
from sr.models.base import SuperResolver
from sr.zoo.onnx_graph import checksum, refuse_endless

SUFFIX = ".onnx"
FACTS = "sr."  # before the names of what an exported file tells about itself
CHECKSUM = "checksum"  # of all else that is in the file
WHOLE = "whole"  # of a receptive field: the picture's
WIDEST = 256  # LR pixels: the smallest side that a network may need
FARTHEST = 1024  # LR pixels around one that a network may look
MOST = 2**20  # bytes that it may take for each of a picture's pixels
PROBE = 24  # LR pixels of the picture by which a stranger's factor is found
MEMORY, SECONDS = 4 * 2**30, 60  # that it may take for that, beside the file itself: a small file may ask for any


def session(path: Path, threads: int | None = None, as_it_is: bool = False) -> Any:
    """A file opened by ONNX Runtime (the extra `export`).

    Args:
        path: of the file.
        threads: of the processor; None for as many as torch has.
        as_it_is: nothing is computed before it runs, and then on the processor.

    Raises:
        UserError: ONNX Runtime is not installed, or cannot read the file; or it is refused, see
            `sr.zoo.onnx_graph`.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path} needs ONNX Runtime: {installing('export')}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads or torch.get_num_threads(), 4
    options.add_session_config_entry("session.load_model_format", "ONNX")  # else bytes may be read as ORT's own format
    there = onnxruntime.get_available_providers()
    wanted = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in there][-1 if as_it_is else 0 :]
    if as_it_is:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        # By its bytes: what was looked at is what runs.
        refuse_odd(path, WEIGHTS)
        content = path.read_bytes()
        found = refuse_endless(content, path)
        # What a branch makes of constants would be computed now, for hours, though the branch may never be taken.
        left_out = ["ConstantFolding"] if found["If"] else []
        # A driver of a GPU takes far more addresses than memory.
        with limited_to(MEMORY + 4 * len(content)) if len(wanted) == 1 else nullcontext():
            return onnxruntime.InferenceSession(content, options, providers=wanted, disabled_optimizers=left_out)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # ONNX Runtime has a class for each of its reasons
        raise UserError(f"{path} cannot be read as ONNX ({reason(error)}). Is it complete?") from error


class OnnxResolver(SuperResolver):
    """A network that ONNX Runtime computes, on the processor or, where its package is the one for CUDA, on the GPU.

    It is measured and used, not trained. What is smaller than the file takes is padded as our networks pad it.

    Args:
        path: one float32 input (B, 3, h, w) of RGB with free sides, and one output (B, 3, s*h, s*w).

    Attributes:
        receptive_radius: LR pixels around one that its enlargement depends on, as the file tells; None where it looks
            at the whole picture or does not tell.
        bytes_per_pixel: of LR, that the work takes, as the file tells.

    Raises:
        UserError: the file has other inputs or outputs, does not run, tells of itself what cannot be, or was changed
            since `sr export` wrote it.
    """

    supported_scales = tuple(range(1, 17))

    def __init__(self, path: Path) -> None:
        opened = session(path, threads=1, as_it_is=True)
        facts = {k.removeprefix(FACTS): v for k, v in opened.get_modelmeta().custom_metadata_map.items()}
        told = facts.pop(CHECKSUM, None)
        if told is not None and told != checksum(path.read_bytes(), facts):
            raise UserError(
                f"{path} is damaged, or another program changed it: its checksum is of other contents. Take another "
                f"copy of it; of one that was meant to be changed, remove {FACTS}{CHECKSUM} from its metadata"
            )
        ends = [*opened.get_inputs(), *opened.get_outputs()]
        shapes = [e.shape for e in ends]
        if len(ends) != 2 or {e.type for e in ends} != {"tensor(float)"} or any(len(s) != 4 for s in shapes):
            has = ", ".join(f"{e.name} {e.type} {e.shape}" for e in ends)
            raise UserError(
                f"{path} is no network on images, (B, 3, h, w) to (B, 3, s*h, s*w) in float32: it has {has}"
            )
        if shapes[0][1] not in (3, "3") or any(isinstance(n, int) for n in shapes[0][2:]):
            raise UserError(f"{path} takes {shapes[0]}: wanted are 3 channels, and sides of any length")
        self._opened: Any = None
        with limited_to(MEMORY):
            factor = _factor(opened, path)
        super().__init__(factor)
        least = _number(facts, "smallest_side", "1", 1, WIDEST, path)
        self.min_size = least or 1  # type: ignore[misc]
        self.receptive_radius = _number(facts, "receptive_radius", WHOLE, 0, FARTHEST, path)
        self.bytes_per_pixel = _number(facts, "bytes_per_pixel", WHOLE, 1, MOST, path)
        self._opened, self.path, self.facts = session(path), path, facts

    def network(self, x: Tensor, scale: int) -> Tensor:
        """See `SuperResolver.network`.

        Raises:
            UserError: the file makes something else of this size; what it made of one size tells nothing of others.
        """
        with self._room(x):
            found = run(self._opened, x, str(self.path)).to(x.device, x.dtype)
        if found.shape != (wanted := (*x.shape[:2], scale * x.shape[2], scale * x.shape[3])):
            raise UserError(f"{self.path} makes {tuple(found.shape)} of {tuple(x.shape)}, not {wanted}")
        return found

    def _room(self, x: Tensor) -> AbstractContextManager[None]:
        """The memory that it may take for a picture: what grew with the square of its pixels could ask for any."""
        if self._opened.get_providers()[0] != "CPUExecutionProvider":
            return nullcontext()
        told = self.bytes_per_pixel
        meant = None if told is None else MEMORY + 2 * told * x.shape[0] * x.shape[2] * x.shape[3]
        return limited_to(min(filter(None, (free_ram(), meant))))

    def merged(self) -> Self:
        """Itself: nothing in it can be changed."""
        return self

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        return self


def _number(facts: Mapping[str, str], key: str, default: str, least: int, most: int, path: Path) -> int | None:
    """What a file tells, which anybody can write; None for `WHOLE`."""
    told = facts.get(key, default)
    if told == default == WHOLE:
        return None
    if not (len(told) < 8 and told.isascii() and told.isdecimal() and least <= int(told) <= most):
        raise UserError(f"{path} tells {FACTS}{key}={told:.20}: that is no number from {least} to {most}")
    return int(told)


def _factor(opened: Any, path: Path) -> int:
    found = run(opened, torch.full((1, 3, PROBE, PROBE + 8), 0.5), str(path), SECONDS).shape
    factor = found[-1] // (PROBE + 8)
    if factor < 1 or found != (1, 3, factor * PROBE, factor * (PROBE + 8)):
        raise UserError(
            f"{path} makes {tuple(found)} of (1, 3, {PROBE}, {PROBE + 8}): that is no enlargement by 1, 2, 3, ..."
        )
    return int(factor)


def run(opened: Any, x: Tensor, name: str, seconds: float | None = None) -> Tensor:
    """The one output of a `session` for one input, on the host in float32; it is told by `name` where it fails.

    Args:
        opened: the session.
        x: the input.
        name: of the file.
        seconds: that it may take.
    """
    from onnxruntime import RunOptions

    given = {opened.get_inputs()[0].name: x.detach().float().cpu().contiguous().numpy()}
    options = RunOptions()
    options.log_severity_level = 4
    with ThreadPoolExecutor(1) as waited_for:  # so that Ctrl-C is heard while it computes
        running = waited_for.submit(opened.run, None, given, options)
        try:
            return torch.from_numpy(running.result(seconds)[0])
        except Exception as error:  # see `session`
            why = reason(error) if running.done() else f"it takes more than {seconds} s"
            raise UserError(f"{name} does not run on LR of {tuple(x.shape)}: {why}") from error
        finally:
            options.terminate = True  # ends it after the operator that it is at
