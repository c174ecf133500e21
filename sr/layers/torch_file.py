"""What torch.save wrote, read as tensors and plain values only: nothing in it runs, grows, or was changed unnoticed."""

import io
import logging
import mmap
import pickle
import re
import threading
import zipfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from sr.bounded import refuse_odd
from sr.errors import UserError, reason, some
from sr.memory import limited_to

log = logging.getLogger(__name__)
CHUNK = 1 << 20  # bytes read at once
ROOM = 1 << 30  # bytes that reading a file may take beside twice its own
DOS_FOLDER = 0x10  # among a zip file's external attributes
MOST_VALUES = 500_000  # within a file; a training run's checkpoint has some thousands
DEEPEST = 60  # containers within each other
_READING = threading.Lock()  # what torch takes for safe is one list of all threads


class Ignored:
    """Stands in for an object of a harmless kind that training scripts leave in their files; holds nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
# Never imported from here and never called: each is read as `Ignored`.
HARMLESS = (
    "argparse.Namespace", "types.SimpleNamespace", "collections.defaultdict", "datetime.datetime",
    *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in _PATHS),
    *(f"{module}.multiarray.{name}" for module in ("numpy.core", "numpy._core") for name in ("scalar", "_reconstruct")),
    "numpy.dtype", "numpy.ndarray",
    *(f"numpy.dtypes.{name}DType" for name in (
        "Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float16", "Float32",
        "Float64",
    )),
)  # fmt: skip


def load(path: Path, known_intact: bool = False, mapped: bool = False) -> Any:
    """The contents of a file; objects of harmless kinds in it are `Ignored`.

    Args:
        path: of the file.
        known_intact: its checksum is known from elsewhere; else a format without checksums is told in the log.
        mapped: leave tensors on the disk, unread and unverified, for who wants the plain values.

    Raises:
        UserError: it is damaged, not torch's, holds code, or would take more memory than its own size.
    """
    held = set[int]()  # where the values of the file lie

    def kept(values: Any, _: str) -> Any:
        held.add(values.data_ptr())
        return values

    try:
        refuse_odd(path)
        intact = _checked(path, values=not mapped)
        _refuse_bytearrays(path, intact)
        room = nullcontext() if known_intact else limited_to(2 * path.stat().st_size + ROOM)
        with room, _READING, torch.serialization.safe_globals([(Ignored, name) for name in HARMLESS]):
            content = torch.load(path, map_location=kept, weights_only=True, mmap=mapped)
    except UserError:
        raise
    except Exception as error:  # torch's readers raise whatever damage leads them to
        if isinstance(error, MemoryError) or re.search("bad_alloc|allocate memory", str(error)):
            raise UserError(
                f"{path} is refused: its {path.stat().st_size:,} bytes take more memory than they may"
            ) from error
        if not isinstance(error, OSError) and not _zipped(path) and not _pickled(path):
            raise UserError(f"{path} cannot be read as weights: it is {_instead(path)}") from error
        if isinstance(error, pickle.UnpicklingError):
            raise UserError(
                f"{path} is refused: it holds more than tensors and plain values, and loading it would run code from "
                f"the file ({_refused(error)}). Ask its author for a state dict: torch.save(model.state_dict(), ...)"
            ) from error
        told = reason(error).partition(". ")[0]  # torch goes on with what may be the matter
        raise UserError(f"{path} cannot be read as weights ({told}){_program(path) or '. Is it complete?'}") from error
    if not intact and not known_intact:
        log.info(f"note: {path} holds no checksums; whether it is as it was written is not known")
    bounded(content, path, held)
    return content


def _refuse_bytearrays(path: Path, intact: bool) -> None:
    """Raises a UserError where a file could have one made of a size that it names: torch makes it before we see it."""
    if intact:
        with zipfile.ZipFile(path) as container:  # of which the values of tensors, which are most of it, are not read
            named = any(b"bytearray" in container.read(p) for p in container.infolist() if "/data/" not in p.filename)
    else:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            named = content.find(b"bytearray") >= 0
    if named:
        raise UserError(f"{path} is refused: it holds a bytearray, which is as large as it says, and no weights")


def plain_numbers(value: Any) -> Any:
    """What is to be kept in a file, with Python's numbers in place of NumPy's, which `load` does not give back."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain_numbers(inner) for key, inner in value.items()}
    return type(value)(map(plain_numbers, value)) if type(value) in (list, tuple) else value


