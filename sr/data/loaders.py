"""What a trainer takes from a data module, whatever is in it: loaders that resume and share out the work."""

import gc
import os
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.trainer.states import RunningStage
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader

from sr.data.batch import Batch
from sr.data.clip_sampling import ClipPatches, WholeClips
from sr.data.device import DeviceBatches, fits, on_device, why_not
from sr.data.images import Images
from sr.data.pairset import Pairs
from sr.data.sampling import MixedScales, SampleNumbers, TrainPatches, WholeImages
from sr.errors import UserError


class Loaders(L.LightningDataModule):
    """Endless training batches and whole images for measuring.

    A subclass gives `patches` and `whole`. `batch_size` and `accumulate` are read each time a loader is made, so a
    later stage may change them.

    Attributes:
        name: in tables and messages.
        batch_size: images per optimizer step, over all processes and accumulated micro-batches together.
        accumulate: micro-batches per optimizer step.
        num_workers: loader processes; None is 0 on a CPU and up to 4 beside a GPU.
        device: whether the device that trains holds the decoded images and crops are cut there; "auto" where they fit
            in a third of a GPU's memory.
        check_leaks: refuse training images that are also measured on.
    """

    name: str
    batch_size: int
    accumulate: int = 1
    num_workers: int | None
    device: bool | str = "auto"
    check_leaks: bool

    # ---- what a subclass says -----------------------------------------------------------------------------

    @property
    def scales(self) -> tuple[int, ...]:
        """The enlargement factors that batches come at."""
        raise NotImplementedError

    def patches(self) -> TrainPatches | ClipPatches | MixedScales:
        """Training batches by their sample numbers (see `sr.data.sampling`); a patch that does not fit is refused."""
        raise NotImplementedError

    def pairs(self, part: str) -> Pairs:
        """The opened pairs of "train", "val" or "test"."""
        raise NotImplementedError

    def whole(self, part: str) -> WholeImages | WholeClips | ConcatDataset[Batch]:
        """The whole images or clips of "val" or "test"."""
        raise NotImplementedError

    def images(self, part: str) -> dict[str, Images]:
        """HR collections of "train", "val" or "test" by name, for comparing with another module's."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line about what is trained on and validated on."""
        raise NotImplementedError

    def sample_batch(self, images: int) -> Batch:
        """The first `images` training samples (uint8), for timing a step before the trainer exists."""
        return self.patches()[list(range(images))]

    # ---- for everyone -------------------------------------------------------------------------------------

    def check(self, stage: str = "fit") -> None:
        """All that can fail, at once: download, pairing, sizes, decoding, leaks. Call it before the trainer starts.

        Args:
            stage: "fit", "validate" or "test".

        Raises:
            UserError: what is wrong and how to mend it.
        """
        self.prepare_data()
        self.setup(stage)

    @property
    def _world(self) -> tuple[int, int]:
        """Number of processes and the number of this one."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    @property
    def micro_batch(self) -> int:
        """Images per process and micro-batch.

        Raises:
            UserError: `batch_size` cannot be shared out evenly.
        """
        world, accumulate = self._world[0], self.accumulate
        size, rest = divmod(self.batch_size, world * accumulate)
        if rest or size < 1:
            parts = world * accumulate
            near = max(1, round(self.batch_size / parts)) * parts
            raise UserError(
                f"batch_size={self.batch_size} (images per optimizer step) does not divide among {world} processes x "
                f"{accumulate} accumulated micro-batches: type batch_size={near}"
            )
        return size

    def _workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        if self.trainer is None or self.trainer.strategy.root_device.type == "cpu":
            return 0
        return min(4, max(1, (os.cpu_count() or 1) - 1))

    def _loader(self, dataset: Any, sampler: Any) -> DataLoader[Batch]:
        # Lightning's own sampler would deal out the batches a second time, and repeat images to make shares even.
        connector = getattr(self.trainer, "_accelerator_connector", None)
        if self._world[0] > 1 and getattr(connector, "use_distributed_sampler", False):
            raise UserError("the data modules share out images themselves: type trainer.use_distributed_sampler=false")
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return DataLoader(
            dataset,
            batch_size=None,  # a dataset's item is a whole batch already
            sampler=sampler,
            collate_fn=_as_it_is,
            num_workers=self._workers(),
            pin_memory=on_gpu,
            persistent_workers=self._workers() > 0,
            worker_init_fn=_leave_what_is_there,
        )

    def train_dataloader(self) -> DataLoader[Batch] | DeviceBatches:
        """Endless micro-batches (uint8), from where the model left off: after `batches_seen` micro-batches.

        Raises:
            UserError: data.device=true where something has to be done on the host.
        """
        world, rank = self._world
        module = None if self.trainer is None else self.trainer.lightning_module
        start = int(getattr(module, "batches_seen", 0))
        numbers, patches = SampleNumbers(self.micro_batch, world, rank, start), self.patches()
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        reason = why_not(patches)
        if self.device is True and reason:
            raise UserError(f"data.device=true: {reason}. Type data.device=auto")
        typed, auto = self.device is True, self.device == "auto" and not reason
        if not isinstance(patches, ClipPatches) and (typed or (auto and fits(patches, device))):
            return DeviceBatches(on_device(patches, device), numbers)
        return self._loader(patches, numbers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Whole validation images, one at a time; this process's share."""
        return self._whole_loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Whole images of all test pairs, one at a time; this process's share."""
        return self._whole_loader("test")

    def _whole_loader(self, part: str) -> DataLoader[Batch]:
        images, (world, rank) = self.whole(part), self._world
        if len(images) < world:
            # A process without an image would skip the loop and leave the others waiting for its sums.
            raise UserError(f"{self.name} has {len(images)} images to measure on, fewer than the {world} processes")
        return self._loader(images, range(rank, len(images), world))  # every image once over all processes

    def to_float(self, batch: Batch, device: torch.device | str = "cpu", measuring: bool = False) -> Batch:
        """Move a batch to the device as float32 in [0, 1]: what Lightning does between loader and step.

        Args:
            batch: uint8, from a loader.
            device: where to.
            measuring: HR stays in bytes, which is what metrics compare with.
        """
        hr = batch.hr.to(device)
        return batch._replace(lr=_unit(batch.lr.to(device)), hr=hr.contiguous() if measuring else _unit(hr))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The images alone: Lightning would look at each name of a batch, in as much time as a small network's step."""
        if not isinstance(batch, Batch):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        if batch.lr.device == batch.hr.device == device:
            return batch
        aside = device.type == "cuda"  # a copy beside the computing, which waits for it where it is used
        return batch._replace(lr=batch.lr.to(device, non_blocking=aside), hr=batch.hr.to(device, non_blocking=aside))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """uint8 -> float32 in [0, 1], on the device: a quarter of the bytes travel. HR to measure with stays uint8."""
        measuring = self.trainer is not None and self.trainer.state.stage is not RunningStage.TRAINING
        return self.to_float(batch, batch.lr.device, measuring) if isinstance(batch, Batch) else batch


def _leave_what_is_there(_: int) -> None:
    """In a worker: its collector would write to all that it shares with who forked it, a hundred MiB of modules."""
    gc.freeze()


def _as_it_is(batch: Any) -> Any:
    """Else torch looks at each name of a batch."""
    return batch


def _unit(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
