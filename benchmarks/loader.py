"""Training crops a second: the host's and the device's way (on the processor) beside a bare memory map.

Run it: OMP_NUM_THREADS=1 python benchmarks/loader.py > benchmarks/loader.md

The last columns are a whole loader without and with two workers, by the clock, with nothing else to do.

The alternatives draw image and place for a whole batch at once and copy crops of three bytes a pixel from a memory map:
without flips, with flips and turns as numpy views, and with those by albumentations.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import albumentations
import numpy as np
import torch
from beside import in_turns, machine, table
from torch.utils.data import Dataset

from sr.data.augment import turned
from sr.data.batch import Batch
from sr.data.bundled import Bundled
from sr.data.device import on_device

BATCH, PATCH = 16, 48


class Maps:
    """Memory maps of HR and LR, and crops of them by plain numpy.

    Args:
        data: that was set up.
        folder: for the maps.
    """

    def __init__(self, data: Bundled, folder: Path) -> None:
        pairs = data.pairs("train")
        self.scale, self.images, self.rng = data.scale, [], np.random.default_rng(0)
        for index in range(len(pairs)):
            maps = []
            for kind, pixels in zip(("lr", "hr"), pairs.whole(index)[:2], strict=True):
                file = folder / f"{kind}_{data.scale}_{index}.bin"
                np.ascontiguousarray(pixels).tofile(file)
                maps.append(np.memmap(file, np.uint8, mode="r", shape=pixels.shape))
            self.images.append(maps)
        transforms = [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)]
        self.compose = albumentations.Compose(
            [*transforms, albumentations.RandomRotate90(p=1)], additional_targets={"hr": "image"}, is_check_shapes=False
        )

    def batch(self, how: str) -> tuple[torch.Tensor, torch.Tensor]:
        """One batch; `how` names what is done to the crops."""
        p, s = PATCH, self.scale
        lr, hr = (np.empty((BATCH, side, side, 3), np.uint8) for side in (p, p * s))
        images, turns = self.rng.integers(len(self.images), size=BATCH), self.rng.integers(8, size=BATCH)
        for row, (image, turn) in enumerate(zip(images.tolist(), turns.tolist(), strict=True)):
            small, large = self.images[image]
            y, x = (int(self.rng.random() * (side - p + 1)) for side in small.shape[:2])
            small, large = small[y : y + p, x : x + p], large[y * s : (y + p) * s, x * s : (x + p) * s]
            if how == "views":
                small, large = turned(small, turn), turned(large, turn)
            elif how == "albumentations":
                both = self.compose(image=np.asarray(small), hr=np.asarray(large))
                small, large = both["image"], both["hr"]
            lr[row], hr[row] = small, large
        return torch.from_numpy(lr), torch.from_numpy(hr)


def loading(data: Bundled, workers: int, batches: int) -> Callable[[], None]:
    """The next batches of a whole loader."""
    data.num_workers = workers
    loader = iter(data.train_dataloader())

    def turn() -> None:
        for _ in islice(loader, batches):
            pass

    return turn


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=20, help="of each way and round")
    parser.add_argument("--rounds", type=int, default=15)
    typed = parser.parse_args()
    batches, rows = typed.batches, []
    with tempfile.TemporaryDirectory() as scratch:
        for scale in (2, 4):
            data = Bundled(scale=scale, patch_size=PATCH, batch_size=BATCH, seed=0, cache_dir=Path(scratch) / "cache")
            data.setup("fit")
            host, maps = data.patches(), Maps(data, Path(scratch))
            device, count = on_device(host, torch.device("cpu")), [0]

            def ours(patches: Dataset[Batch], count: list[int] = count) -> None:
                for _ in range(batches):
                    count[0] += BATCH
                    patches[list(range(count[0], count[0] + BATCH))]

            ways = {
                "ours, host": lambda host=host: ours(host),
                "ours, device": lambda device=device: ours(device),
                **{
                    how: lambda how=how, maps=maps: [maps.batch(how) for _ in range(batches)]
                    for how in ("plain", "views", "albumentations")
                },
            }
            seconds = in_turns(ways, rounds=typed.rounds)
            # Five times as many at once: a few lie ready when a turn of the workers begins.
            whole = {f"{n} workers": loading(data, n, 5 * batches) for n in (0, 2)}
            seconds |= {name: s / 5 for name, s in in_turns(whole, typed.rounds, time.perf_counter).items()}
            rows.append([f"x{scale}", *(f"{BATCH * batches / s:,.0f}" for s in seconds.values())])
    print(f"# Crops a second: batches of {BATCH}, LR {PATCH}x{PATCH}, the bundled photos\n")
    print(f"{machine()}.\n")
    columns = ["scale", "host, with flips and turns", "device (the processor), with them", "memory map, without"]
    columns += ["memory map, by numpy views", "memory map, by albumentations"]
    print(table([*columns, "loader, no workers (clock)", "loader, two workers (clock)"], rows))


if __name__ == "__main__":
    main()
