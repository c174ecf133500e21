"""Features of a whole picture on the host, in memory or in a file."""

import mmap
import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from sr.deploy.tiling.nodes import Node, Region
from sr.errors import UserError


def kept_type(node: Node, half: bool) -> torch.dtype:
    """In which the whole of a node is kept: float16 for float32 where half precision is typed, but for small maps."""
    return torch.float16 if half and node.dtype == torch.float32 and not node.small else node.dtype


def kept_size(node: Node, half: bool) -> int:
    """Bytes that it takes."""
    return node.bytes(node.all) * kept_type(node, half).itemsize // node.dtype.itemsize


class Map:
    """The whole result of a node.

    Args:
        node: see `Node`.
        folder: where its file is; None: it is in memory. The file has no name, so that nothing of it stays behind,
            and its room on the disk is taken at once.
        half: whether it is kept in half precision, see `kept_type`.
    """

    def __init__(self, node: Node, folder: Path | None = None, half: bool = False) -> None:
        self._file: mmap.mmap | None = None
        self._dtype, kept = node.dtype, kept_type(node, half)
        if folder is None or node.small:
            self.whole = torch.empty(0, dtype=kept)
            self._shape: tuple[int, ...] | None = node.shape  # that its memory is not taken for yet
            return
        self._shape = None
        folder.mkdir(parents=True, exist_ok=True)
        size = kept_size(node, half)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                os.truncate(file.fileno(), size)
            self._file = mmap.mmap(file.fileno(), size)
        self.whole = torch.frombuffer(self._file, dtype=kept).view(node.shape)

    def read(self, region: Region, device: torch.device) -> Tensor:
        """A part."""
        part = self._part(region)
        if self._file is None:
            return part.to(device, self._dtype)
        found = torch.empty(part.shape, dtype=self._dtype)
        self._copy(part, found)
        return found.to(device)

    def write(self, region: Region, part: Tensor) -> None:
        """Fill a part; the first one tells how rows, columns and channels lie in memory, as mixed layouts are slow."""
        if self.whole.dtype != self._dtype and not bool((part.abs() <= torch.finfo(self.whole.dtype).max).all()):
            raise UserError("some features are too large for float16: leave half=true out")
        if self._shape is not None:
            mixed = part.ndim == 4 and not part.is_contiguous()
            last = mixed and part.is_contiguous(memory_format=torch.channels_last)
            layout = torch.channels_last if last else torch.contiguous_format
            self.whole, self._shape = torch.empty(self._shape, dtype=self.whole.dtype, memory_format=layout), None
        if self._file is None:
            self._part(region).copy_(part)
        else:
            self._copy(part, self._part(region))

    def _copy(self, source: Tensor, target: Tensor) -> None:
        """Channel by channel, each to leave memory: with what is read, the system maps whole rows around it."""
        assert self._file is not None
        for one, other in zip(source.flatten(0, -3), target.flatten(0, -3), strict=True):
            other.copy_(one)
            if hasattr(mmap, "MADV_DONTNEED"):
                self._file.madvise(mmap.MADV_DONTNEED)

    def _part(self, region: Region) -> Tensor:
        (top, bottom), (left, right) = region
        return self.whole[..., top:bottom, left:right] if self.whole.ndim > 1 else self.whole
