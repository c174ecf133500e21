"""The enlarging run: pictures as they come, whatever they are called and hold."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from sr.compose.words import listed
from sr.deploy.done import Results
from sr.deploy.enlarger import Enlarger
from sr.deploy.films.joining import FORMATS
from sr.deploy.films.work import FilmWork
from sr.deploy.inputs import Found, ending_of, find, is_film, results
from sr.deploy.load import asked, folder_of
from sr.deploy.photos import How
from sr.deploy.work import Job, Work, of_one_picture, reason_of
from sr.deploy.written import Comparison, submit
from sr.errors import LINES, UserError, printable, some
from sr.imaging.photo_writing import LOSSY, WRITTEN
from sr.measuring.scoring import pick_device
from sr.models.clips import ClipResolver
from sr.runs.lock import locked
from sr.scores.text import counted, duration

log = logging.getLogger(__name__)
TELLING = 0.05  # of all pixels: what is done tells how long the rest takes
SETTLED = 20.0  # seconds: or so does this


def upscale(cfg: DictConfig) -> None:
    """Run a composed conf/upscale.yaml: enlarge all that `input=` names, and name what could not be.

    Raises:
        UserError: before the work, what was typed makes no sense; after it, the files that were not enlarged and why.
    """
    suffix = _suffix(cfg)
    if not listed(cfg.input):
        raise UserError("which pictures or films? Type input=PATH: a file, a folder, a pattern as 'p/*.jpg', or a list")
    output = folder_of(cfg.output)
    found = find(listed(cfg.input), output)
    format_, film = _formats(cfg, found.files)
    name, model = asked(cfg)
    enlarger = Enlarger(model, name, pick_device(cfg.device), cfg.form)
    scratch = None if cfg.scratch is None else Path(cfg.scratch).expanduser()
    how = enlarger.how(cfg.scale, cfg.outscale, cfg.self_ensemble, tile=cfg.tile, scratch=scratch, half=cfg.half)
    suffix = suffix.replace("{scale}", f"{how.factor:g}")
    jobs = [Job(p, *places) for p, places in results(found, output, suffix, format_, cfg.side_by_side, film).items()]
    comparison = Comparison(cfg, found, how.factor, enlarger) if cfg.hr else None
    with locked(output):
        _told(found, jobs, enlarger, how, output)
        given = enlarger, how, cfg.quality, cfg.overwrite, Results(output)
        work, films = Work(*given), FilmWork(*given, cfg.lossless, cfg.clip_room)
        work.kept.sweep(target for job in jobs for target in job.targets)
        failed = _enlarged({job: films if is_film(job.source) else work for job in jobs})
        if comparison is not None:
            comparison.tell({job.source: job.target for job in jobs if job.source not in failed})
        if cfg.submission:
            submit(work, [job.target for job in jobs if job.source not in failed])
    if failed:
        raise UserError(f"{len(failed)} of {len(jobs)} are not enlarged:{LINES}{some(failed.values(), 1000, LINES)}")


def _formats(cfg: DictConfig, files: Sequence[Path]) -> tuple[str | None, str | None]:
    """What is typed of the format of pictures, and of films."""
    films = [p for p in files if is_film(p)]
    if films and (cfg.hr or cfg.submission):
        word = "submission=true" if cfg.submission else f"hr={cfg.hr}"
        raise UserError(f"{word} is for pictures, and {films[0]} is a film: leave the one or the other out")
    if cfg.lossless and not films:
        raise UserError("lossless=true is for films; of pictures png, tif, bmp and webp lose nothing: type format=")
    format_ = "png" if cfg.submission else cfg.format and str(cfg.format).lower().lstrip(".")
    if cfg.submission and cfg.format not in (None, "png"):
        raise UserError(f"format={cfg.format}: a challenge takes PNG; leave it out beside submission=true")
    moving = format_ is not None and f".{format_}" in FORMATS
    if format_ and not moving and f".{format_}" not in WRITTEN:
        known = [s[1:] for s in (*WRITTEN, *FORMATS)]
        raise UserError(f"format={cfg.format}: there are {', '.join(known)}")
    if format_ and len(films) == (len(files) if not moving else 0):
        what, there = ("films", "pictures") if moving else ("pictures", "films")
        raise UserError(f"format={cfg.format} is one of {what}, and there are only {there}: leave it out")
    if cfg.lossless and (cfg.quality is not None or format_ not in (None, "mkv")):
        raise UserError("lossless=true writes Matroska (mkv) and knows no quality: leave format= and quality= out")
    written = {f".{format_}"} if format_ and not moving else {ending_of(p).lower() for p in files}
    if cfg.quality is not None and not films and not written & {*LOSSY}:
        kinds = some([kind[1:] for kind in sorted(written)])
        raise UserError(f"quality={cfg.quality}: {kinds} loses nothing; leave it out, or type format=jpg or webp")
    return (None if moving else format_), "mkv" if cfg.lossless else format_ if moving else None


def _suffix(cfg: DictConfig) -> str:
    suffix = "" if cfg.submission or cfg.suffix is None else str(cfg.suffix)
    if set(suffix) & set("/\\\0"):
        raise UserError(f"suffix={suffix}: it is a part of a name, without / and \\")
    return suffix


def _told(found: Found, jobs: Sequence[Job], enlarger: Enlarger, how: How, output: Path) -> None:
    films = sum(is_film(job.source) for job in jobs)
    kinds = {"picture": len(jobs) - films, "film": films}
    number = " and ".join(counted(count, what) for what, count in kinds.items() if count)
    reduced = "" if how.factor == how.scale else f", reduced to x{how.factor:g}"
    log.info(
        f"{number}, x{how.scale}{reduced} by {enlarger.name} in the form {enlarger.deployed(how.scale)} on "
        f"{enlarger.device}, into {output}"
    )
    if films < len(jobs) and isinstance(enlarger.model, ClipResolver):
        log.warning(
            f"note: {enlarger.name} looks at the frames around, of which a picture has none: each is enlarged alone. "
            "Of frames that belong together make a film first"
        )
    if found.others:
        log.info(
            f"{len(found.others)} files have names of no kind that is read: {some([p.name for p in found.others])}"
        )


def _enlarged(jobs: Mapping[Job, Work]) -> dict[Path, str]:
    """Do what is not done; what could not be, with the reason."""
    failed: dict[Path, str] = {}
    sizes: dict[Job, int] = {}
    for job, work in jobs.items():
        try:
            work.refuse_in_the_way(job)
            if work.missing(job):
                sizes[job] = work.pixels(job)
        except (UserError, OSError) as error:
            failed[job.source] = reason_of(job, error)
    if ready := len(jobs) - len(sizes) - len(failed):
        log.info(f"{ready} of {len(jobs)} are there already, as this command makes them")
    for wrong in failed.values():
        log.warning(f"not enlarged: {wrong}")
    began, done, total = time.perf_counter(), 0, sum(sizes.values())
    name = printable(str(next(iter(jobs.values()))))
    bar = {"desc": name, "unit": "px", "unit_scale": True, "leave": False, "dynamic_ncols": True}
    with logging_redirect_tqdm(), tqdm(total=total, disable=None, **bar) as progress:
        for number, (job, pixels) in enumerate(sizes.items(), 1):
            done += pixels
            try:
                told = jobs[job].do(job, partial(_seen, progress, pixels))
            except Exception as error:
                if not of_one_picture(error):
                    raise
                failed[job.source] = reason_of(job, error)
                log.warning(f"not enlarged: {failed[job.source]}")
            else:
                log.info(
                    f"{number}/{len(sizes)} {job.target}: {told}{_left(time.perf_counter() - began, done / total)}"
                )
            progress.update(done - progress.n)  # of one that failed
    return failed


def _left(seconds: float, share: float) -> str:
    """How long the rest takes, once what is done tells: of a tiny picture the time is that of beginning and ending."""
    if share >= 1 or (share < TELLING and seconds < SETTLED):
        return ""
    return f"; about {duration(seconds * (1 / share - 1))} left"


def _seen(progress: Any, pixels: int, share: float) -> None:
    progress.update(share * pixels)
