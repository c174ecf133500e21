"""Models to measure, under which protocols, and the papers' figures that they are held against."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.data.module import SRDataModule
from sr.errors import UserError, told_once
from sr.metrics.protocol import Protocol
from sr.metrics.protocols import get_protocol
from sr.models.base import SuperResolver
from sr.scores.published import (
    Published,
    comparable,
    lr_given,
    lr_made,
    lr_of,
    plain,
    published,
    published_protocols,
    told_lr,
)
from sr.scores.score import BASELINE, Key, Score
from sr.scores.text import shown

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A model to measure, under the name that its rows carry."""

    name: str
    model: SuperResolver
    published: str = ""  # the name of the paper's figures (sr.scores.published) that it is to be held against
    merge: bool = True  # measured in its merged form; false where that would be another function
    run: Path | None = None  # folder of the run that trained it
    pictures: Path | None = None  # folder of outputs that were made elsewhere; the model only stands in for their maker
    stage: bool = False  # before a run's last one of its scale: no paper has a figure of it
    ensemble: bool = False  # averaged over the eight flips and rotations of LR (Lim et al., EDSR, section 3.4)

    @property
    def paper(self) -> str:
        """The name of its published figures; "" for none."""
        return self.published or (BASELINE if self.name == BASELINE else "")


def papers_figures(entry: Entry, means: Sequence[Score], data: SRDataModule) -> dict[Key, Published]:
    """The papers' figures for one model's averages on one set, where LR and clips are what the papers measure on."""
    name, found = entry.paper, dict[Key, Published]()
    for s in means if name and not entry.stage and comparable(data) else ():
        plus = "+" if name != BASELINE and s.model.endswith("+") else ""
        paper = published(name + plus, s.scale, s.dataset, s.protocol, s.images)
        if paper and entry.model.clips and paper.mirrored != data.mirror:
            figures = shown(paper.values, list(paper.values))
            which = "each clip followed by itself, run backward" if paper.mirrored else "clips as they are"
            told = f"note: the published {figures} of {s.model} on {s.dataset} is of {which}: type data.mirror="
            told_once(log, logging.WARNING, told + str(paper.mirrored).lower())
        elif paper:
            found[s.model, s.dataset, s.scale, s.protocol] = paper
    return found


def other_lr(data: SRDataModule) -> str:
    """What a set's LR is where it is not the papers' plain bicubic, as names and figures do not tell it; else ""."""
    if comparable(data):
        return ""
    return told_lr(data.test_name, lr_of(data))


def papers_protocols(entry: Entry, data: SRDataModule) -> list[str]:
    """Under which a model is measured on a set where none are asked for: its kind's, then those of its figures."""
    known = published_protocols(entry.paper, data.scale, data.test_name) if comparable(data) else []
    return list(dict.fromkeys([*(data.protocols or entry.model.protocols), *known]))


def chosen_protocols(
    entry: Entry, entries: Sequence[Entry], data: SRDataModule, asked: Sequence[str] | None
) -> list[Protocol]:
    """Those asked for, or the papers'; what makes its own bicubic LR says nothing about a set whose LR is another."""
    others = [e for e in entries if e.name != BASELINE]
    like = others if entry.name == BASELINE and others else [entry]
    names = asked or [n for e in like for n in papers_protocols(e, data)]
    found = [*{p.name: p for p in map(get_protocol, names)}.values()]  # rgb_shave4 and what it stands for are one
    pictures = next((e.pictures for e in like if e.pictures), None)
    own = [p for p in found if p.defines_lr and (pictures or not comparable(data))]
    if own and asked:
        told = f"protocol={own[0].name} makes bicubic LR from HR itself, but"
        if pictures:
            raise UserError(f"{told} the pictures in {pictures} were not made of that: leave it out")
        raise UserError(
            f"{told} the LR of {data.name} is given or made in another way: leave it out, or type degradation=bicubic "
            "and no folder of LR"
        )
    return [p for p in found if p not in own] or [get_protocol("y")]


def refuse_own_lr(protocol: Protocol, data: SRDataModule) -> None:
    """Raises a UserError where validations would be on LR that a protocol makes, and that of the data is another."""
    if not protocol.defines_lr:
        return
    given = [] if data.of_clips else list(dict.fromkeys(p.lr.parent for p in data.val_pairs() if p.lr is not None))
    told = data.of_clips or hasattr(data, "track")  # DIV2K's tracks say what theirs is
    lr = lr_of(data) if told else lr_given(given) if given else lr_made(data)
    if not plain(lr):
        raise UserError(
            f"protocol={protocol.name} makes bicubic LR from HR itself, but the LR of {data.name} that is validated on "
            f"is {lr}: leave it out, or type protocol=y"
        )