def refuse_lost(state: Mapping[str, Any], whose: str) -> None:
    """Look whether what a part of a training keeps in checkpoints comes back from there.

    Raises:
        UserError: it does not, so that the run could not go on.
    """
    try:
        torch.save(plain_numbers(dict(state)), file := io.BytesIO())
        file.seek(0)
        with _READING, torch.serialization.safe_globals([(Ignored, name) for name in HARMLESS]):
            lost = _lost(state, torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:
        lost = _refused(error) if isinstance(error, pickle.UnpicklingError) else reason(error)
    if lost:
        raise UserError(
            f"{whose}: its state_dict() does not come back from a checkpoint ({lost}), so that no run could go on with "
            "it. Keep numbers, words, lists, dicts and tensors there, and nothing else"
        )


def _lost(kept: Any, found: Any, path: str = "") -> str:
    """What was kept and is no more; empty where all is there."""
    if isinstance(found, Ignored):
        return f"{path} is a {type(kept).__module__}.{type(kept).__name__}"
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list | tuple) else ()
    return next(filter(None, (_lost(kept[key], inner, f"{path}.{key}".lstrip(".")) for key, inner in items)), "")


def _container(path: Path) -> bool:
    """Whether it is a zip file by how it begins, too, by which torch tells: zipfile looks at how it ends."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" and zipfile.is_zipfile(path)


def _zipped(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one that tells of other disks
        return True


def _instead(path: Path) -> str:
    """What a file is that is none of weights, and what to do."""
    with path.open("rb") as file:
        start = file.read(200)
    wanted = "Type the path of a file that torch.save wrote (.pth, .pt, .ckpt), or of a run folder"
    if not start:
        return f"empty. Copy or download it again. {wanted}"
    if start.startswith(b"PK"):
        return "cut short. Copy or download it again"
    if start.startswith(b"version https://git-lfs"):
        return "what Git LFS has in the place of the file. Type git lfs pull in the folder that was cloned"
    if start.lstrip()[:1] == b"<":
        return f"a web page, not a file of weights. Download the file itself. {wanted}"
    if start.isascii() and "".join(start.decode().split()).isprintable():
        return f"a text, not a file of weights. {wanted}"
    return f"no file of PyTorch weights, or not a whole one{_program(path) or f'. {wanted}'}"


def _program(path: Path) -> str:
    """What to add for a file that is run as it is."""
    kinds = {".onnx": "ONNX files", ".pt2": "programs of torch.export"}
    if path.suffix not in kinds:
        return ""
    measured = ", or measure it as it is, by weights=" if path.suffix == ".onnx" else ""
    return f": no weights are taken of {kinds[path.suffix]}; give the checkpoint that it was made from{measured}"


def _refused(error: pickle.UnpicklingError) -> str:
    """What torch would not load, without its advice to load it all the same."""
    told = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
    return f"it names {named[1]}" if (named := re.search(r"GLOBAL (\S+)", told)) else reason(ValueError(told))


def _checked(path: Path, values: bool = True) -> bool:
    """Whether the container proves that nothing in it was changed; torch itself looks at no checksum.

    Args:
        path: of the file.
        values: those of tensors are read for it, too.

    Raises:
        UserError: something was, or the container holds more than its size.
    """
    if not _container(path):
        return False
    try:
        with zipfile.ZipFile(path) as container:
            parts = container.infolist()
            # torch stores without compressing: what does compress could fill the memory from a few kB.
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or (
                sum(part.file_size for part in parts) > path.stat().st_size
            ):
                raise UserError(f"{path} is refused: it is packed, so that it would take more memory than its size")
            # One bit makes a folder of a file: zipfile reads its contents, torch leaves the memory for them as it was.
            if odd := [part.filename for part in parts if part.is_dir() or part.external_attr & DOS_FOLDER]:
                raise UserError(f"{path} is damaged: {odd[0]} in it is called a folder. Take another copy of it")
            _refuse_other_parts(path, parts)
            if not any(part.CRC for part in parts):
                return False  # torch.serialization.set_crc32_options(False)
            for part in parts:
                if not values and "/data/" in part.filename:
                    continue
                with container.open(part) as file:
                    while file.read(CHUNK):
                        pass
    except UserError:
        raise
    except Exception as error:  # zipfile, too, raises more than BadZipFile where a file is damaged
        raise UserError(f"{path} is damaged: {reason(error)}. Take another copy of it") from error
    return True


def _refuse_other_parts(path: Path, parts: Sequence[zipfile.ZipInfo]) -> None:
    """Raises a UserError where torch's reader finds other parts in a container than Python's, which looks at them."""
    with path.open("rb") as file:
        try:
            reader: Any = torch._C.PyTorchFileReader(file)
        except RuntimeError:  # torch loads nothing of it either, and says why
            return
        found = {n: (reader.get_record_header_offset(n), reader.get_record_size(n)) for n in reader.get_all_records()}
    if found != {p.filename.partition("/")[2]: (p.header_offset, p.file_size) for p in parts}:
        raise UserError(f"{path} is refused: of its two lists of contents torch reads another than is checked")


def _pickled(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"  # the PROTO opcode that starts every pickle since protocol 2


def bounded(content: Any, source: object, held: Collection[int]) -> None:
    """Refuse contents that are small in a file and endless for who walks through them, as lists of the same list are.

    What a file has put beside the values of its tensors is left out: it would be called in the place of their methods.

    Args:
        content: of a file.
        source: the file, for messages.
        held: where in memory its values lie.

    Raises:
        UserError: more plain values, or deeper ones, than a record can have; a tensor of tensors; or one whose values
            are none of the file's, but what lay in memory.
    """
    left = MOST_VALUES
    stack = [(content, 0)]
    while stack:
        value, depth = stack.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            raise UserError(f"{source} is refused: it holds values within values without end")
        if isinstance(value, dict):
            getattr(value, "__dict__", {}).clear()  # an OrderedDict of a file may bring methods of its own
            stack += [(v, depth + 1) for v in value.values()]
        elif isinstance(value, list | tuple | set):
            stack += [(v, depth + 1) for v in value]
        elif isinstance(value, Tensor):
            vars(value).clear()
            if value.is_nested:
                raise UserError(f"{source} is refused: it holds a tensor of tensors, and weights are plain ones")
            plain = value.layout == torch.strided and value.device.type == "cpu" and value.numel() > 0
            if plain and value.untyped_storage().data_ptr() not in held:
                raise UserError(f"{source} is refused: it holds a tensor without values, which would be any")


def unusable(name: str, tensor: Tensor, wanted: Tensor) -> str:
    """Why a tensor of a file cannot be weights, or ""."""
    if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.is_quantized:
        return f"{name} is no plain tensor"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"{name} is larger than what the file holds of it"
    if wanted.is_floating_point() and not (tensor.is_floating_point() and tensor.element_size() > 1):
        return f"{name} holds {str(tensor.dtype).removeprefix('torch.')} values, weights are floats of 16 bits or more"
    if tensor.is_floating_point() and bool((odd := ~tensor.to(wanted.dtype).isfinite()).any()):
        # A mask holds infinity where the network has it from the beginning, too.
        same = tensor.shape == wanted.shape and torch.equal(tensor[odd].to(wanted), wanted[odd.to(wanted.device)])
        return "" if same else f"{name} holds NaN or infinity"
    return ""


def refuse_unusable(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: object) -> None:
    """Refuse tensors that have the names of weights and are none; half precision is accepted.

    Args:
        tensors: of a file.
        wanted: what each is to become.
        source: the file, for messages.

    Raises:
        UserError: names them.
    """
    if found := [why for name in wanted if name in tensors and (why := unusable(name, tensors[name], wanted[name]))]:
        raise UserError(f"{source} is refused: its weights are damaged or none: {some(found, 3, '; ')}")
