"""Whether two runs that name one set measured the same images, made small in the same way.

Where LR was made in another way, or bicubic reached another figure, they did not.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from math import isclose

from sr.metrics.metric import declared
from sr.metrics.protocols import get_protocol
from sr.scores.published import (
    IMAGES,
    OF_OTHERS,
    READ,
    kind_of_lr,
    plain,
    published,
    told_lr,
    told_of_others,
)
from sr.scores.score import BASELINE, FIRST, Score, alike

Place = tuple[str, int, int]  # set, images, scale
Values = dict[tuple[str, str], float]  # by protocol and metric
MIDDLE = " middle "  # behind a set's name, of whose images the middle was measured
# By how much bicubic differs where images or LR are others than the papers': PSNR in dB, and SSIM, which sees LR of
# area averaging, whose PSNR at x4 happens to be the same.
ANOTHER = {"psnr": 0.2, "ssim": 0.004}


def told_apart(runs: Iterable[Sequence[Score]], baseline: str) -> list[list[Score]]:
    """The scores of several runs, in which a set of other images, or other LR, than a former run's has its own name.

    The second one is called `<name> (2)`, and its scores say `apart_from` which. What a run has that did not measure
    the baseline, and does not tell how LR was made, nothing tells apart.

    Args:
        runs: the averages of each.
        baseline: the name of the model that depends on nothing but the images.
    """
    runs = [list(scores) for scores in runs]
    taken = {s.dataset for scores in runs for s in scores}
    variants: dict[Place, list[Values]] = {}  # the baseline's
    made: dict[Place, list[str]] = {}  # how LR was made, "" where it is not known
    found = []
    for scores in runs:
        kinds = {(s.dataset, s.images, s.scale): kind_of_lr(s.lr) for s in scores if s.lr}
        own: dict[Place, Values] = {place: {} for place in kinds}
        for s in scores:
            if s.model == baseline:
                own.setdefault((s.dataset, s.images, s.scale), {})[s.protocol, s.metric] = s.value
        names = {}
        for place, values in own.items():
            known, known_kinds, kind = variants.setdefault(place, []), made.setdefault(place, []), kinds.get(place, "")
            alike = (  # of LR that was read the baseline tells more
                (not kind or not of or kind == of or (READ in (kind, of) and former.keys() & values.keys()))
                and same(former, values)
                for former, of in zip(known, known_kinds, strict=True)
            )
            number = next((n for n, same in enumerate(alike) if same), len(known))
            if number == len(known):
                known.append({})
                known_kinds.append("")
            known[number] = values | known[number]  # the first values stay: else many small steps would go anywhere
            known_kinds[number] = known_kinds[number] or kind
            if number:
                names[place] = _numbered(place[0], number, taken)
        found.append([_renamed(s, names.get((s.dataset, s.images, s.scale))) for s in scores])
    return found


def same(former: Mapping[tuple[str, str], float], values: Mapping[tuple[str, str], float]) -> bool:
    """Whether what the baseline reached, by protocol and metric, is alike wherever both are known."""
    both = former.keys() & values.keys()
    first = {key for key in both if key[1] == FIRST}
    # Of the same images another value by far is that of a metric whose code was changed.
    return all(alike(former[key], values[key], key[1]) for key in first or both) and all(
        alike(former[key], values[key], key[1]) or isclose(former[key], values[key], rel_tol=0.01) for key in both
    )


def _numbered(name: str, number: int, taken: Container[str]) -> str:
    """`<name> (2)` for 1, and so on; past the names that sets of a user's own have."""
    free = (numbered for n in count(2) if (numbered := f"{name} ({n})") not in taken)
    return next(islice(free, number - 1, None))


def _renamed(score: Score, name: str | None) -> Score:
    return score if name is None else replace(score, dataset=name, apart_from=score.dataset)


