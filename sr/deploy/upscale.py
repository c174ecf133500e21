"""The enlarging run: pictures as they come, whatever they are called and hold."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from sr.compose.words import listed
from sr.deploy.done import Maker, Results, identity
from sr.deploy.enlarger import Enlarger
from sr.deploy.inputs import Found, find, results, side_of
from sr.deploy.load import named
from sr.deploy.written import Comparison, submit
from sr.errors import LINES, UserError, printable, some, user_error
from sr.imaging.image_errors import ImageError
from sr.imaging.photo import Photo, read_photo, read_photo_size
from sr.imaging.photo_files import LIMITS, LOSSY, WRITTEN, depth_in, too_large, write_photo
from sr.measuring.scoring import pick_device
from sr.runs.lock import locked
from sr.whole import replacing

log = logging.getLogger(__name__)
REOPENED = 178_956_970  # pixels that Pillow opens, and so most programs of others in Python


@dataclass(frozen=True)
class Job:
    """One picture: its file, its result, and where that lies beside bicubic, if it shall."""

    source: Path
    target: Path
    side: Path | None

    @property
    def targets(self) -> list[Path]:
        """All that is written for it."""
        return [self.target] if self.side is None else [self.side, self.target]


def upscale(cfg: DictConfig) -> None:
    """Run a composed conf/upscale.yaml: enlarge all that `input=` names, and name what could not be.

    Raises:
        UserError: before the work, what was typed makes no sense; after it, the files that were not enlarged and why.
    """
    format_, suffix = _format(cfg)
    if not listed(cfg.input):
        raise UserError("which pictures? Type input=PATH: a file, a folder, a pattern as 'photos/*.jpg', or a list")
    if len(listed(cfg.weights)) > 1:
        raise UserError(f"model={listed(cfg.weights)}: one network enlarges; type the command once for each")
    output = Path(cfg.output).expanduser().absolute()
    if output.is_file():
        raise UserError(f"output={cfg.output} is a file; the results go into a folder, under their own names")
    found = find(listed(cfg.input), output)
    name, model = named(next(iter(listed(cfg.weights)), None), cfg.scale, cfg.zoo)
    enlarger = Enlarger(model, name, pick_device(cfg.device))
    own = enlarger.factor(cfg.scale, cfg.outscale)
    factor = cfg.outscale or own
    places = results(found, output, suffix.replace("{scale}", f"{factor:g}"), format_)
    jobs = [Job(p, place, side_of(place, output) if cfg.side_by_side else None) for p, place in places.items()]
    comparison = Comparison(cfg, found.files, factor, enlarger) if cfg.hr else None
    with locked(output):
        _told(found, jobs, enlarger, own, factor, output)
        failed = _enlarged(cfg, jobs, enlarger, own, output)
        if comparison is not None:
            comparison.tell({job.source: job.target for job in jobs if str(job.source) not in failed})
        if cfg.submission:
            submit(output, [job.target for job in jobs], enlarger, factor)
    if failed:
        raise UserError(f"{len(failed)} of {len(jobs)} are not enlarged:{LINES}{some(failed.values(), 1000, LINES)}")


def _format(cfg: DictConfig) -> tuple[str | None, str]:
    format_ = "png" if cfg.submission else cfg.format and str(cfg.format).lower().lstrip(".")
    if cfg.submission and cfg.format not in (None, "png"):
        raise UserError(f"format={cfg.format}: a challenge takes PNG; leave it out beside submission=true")
    if format_ and f".{format_}" not in WRITTEN:
        raise UserError(f"format={cfg.format}: there are {', '.join(s[1:] for s in WRITTEN)}")
    if cfg.quality is not None and format_ and f".{format_}" not in LOSSY:
        raise UserError(f"quality={cfg.quality}: {format_} loses nothing; leave it out, or type format=jpg or webp")
    suffix = "" if cfg.submission or cfg.suffix is None else str(cfg.suffix)
    if set(suffix) & set("/\\\0"):
        raise UserError(f"suffix={suffix}: it is a part of a name, without / and \\")
    return format_, suffix


def _told(found: Found, jobs: Sequence[Job], enlarger: Enlarger, own: int, factor: float, output: Path) -> None:
    number = "1 picture" if len(jobs) == 1 else f"{len(jobs)} pictures"
    reduced = "" if factor == own else f", reduced to x{factor:g}"
    log.info(
        f"{number}, x{own}{reduced} by {enlarger.name} (merged, float32) on {enlarger.device}, whole "
        f"pictures (exact), into {output}"
    )
    if found.others:
        log.info(f"{len(found.others)} files are no images by their names: {some([p.name for p in found.others])}")


def _enlarged(cfg: DictConfig, jobs: Sequence[Job], enlarger: Enlarger, own: int, output: Path) -> dict[str, str]:
    """Do what is not done; what could not be, with the reason."""
    factor = cfg.outscale or own
    settings = {"scale": own, "outscale": factor, "self_ensemble": cfg.self_ensemble, "quality": cfg.quality,
                "model": enlarger.metadata.get("model"), "reads": enlarger.metadata.get("reads")}  # fmt: skip
    made_by, kept = identity(enlarger.model.state_dict(), settings), Results(output)
    kept.sweep(target for job in jobs for target in job.targets)
    failed: dict[str, str] = {}
    sizes: dict[Job, int] = {}
    done = 0
    for job in jobs:
        try:
            if wrong := _in_the_way(job, kept, made_by, cfg.overwrite):
                failed[str(job.source)] = wrong
            elif not _missing(job, kept, made_by):
                done += 1
            else:
                sizes[job] = _pixels(job, factor)
        except (UserError, OSError) as error:
            failed[str(job.source)] = _reason(job, error)
    if done:
        log.info(f"{done} of {len(jobs)} are there already, as this command makes them")
    for wrong in failed.values():
        log.warning(f"not enlarged: {wrong}")
    bar = {"desc": printable(f"{enlarger.name} x{factor:g}"), "unit": "px", "total": sum(sizes.values())}
    with (
        logging_redirect_tqdm(),
        tqdm(dynamic_ncols=True, disable=None, unit_scale=True, leave=False, **bar) as progress,
    ):
        for number, (job, pixels) in enumerate(sizes.items(), 1):
            began = time.perf_counter()
            try:
                shape = _do(cfg, job, enlarger, own, kept, made_by)
                log.info(f"{number}/{len(sizes)} {job.target}: {shape}, {time.perf_counter() - began:.1f} s")
            except (UserError, MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
                    raise
                failed[str(job.source)] = _reason(job, error)
                log.warning(f"not enlarged: {failed[str(job.source)]}")
            progress.update(pixels)
    return failed


def _in_the_way(job: Job, kept: Results, made_by: str, overwrite: bool) -> str:
    maker = Maker.of(job.source, made_by)
    for target in job.targets:
        if target.exists() and not kept.holds(target, maker) and not (overwrite and target.is_file()):
            return f"{job.source}: {target} {kept.why_not(target, maker)}. Type overwrite=true, or another output=PATH"
    return ""


def _missing(job: Job, kept: Results, made_by: str) -> list[Path]:
    maker = Maker.of(job.source, made_by)
    return [target for target in job.targets if not kept.holds(target, maker)]


def _pixels(job: Job, factor: float) -> int:
    """Of the picture, by its header; told before the work what no file of the format can hold."""
    height, width = read_photo_size(job.source)
    high, wide = round(height * factor), round(width * factor)
    for target in job.targets:
        widest = wide * 2 if target == job.side else wide
        if max(high, widest) > LIMITS.get(target.suffix.lower(), 2**31 - 1):
            raise UserError(f"{target} {too_large(high, widest, target.suffix.lower())}")
    if high * wide > REOPENED:
        log.warning(f"note: {job.target} will be {wide}x{high} pixels, more than Pillow opens without a higher limit")
    return height * width


def _do(cfg: DictConfig, job: Job, enlarger: Enlarger, own: int, kept: Results, made_by: str) -> str:
    """Enlarge one picture; what it was and became."""
    maker = Maker.of(job.source, made_by)
    photo = read_photo(job.source)
    began = time.perf_counter()
    depth = depth_in(job.target.suffix.lower(), photo.colour.dtype)
    large = enlarger.photo(photo, own, cfg.outscale, cfg.self_ensemble, depth)
    seconds = time.perf_counter() - began
    for target in _missing(job, kept, made_by):
        shown = large if target == job.target else enlarger.beside_bicubic(photo, large)
        _write(target, shown, cfg.quality, kept, maker, seconds)
    (h, w), (high, wide) = photo.colour.shape[:2], large.colour.shape[:2]
    return f"{w}x{h} -> {wide}x{high}"


def _write(target: Path, photo: Photo, quality: int | None, kept: Results, maker: Maker, seconds: float) -> None:
    with replacing(target) as part:
        write_photo(part, photo, quality)
        kept.note(target, part, maker, seconds)


def _reason(job: Job, error: BaseException) -> str:
    if isinstance(error, ImageError):
        return f"{error.path} {error.what}"
    if isinstance(error, RuntimeError):
        return f"{job.source}: memory ran out. Free some, or cut the picture into parts"
    found = str(user_error(error) or error)
    return found if str(job.source) in found else f"{job.source} {found}"
