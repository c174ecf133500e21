"""What answers tell, written down: tables, CSV files, a picture."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sr.errors import UserError, some
from sr.scores import rated
from sr.scores.results import set_aside
from sr.scores.text import aligned, in_markdown, markdown, write_csv
from sr.study import agreement
from sr.study.analysis import Findings, found
from sr.study.answers import KEYS, Rater, Study, fitting, keys_for, read_rater, read_study
from sr.whole import write_whole

log = logging.getLogger(__name__)
MOST_FILES = 10_000


def told(places: Sequence[str], key: str | None, folder: Path) -> None:
    """Read files of answers, print what they say and write it into the folder.

    Args:
        places: files, or folders of them.
        key: of the study; None to look for it.
        folder: of the command.

    Raises:
        UserError: a file cannot be read or is of no study that is known.
    """
    raters = _once([read_rater(file) for file in _files(places)])
    keys = keys_for(raters, key)
    studies: dict[str, list[Rater]] = {}
    for rater in raters:
        studies.setdefault(rater.study, []).append(rater)
    if unknown := [of[0] for study, of in studies.items() if study not in keys]:
        where = f"{key} is of another one" if key else "no key.json lies beside it or in outputs/studies/*"
        raise UserError(
            f"{unknown[0].file}: is of a study whose key is not known: {where}. Type key=PATH of the key.json that was "
            "written beside the page"
        )
    chosen = {id: read_study(keys[id]) for id in studies}
    modes = [study.mode for study in chosen.values()]
    if twice := [mode for mode in modes if modes.count(mode) > 1]:
        raise UserError(
            f"the answers are of {len(modes)} studies, more than one of mode={twice[0]}: read each by itself"
        )
    for id, study in chosen.items():
        log.info(f"key: {keys[id]}")
        _tell(study, [fitting(rater, study) for rater in studies[id]], folder)


def _files(places: Sequence[str]) -> list[Path]:
    files: list[Path] = []
    for place in map(Path, places):
        files += sorted(p for p in place.glob("*.json") if not p.match(KEYS)) if place.is_dir() else [place]
    if not files:
        raise UserError(f"answers={','.join(places)}: there is no .json in it. Name the files that raters sent")
    if len(files) > MOST_FILES:
        raise UserError(f"answers=: {len(files):,} files, {MOST_FILES:,} are read at most")
    return list(dict.fromkeys(files))


def _once(raters: Sequence[Rater]) -> list[Rater]:
    """One file of each rater: that with the most answers. Two who have one name may be one."""
    best: dict[tuple[str, str], Rater] = {}
    for rater in raters:
        other = best.setdefault((rater.study, rater.id), rater)
        if other is not rater:
            if len(rater.answers) == len(other.answers) and rater.answers != other.answers:
                raise UserError(
                    f"{other.file} and {rater.file} are of one rater, {rater.label}, and hold as many answers, but not "
                    "the same: leave one of them out"
                )
            more, less = (rater, other) if len(rater.answers) > len(other.answers) else (other, rater)
            best[rater.study, rater.id] = more
            log.warning(f"warning: {more.file} and {less.file} are of one rater, {more.label}: the former is taken")
    kept, names = list(best.values()), dict[tuple[str, str], list[Rater]]()
    for rater in (rater for rater in kept if rater.name):
        names.setdefault((rater.study, rater.name.casefold()), []).append(rater)
    for alike in (alike for alike in names.values() if len(alike) > 1):
        files = some([rater.file for rater in alike])
        log.warning(
            f"warning: {len(alike)} raters are called {alike[0].name}: if they are one, leave out one of {files}"
        )
    return kept


def _tell(study: Study, raters: Sequence[Rater], folder: Path) -> None:
    cares = {rater.id: agreement.care(rater, study) for rater in raters}
    counted = [rater for rater in raters if not cares[rater.id].failed and rater.answers]
    metric = "bt" if study.mode == "pairs" else "mos"
    lines = agreement.rows(study, raters, cares)
    notes = [
        f"left out, {rater.label} ({rater.file}): {c.right} of {c.asked} catch trials right"
        for rater in raters
        if (c := cares[rater.id]).failed
    ]
    unseen = [rater.label for rater in counted if not cares[rater.id].asked]
    if unseen and any(trial.catch for trial in study.trials):
        notes.append(f"nothing tells whether they looked, as they answered no catch trial: {some(unseen)}")
    if not counted:
        raise UserError("\n".join([*notes, "nobody is left whose answers count"]))
    findings = found(study, counted)
    notes = [rated.EXPLAINED[metric], *findings.notes, _agreed(findings.agreement, len(counted)), *notes]
    shown = _table(findings, metric)
    people = _people(lines)
    log.info("\n" + "\n\n".join([aligned(shown), aligned(people)]) + "\n")
    log.info("\n".join(notes) + "\n")
    text = "\n\n".join([markdown(shown), markdown(people), "\n".join(f"- {in_markdown(note)}" for note in notes)])
    files = [folder / f"{metric}.{kind}" for kind in ("csv", "md", "png")]
    details = folder / ("pairs.csv" if metric == "bt" else "sets.csv")
    if files[0].is_file() and not _same(files[0], findings.rated):  # of other answers
        set_aside(folder, (metric, details.stem, f"raters_{metric}"), ("csv", "md", "png"))
    rated.write(files[0], findings.rated)
    write_whole(files[1], text + "\n")
    for file, rows in ((details, findings.details), (folder / f"raters_{metric}.csv", lines)):
        if rows:
            write_csv(file, list(rows[0]), rows)
            files.append(file)
    try:
        from sr.study.picture import drawn
    except UserError as error:  # matplotlib is an extra
        log.warning(f"warning: no picture: {error}")
        files.pop(2)
    else:
        drawn(findings, metric).save(files[2])
    for file in files:
        log.info(str(file))


def _same(file: Path, figures: Sequence[rated.Rated]) -> bool:
    try:
        return [*map(asdict, rated.read([str(file)]))] == [*map(asdict, figures)]
    except UserError:  # damaged, or anything else of that name
        return False


def _table(findings: Findings, metric: str) -> list[list[str]]:
    head = ["model", rated.TITLES[metric], "95 % interval", "seen in", "raters"]
    return [head, *([r.entry, f"{r.value:.2f}", r.interval, str(r.answers), str(r.raters)] for r in findings.rated)]


def _people(lines: Sequence[dict[str, object]]) -> list[list[str]]:
    head = ["rater", "answers", "catch trials", "as others", "chose left", "counted"]
    return [head, *(
        [str(row["rater"]), f"{row['answers']} of {row['trials']}", f"{row['catch_right']} of {row['catch_asked']}",
         _percent(row["agreement"]), _percent(row["chose_left"]), "yes" if row["counted"] else "no"]
        for row in lines
    )]  # fmt: skip


def _percent(share: object) -> str:
    return f"{share:.0%}" if isinstance(share, float) else "-"


def _agreed(alpha: float | None, raters: int) -> str:
    if alpha is None:
        return "agreement between raters: no two of them answered the same trial differently or alike enough to tell"
    return f"agreement between {raters} raters: Krippendorff's alpha {alpha:.2f} (1: all alike, 0: as by chance)"
