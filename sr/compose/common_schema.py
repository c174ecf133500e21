"""Keys that several commands share, declared."""

from dataclasses import dataclass
from typing import Any

from sr.compose.key import key


@dataclass
class Common:
    """Keys that training and evaluation share."""

    # a random degradation of an image that is measured is drawn by the image's name: all models see the same LR
    seed: int = key(0, least=0, most=2**32 - 1, sets=True, one_line=True, grows=True, training=True)
    data_dir: str = key("data", sets=True, result=False)  # one setting from which every data root follows
    # decoded pixels
    cache_dir: str = key("${oc.env:SR_CACHE_DIR,data/.cache}", sets=True, result=False, named=False)
    patch_size: int = key(48, least=1, unit="LR pixels", stage=True, budget="size", training=True)
    # of a training sample, where the data are clips
    frames: int = key(7, least=1, unit="frames", stage=True, training=True, passed_on=True)
    batch_size: int = key(
        16, least=1, most=2**16, unit="images per optimizer step, over all processes", stage=True, budget="size",
        training=True,
    )  # fmt: skip
    degradation: Any = key(sets=True, makes_lr=True)
    model: Any = key(own_column=True, stage=True, whole_run=True)
    data: Any = key(sets=True)
    # modules of others whose classes files may name: a list, or one; SR_TRUST is the same for every command
    trust: Any = key(result=False, named=False)


@dataclass
class Zoo:
    """Where authors' files are; see sr zoo list."""

    dir: str = "data/weights"  # looked through at any depth, by file name and checksum
    download: bool = True  # fetch what is not there, where its address is known
    # of the values that an unknown file's network takes: 0-1, 0-255, -1..1, or own, as its paper's
    range: str | None = None
    order: str | None = None  # of its channels: rgb or bgr
