"""A study's files: its key, which tells what was shown, and what raters saved. Both are read as strangers'."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from sr.bounded import text_of
from sr.errors import UserError, reason
from sr.study.design import HR, SPOILED, Trial
from sr.whole import write_whole

log = logging.getLogger(__name__)
FORMAT = 1
KEY, KEYS = "key.json", "key*.json"
PAGES = Path("outputs/studies")  # where studies are made, unless told otherwise
MOST_BYTES = 2_000_000  # of answers: ten thousand trials
MOST_KEY_BYTES = 20_000_000
VALUES: dict[str, dict[Any, float]] = {  # by mode: the choices that a file may hold
    "pairs": {"first": 1.0, "equal": 0.5, "second": 0.0},  # how much of a win it is for the first picture
    "mos": {n: float(n) for n in (1, 2, 3, 4, 5)},  # bad, poor, fair, good, excellent
}
MODES = tuple(VALUES)
LONGEST = 80  # letters of a rater's name
MOST_MODELS = 100
MOST_TRIALS = 20_000  # of which ten thousand can be answered
MOST_LETTERS = 4096  # of what a model is known by; paths have no more


@dataclass(frozen=True)
class Model:
    """One that is rated: its label, and what a comparison knows it by again: its name, its place and its weights."""

    label: str
    name: str
    place: str
    weights: str


@dataclass(frozen=True)
class Study:
    """What a page asks; `key.json` beside it holds this, and the page none of the names.

    Attributes:
        id: of the page; answers name it. It follows from all the rest (`identified`).
        mode: "pairs" or "mos".
        scale: of the models.
        models: numbered by their place here.
        crops: of each, the set, the image and the window in HR pixels.
        trials: numbered by their place here.
        pictures: SHA-256 of what the page shows.
    """

    id: str
    mode: str
    scale: int
    models: tuple[Model, ...]
    crops: tuple[Mapping[str, Any], ...]
    trials: tuple[Trial, ...]
    pictures: str = ""

    def identified(self) -> "Study":
        """Under the id that it must have."""
        return replace(self, id=_id(asdict(self)))

    def write(self, file: Path) -> None:
        """Another study's key that is there is kept beside it: without that its answers would say nothing."""
        if file.is_file() and (former := read_study(file)).id != self.id:
            file.rename(file.with_name(f"key_{former.id}.json"))
        write_whole(file, {"format": FORMAT, **asdict(self)})


class ChangedError(UserError):
    """A key that is not as it was written."""


def _id(content: Mapping[str, Any]) -> str:
    """Of all that a key holds: somebody who changes that, such as which model is which, makes another study's key."""
    rest = {name: value for name, value in content.items() if name not in ("format", "id")}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Rater:
    """One file of answers.

    Attributes:
        id: made up by the page.
        name: as typed there; may be empty.
        file: that was read.
        study: id of what was answered.
        mode: of it.
        mirrored: whether the first picture of a trial stood right.
        answers: by the trial's number: the first one's share of a win, or an opinion.
    """

    id: str
    name: str
    file: Path
    study: str
    mode: str
    mirrored: bool
    answers: Mapping[int, float]

    @property
    def label(self) -> str:
        return self.name or self.id[:8]


def table(raters: Sequence[Rater], trials: int) -> np.ndarray:
    """(raters, trials): the answers; NaN where there is none."""
    found = np.full((len(raters), trials), np.nan)
    for row, rater in zip(found, raters, strict=True):
        row[list(rater.answers)] = list(rater.answers.values())
    return found


def read_study(file: Path) -> Study:
    """A key.

    Raises:
        UserError: it is not there, no key, or not as it was written.
    """
    content = _read(file, MOST_KEY_BYTES, "key of a study")
    try:
        models = tuple(
            Model(*(_whole(str(m[f.name]))[:MOST_LETTERS] for f in fields(Model))) for m in content["models"]
        )
        trials = tuple(Trial(int(t["crop"]), tuple(t["shown"])) for t in content["trials"])
        crops, pictures = tuple(content["crops"]), str(content.get("pictures", ""))
        found = Study(str(content["id"]), content["mode"], int(content["scale"]), models, crops, trials, pictures)
        shown = {s for trial in trials for s in trial.shown}
        known = shown <= {*range(len(models)), HR, SPOILED} and all(0 <= t.crop < len(found.crops) for t in trials)
        datasets = all(isinstance(crop["dataset"], str) for crop in found.crops)
        lengths = {len(trial.shown) for trial in trials} == {2 if found.mode == "pairs" else 1}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{file}: is no key of a study ({type(error).__name__}: {reason(error)})") from error
    if not (known and datasets and lengths and found.mode in MODES):
        raise UserError(f"{file}: is no key of a study: its trials are not of its models and crops")
    if not (2 if found.mode == "pairs" else 1) <= len(models) <= MOST_MODELS:
        raise UserError(f"{file}: is no key of a study: it has {len(models)} models")
    if len(trials) > MOST_TRIALS:
        raise UserError(f"{file}: is no key of a study: it has {len(trials):,} trials, where {MOST_TRIALS:,} are most")
    if found.id != _id(content):
        raise ChangedError(
            f"{file}: is no key of a study as sr study wrote it: its id does not follow from the rest, so something "
            "in it was changed. Take the one that was written beside the page"
        )
    return found