def notes(scores: Iterable[Score], baseline: str) -> list[str]:
    """What to say where `told_apart` gave names, a line for each reason, and of sets that are not the papers'."""
    scores = list(scores)
    formers = {s.dataset: s.apart_from for s in scores}
    lr = {s.dataset: s.lr for s in scores if s.lr}
    plainly = {(s.dataset, s.scale) for s in scores if plain(s.lr) or get_protocol(s.protocol).defines_lr}
    odd: dict[tuple[str, str], set[int]] = {}  # scales, by set and LR
    for s in scores:
        if s.lr and (s.dataset, s.scale) not in plainly and s.apart_from not in formers:
            odd.setdefault((s.dataset, s.lr), set()).add(s.scale)
    others = [told_lr(_at(scores, name, scales), own) for (name, own), scales in odd.items()]
    others += told_unlike(unlike_papers(s for s in scores if not s.lr or plain(s.lr))) + parts(scores)
    others += [told_of_others(name, own) for name, own in lr.items() if OF_OTHERS in own]
    names: dict[str, list[str]] = {}
    for name, former in formers.items():
        if former in formers:
            why = f"not the images, or not the LR, of {former}, as {baseline} differs"
            if name in lr and former in lr and kind_of_lr(lr[name]) != kind_of_lr(lr[former]):
                why = f"its LR is {lr[name]}, that of {former} is {lr[former]}"
            names.setdefault(why, []).append(name)
    apart = [f"{', '.join(alike)}: {why}: only gains over {baseline} compare" for why, alike in names.items()]
    return others + apart


def parts(scores: Iterable[Score]) -> list[str]:
    """The sets of which other numbers of images were measured than the papers have."""
    counts: dict[str, set[int]] = {}
    scores = list(scores)
    whole = {s.dataset: IMAGES.get(s.dataset.partition(MIDDLE)[0]) for s in scores}
    for s in scores:
        # Of some protocols not all frames count; of Vimeo-90K the papers' is one frame of each clip.
        if (ends := get_protocol(s.protocol).ends) == 0 or (ends is None and s.dataset.startswith("Vimeo90K")):
            counts.setdefault(s.dataset, set()).add(s.clips if s.clips == whole[s.dataset] else s.images)
    told = {name: " or ".join(map(str, sorted(here))) + " image" + "s" * (here != {1}) for name, here in counts.items()}
    return [
        f"{name}: {told[name]} here, the papers' figures are of {whole[name]}"
        for name, here in counts.items()
        if whole[name] and here != {whole[name]}
    ]


def _at(scores: Sequence[Score], dataset: str, scales: Container[int]) -> str:
    """A set's name, with the scales that are meant where there are others."""
    every = sorted({s.scale for s in scores if s.dataset == dataset})
    meant = [f"x{scale}" for scale in every if scale in scales]
    return dataset if len(meant) == len(every) else f"{dataset} {', '.join(meant)}"


def unlike_papers(means: Iterable[Score]) -> dict[tuple[str, int], str]:
    """Whole sets, by name and scale, on which bicubic has another figure than in the papers, with both.

    Of these they have other images, or other LR, whatever its folder is called.
    """
    found: dict[tuple[str, int], str] = {}
    for s in means:
        # SSIM of other protocols is not everywhere that of the papers.
        if s.model != BASELINE or s.metric not in ANOTHER or (s.metric == "ssim" and not s.protocol.startswith("y")):
            continue
        known = published(BASELINE, s.scale, s.dataset, s.protocol, s.images)
        if known is None and s.protocol.startswith("y"):  # of which the papers know one, a hundredth apart from ours
            known = published(BASELINE, s.scale, s.dataset, "y_classic", s.images)
        paper = known.values.get(s.metric) if known is not None else None
        if paper is not None and abs(paper - s.value) > ANOTHER[s.metric]:
            text, unit = declared(s.metric).text, "dB" if s.metric == "psnr" else "SSIM"
            found.setdefault((s.dataset, s.scale), f"{text(s.value)} {unit} there, {text(paper)} in the papers")
    return found


def told_unlike(others: Mapping[tuple[str, int], str]) -> list[str]:
    """What to say of sets that `unlike_papers` found."""
    return [
        f"note: {dataset} x{scale} is of other images or other LR than the papers': bicubic has {told}"
        for (dataset, scale), told in others.items()
    ]
