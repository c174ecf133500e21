"""Whether two runs that name one set measured the same images: where bicubic reached another figure, they did not."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sr.scores.score import Score

SAME = 0.005  # dB: values of the baseline that differ by less are of the same images and LR


def told_apart(runs: Iterable[Sequence[Score]], baseline: str) -> list[list[Score]]:
    """The scores of several runs, in which a set of other images, or other LR, than a former run's has its own name.

    The second one is called `<name> (2)`. What a run that did not measure the baseline has, nothing tells apart.

    Args:
        runs: the averages of each.
        baseline: the name of the model that depends on nothing but the images.
    """
    variants: dict[tuple[str, int, int], list[dict[str, float]]] = {}  # by set: the baseline's values by protocol
    found = []
    for scores in runs:
        own: dict[tuple[str, int, int], dict[str, float]] = {}
        for s in scores:
            if s.model == baseline and s.metric == "psnr":
                own.setdefault((s.dataset, s.images, s.scale), {})[s.protocol] = s.value
        names = {}
        for place, values in own.items():
            known = variants.setdefault(place, [])
            alike = (all(abs(former.get(p, v) - v) < SAME for p, v in values.items()) for former in known)
            number = next((n for n, same in enumerate(alike) if same), len(known))
            known[number:] = known[number:] or [{}]
            known[number] |= values
            names[place] = f"{place[0]} ({number + 1})" if number else place[0]
        found.append([replace(s, dataset=names.get((s.dataset, s.images, s.scale), s.dataset)) for s in scores])
    return found


def notes(scores: Iterable[Score], baseline: str) -> list[str]:
    """What to say where `told_apart` gave names."""
    names = dict.fromkeys(s.dataset for s in scores)
    apart = [(name, m[1]) for name in names if (m := re.fullmatch(r"(.+) \(\d+\)", name)) and m[1] in names]
    return [
        f"{name}: not the images, or not the LR, of {former}, as {baseline} differs: only gains over {baseline} compare"
        for name, former in apart
    ]