def read_rater(file: Path) -> Rater:
    """A file of answers; whether they fit a study is seen in `fitting`.

    Raises:
        UserError: it is not there, too large, or not what a study's page saves.
    """
    content = _read(file, MOST_BYTES, "file of answers")
    given = content.get("answers")
    if not isinstance(given, list):
        raise UserError(f"{file}: 'answers' must be a list. Give the file as the page saved it")
    texts = {name: content.get(name, "") for name in ("study", "rater", "name")}
    if wrong := [name for name, text in texts.items() if not isinstance(text, str) or len(text) > LONGEST]:
        raise UserError(f"{file}: {wrong[0]!r} must be a text of {LONGEST} letters at most")
    if not texts["rater"]:
        raise UserError(f"{file}: names no 'rater'. Give the file as the page saved it")
    mode, answers = content.get("mode"), dict[int, float]()
    if mode not in MODES:
        raise UserError(f"{file}: 'mode' must be one of {', '.join(MODES)}. Give the file as the page saved it")
    known = VALUES[mode]
    for n, answer in enumerate(given, 1):
        trial, choice = (answer.get("trial"), answer.get("choice")) if isinstance(answer, dict) else (None, None)
        if type(trial) is not int or type(choice) not in (int, str) or choice not in known:
            raise UserError(
                f"{file}: answer {n} is {str(answer)[:80]!r}; each has the number of a trial and a choice, one of "
                f"{', '.join(map(str, known))}"
            )
        if trial in answers:
            raise UserError(f"{file}: answer {n} is the second one to trial {trial}")
        answers[trial] = known[choice]
    name = " ".join(_whole(texts["name"]).split())
    return Rater(_whole(texts["rater"]), name, file, texts["study"], mode, content.get("mirrored") is True, answers)


def _read(file: Path, most: int, what: str) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"{file}: there is no such file; a {what} was looked for")
    try:
        content = json.loads(text_of(file, most, "utf-8-sig"), parse_constant=_no_number)
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: is no {what}: it is not JSON ({reason(error)})") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: is no {what}")
    if (number := content.get("format")) != FORMAT:
        newer = isinstance(number, int) and number > FORMAT
        told = "of a newer version: install that" if newer else f"a {what} names it"
        raise UserError(f"{file}: its 'format' is {str(number)[:20]}, known here is {FORMAT}; {told}")
    return content


def _whole(text: str) -> str:
    """Without halves of letters, which a page's field leaves where it cuts an emoji, and no file can hold."""
    return text.encode("utf-8", "replace").decode()


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def fitting(rater: Rater, study: Study) -> Rater:
    """The rater, whose answers fit the study.

    Raises:
        UserError: they do not.
    """
    if rater.mode != study.mode:
        raise UserError(f"{rater.file}: its 'mode' is {rater.mode}, that of the study is {study.mode}")
    if wrong := [trial for trial in rater.answers if not 0 <= trial < len(study.trials)]:
        raise UserError(f"{rater.file}: there is no trial {wrong[0]} in the study, which has {len(study.trials)}")
    return rater


def keys_for(raters: Iterable[Rater], key: str | None) -> dict[str, Path]:
    """By a study's id its key: the one that is named, or those beside the answers and below PAGES."""
    if key and not Path(key).is_dir():
        return {read_study(Path(key)).id: Path(key)}
    found: dict[str, Path] = {}
    folders = [Path(key)] if key else list(dict.fromkeys(rater.file.parent for rater in raters))
    beside = (file for folder in folders for file in sorted(folder.glob(KEYS)))
    for file in (*beside, *(() if key else sorted(PAGES.glob(f"*/{KEYS}")))):
        try:
            found.setdefault(read_study(file).id, file)
        except ChangedError as error:
            log.warning(f"warning: not read: {error}")
        except UserError:  # some other file of that name
            pass
    return found
