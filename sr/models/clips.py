"""The contract of networks on clips."""

import tempfile
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sr.errors import UserError
from sr.memory import give_back_freed_memory
from sr.models.base import SuperResolver

Frames = Sequence[Tensor]  # each (B, 3, h, w), perhaps decoded when it is asked for


class Made(Sequence[Tensor]):
    """Frames that are made when they are asked for, of other frames or of their numbers."""

    def __init__(self, clip: Sequence[Any], make: Callable[[Any], Tensor]) -> None:
        self.clip, self.make = clip, make

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, index: Any) -> Any:
        return self.make(self.clip[index])


class FeatureFile(MutableMapping[int, Tensor]):
    """Tensors of one shape in a temporary file, by number; they come back on the processor.

    The file has no name, goes with the object, and lies where `TMPDIR` says.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by __exit__)
        self._at: dict[int, int] = {}  # which place of the file is whose
        self._free: list[int] = []
        self._like = torch.empty(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __setitem__(self, number: int, value: Tensor) -> None:
        kept = value.detach().cpu().contiguous()
        if number not in self._at:
            self._at[number] = self._free.pop() if self._free else len(self._at)
        self._like = torch.empty(kept.shape, dtype=kept.dtype)
        self._file.seek(self._at[number] * kept.nbytes)
        self._file.write(kept.view(torch.uint8).numpy().data)

    def __getitem__(self, number: int) -> Tensor:
        self._file.seek(self._at[number] * self._like.nbytes)
        found = torch.empty_like(self._like)
        self._file.readinto(found.view(torch.uint8).numpy().data)
        return found

    def __delitem__(self, number: int) -> None:
        self._free.append(self._at.pop(number))

    def __iter__(self) -> Iterator[int]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


class ClipResolver(SuperResolver):
    """A network that makes each frame of a clip from several: `network` takes and returns clips.

    Args:
        scale: enlargement factor.
        checkpointing: trade time for memory in training: what blocks computed is computed again on the way back.
    """

    clips: ClassVar[bool] = True
    protocols: ClassVar[tuple[str, ...]] = ("video_y", "video_rgb")
    supported_scales: ClassVar[tuple[int, ...]] = (4,)
    min_patch: ClassVar[int] = 16

    def __init__(self, scale: int = 4, checkpointing: bool = False) -> None:
        super().__init__(scale)
        self.checkpointing = checkpointing

    def network(self, x: Tensor, scale: int) -> Tensor:
        """The paper's network: (B, T, 3, h, w) in [0, 1] -> (B, T, 3, scale*h, scale*w)."""
        raise NotImplementedError(f"{type(self).__name__} must implement network(x, scale)")

    @property
    def reach(self) -> int | None:
        """How far from a frame those may lie that it is made of; None: as far as the clip goes."""
        return None

    def kept_bytes(self, height: int, width: int) -> int:
        """What `streamed` keeps in a file of each frame of LR, where `reach` is None."""
        return 0

    def training_images(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Of all frames of all clips, (B * T, 3, H, W) each."""
        lr, hr = as_clips(batch.lr), as_clips(batch.hr)
        return self.in_own_colors(lr, batch.scale).flatten(0, 1), hr.flatten(0, 1), lr.flatten(0, 1)

    def stream(self, clip: Frames, scale: int | None = None, wanted: Sequence[int] | None = None) -> Iterator[Tensor]:
        """See `SuperResolver.stream`."""
        for frame in self.streamed(Made(clip, self._given), range(len(clip)) if wanted is None else wanted):
            yield self._returned(frame)
            give_back_freed_memory()

    def streamed(self, clip: Frames, wanted: Sequence[int]) -> Iterator[Tensor]:
        """The wanted frames of `network`, one after the other, in memory that does not grow with the clip's length."""
        raise NotImplementedError(f"{type(self).__name__} must implement streamed(clip, wanted)")

    def run(self, part: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """``part(*inputs)``, in training as `checkpointing` says."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)


def as_clips(images: Tensor) -> Tensor:
    """(B, T, 3, H, W) as it is, images (B, 3, H, W) as clips of one frame."""
    return images if images.ndim == 5 else images[:, None]


def window(number: int, length: int, frames: int, edges: str = "reflection_circle") -> list[int]:
    """The `frames` frames around one of a clip, and which stand for those before its first and after its last.

    Five around the first: `replicate` 0 0 0 1 2, `reflection` 2 1 0 1 2, `reflection_circle` 4 3 0 1 2 (EDVR), `circle`
    3 4 0 1 2. Where a clip is too short for its rule, its frames go to and fro.

    Raises:
        UserError: another rule.
    """
    first, last = number - frames // 2, length - 1
    found = []
    for n in range(first, first + frames):
        stand_ins = {
            "replicate": (0, last),
            "reflection": (-n, 2 * last - n),
            "reflection_circle": (first + frames - 1 - n, first - (n - last)),
            "circle": (n + frames, n - frames),
        }
        if edges not in stand_ins:
            raise UserError(f"edges={edges}: there are {', '.join(stand_ins)}")
        n = stand_ins[edges][0] if n < 0 else stand_ins[edges][1] if n > last else n
        around = n % max(1, 2 * last)
        found.append(n if 0 <= n <= last else min(around, 2 * last - around))
    return found
