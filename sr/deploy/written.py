"""What is said of results beside the pictures: figures where HR is known, and a challenge's readme.txt."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tqdm import tqdm

from sr.compose.words import listed
from sr.data.as_bicubic import is_bicubic
from sr.data.belonging import Seen, decided, pair, report
from sr.data.folder import own_name
from sr.data.images import LazyImages
from sr.data.pairs import ImagePair, pair_by_name
from sr.deploy.enlarger import Enlarger
from sr.deploy.inputs import Found, find, is_film, place_of
from sr.deploy.work import Work
from sr.errors import UserError, some
from sr.imaging.color import to_array
from sr.imaging.files import read_image
from sr.imaging.image_errors import ImageError
from sr.imaging.photo import Photo
from sr.imaging.photo_reading import read_photo
from sr.imaging.photo_writing import LOSSY
from sr.measuring.entries import tell_seen
from sr.measuring.rehearsal import try_metrics
from sr.measuring.scoring import Entry
from sr.metrics.metric import get_metrics
from sr.metrics.protocols import get_protocol
from sr.runs.checkpoint import run_of
from sr.scores.published import lr_given, plain, told_lr
from sr.scores.results import write
from sr.scores.score import Score, averages, scores_of, table
from sr.whole import write_whole
from sr.zoo.load import file_of

log = logging.getLogger(__name__)


class Comparison:
    """Results held against the HR that they come from, as they were written.

    Args:
        cfg: of the command.
        lr: what is enlarged.
        factor: by which.
        enlarger: that does it.

    Raises:
        UserError: HR and the files do not pair up by name or size or show other pictures, or the factor is no whole
            number.
    """

    def __init__(self, cfg: DictConfig, lr: Found, factor: float, enlarger: Enlarger) -> None:
        if int(factor) != factor:
            raise UserError(f"hr={cfg.hr}: figures are told for whole factors, not x{factor:g}. Leave hr= out")
        self.scale, self.name = int(factor), enlarger.name + ("+" if cfg.self_ensemble else "")
        self.quality = cfg.quality
        self.dataset, self.metrics = own_name(Path(cfg.hr).resolve().name), get_metrics(cfg.metrics)
        names = cfg.protocols or [p for p in enlarger.model.protocols if not get_protocol(p).defines_lr]
        self.base = lr.base
        self.protocols = [get_protocol(name) for name in names]
        if wrong := [p.name for p in self.protocols if p.defines_lr]:
            raise UserError(f"protocols=[{','.join(wrong)}] make LR of their own; here it is given: leave them out")
        try_metrics(self.protocols, self.scale, self.metrics)
        folder = Path(cfg.hr).expanduser()
        if not folder.is_dir():
            raise UserError(f"hr={cfg.hr}: a folder of HR images is wanted, one for each image of input=")
        pairs = _paired(find([str(folder)], key="hr"), lr, self.scale)
        self.hr = {p.lr.absolute(): p.hr for p in pairs if p.lr is not None}
        if alone := [file for file in lr.files if file.absolute() not in self.hr]:
            raise UserError(
                f"hr={cfg.hr}: of {len(alone)} files of input= HR is not there at x{self.scale}: {some(alone)}. Leave "
                "them out of input=, as by a pattern"
            )
        folders = list(dict.fromkeys(file.absolute().parent for file in lr.files))
        seen, same = dict[Path, Seen](), True
        for small, own in tqdm(self.hr.items(), "HR", dynamic_ncols=True, disable=None, leave=False):
            try:
                photo = read_photo(small)  # as EXIF turns it
            except ImageError:  # named when its turn comes
                continue
            large = read_image(own).pixels
            found, wanted = large.shape[:2], [side * self.scale for side in photo.colour.shape[:2]]
            if any(not 0 <= have - want < self.scale for have, want in zip(found, wanted, strict=True)):
                (height, width), (h, w) = found, wanted
                raise UserError(
                    f"{own} has {width} x {height} pixels (width x height), where {w} x {h} are wanted: it is no HR of "
                    f"{small.name}"
                )
            given = to_array(_unit(photo))
            seen[small], same = pair(large, given, self.scale), same and is_bicubic(given, large, self.scale)
        self.lr = lr_given(folders, same if seen else None)
        images = LazyImages([self.hr[small] for small in seen]), LazyImages(list(seen)), range(len(seen))
        belonging = decided(*images, list(seen.values()), self.scale)
        report(belonging, self.dataset, "leave hr= out")
        typed = [file_of(source) for source in listed(cfg.weights)]
        run = next((run_of(file) for file in typed if file is not None), None)
        tell_seen(Entry(enlarger.name, enlarger.model, run=run), [images[0]], self.dataset)
        self.suspicious = len(belonging.suspicious)

    def tell(self, made: Mapping[Path, Path]) -> None:
        """Print the table and write results.csv, of files and their results."""
        scores: list[Score] = []
        for source, target in made.items():
            hr, sr = read_image(self.hr[source.absolute()]), _unit(read_photo(target))
            h, w = sr.shape[-2:]
            reference = torch.from_numpy(hr.pixels[:h, :w]).permute(2, 0, 1)[None]
            lr = _unit(read_photo(source)) if any(m.of_lr for m in self.metrics) else None
            name = "_".join(place_of(source).relative_to(self.base).parts)
            for protocol in self.protocols:
                values = protocol.compare(sr, reference, self.scale, hr.grey, self.metrics, lr)
                scores += scores_of(self.name, self.dataset, self.scale, protocol.name, values, 1, name, lr=self.lr)
        if scores:
            log.info(f"\n{table(averages(scores))}\n")
            if not plain(self.lr):
                log.info(f"{told_lr(self.dataset, self.lr)}\n")
            endings = {target.suffix.lower() for target in made.values()} & {*LOSSY}
            if lossy := sorted(endings - {".webp"} if self.quality is None else endings):
                log.warning(
                    f"warning: the figures are of the results as they were written, and {lossy[0][1:]} loses some of "
                    "it: format=png tells the network's own\n"
                )
            if self.suspicious:
                log.info(f"{self.suspicious} of {len(self.hr)} LR files do not fit their HR: see the warning above\n")
            for path in write(scores, Path(HydraConfig.get().runtime.output_dir)):
                log.info(str(path))


def _paired(hr: Found, lr: Found, scale: int) -> list[ImagePair]:
    """Sub-folders as they lie, where both have the same ones, else all files by their names."""
    high, low = (_by_place(found) for found in (hr, lr))
    if high.keys() != low.keys():
        high, low = ({Path(): [file for own in each.values() for file in own]} for each in (high, low))
    return [pair for place, own in low.items() for pair in pair_by_name(high[place], own, scale)]


def _by_place(found: Found) -> dict[Path, list[Path]]:
    """Pictures by the place of their folder below the base."""
    places: dict[Path, list[Path]] = {}
    for file in found.files:
        if not is_film(file):
            places.setdefault(place_of(file).relative_to(found.base).parent, []).append(file)
    return places


def _unit(photo: Photo) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1]."""
    unit = photo.colour.astype(np.float32) / np.float32(photo.white)
    return torch.from_numpy(np.ascontiguousarray(unit.transpose(2, 0, 1)))[None].expand(-1, 3, -1, -1)


def submit(work: Work, targets: Sequence[Path]) -> None:
    """Write readme.txt beside the images of a challenge's entry, as the NTIRE challenges ask for it.

    One that is there is left alone, as somebody may have written into it, unless it may be replaced.
    """
    seconds = [work.kept.seconds(target) for target in targets]
    mean = sum(seconds) / max(1, len(seconds))
    lines = [
        f"runtime per image [s] : {mean:.4f}",
        f"CPU[1] / GPU[0] : {int(work.enlarger.device.type == 'cpu')}",
        "Extra Data [1] / No Extra Data [0] : ",
        f"Other description : {work}",
    ]
    readme = work.kept.folder / "readme.txt"
    if os.path.lexists(readme) and not work.overwrite:
        log.warning(f"{readme} is there already and left as it is (overwrite=true replaces it); it would tell:")
        log.info("\n".join(lines))
        return
    write_whole(readme, "\n".join(lines) + "\n")
    log.info(f"{readme}: say there whether other data than the challenge's was trained on")
