"""What stands below a sweep's table."""

from collections.abc import Mapping, Sequence

from sr.errors import some
from sr.metrics.metric import declared
from sr.metrics.protocols import get_protocol
from sr.runs.together import ANEW, doubts, training, twins_told
from sr.scores import same_images
from sr.scores.score import BASELINE, identical_notes
from sr.scores.text import legend
from sr.sweeps.ablation import Ablation, Column
from sr.sweeps.changed import NAMED, between, edited, not_alike
from sr.sweeps.lines import Line, table_metrics


def notes(
    lines: Sequence[Line], columns: Sequence[Column], ablation: Ablation | None, left_out: Mapping[str, str]
) -> list[str]:
    """Metrics, protocols and sources, and what a reader must know who holds the scores against each other.

    Rows of the ablation that could not run here are in `left_out`, with the reason.
    """
    several = any(len(found) > 1 for line in lines if line.label != BASELINE for found in line.results.values())
    metrics = table_metrics(lines)
    spread = f": mean over seeds, ± sample standard deviation of {declared(metrics[0]).title}" if several else ""
    words = [legend(metrics) + spread, *(note for m in metrics if (note := declared(m).note))]
    words += [f"{name}: {get_protocol(name).description}" for name in dict.fromkeys(c.protocol for c in columns)]
    scores = [s for line in lines for run in line.runs for s in run.scores]
    words += identical_notes(scores) + same_images.notes(scores, BASELINE)
    sources = dict.fromkeys((p.citation, p.kind) for line in lines for p in line.paper.values())
    words += [f"paper: {source}" + (f" ({kind})" if kind else "") for source, kind in sources]
    if ablation and not sources:
        words.append("paper: no published figure could be sourced")
    if ablation and ablation.note:
        words.append(f"note: {ablation.note}")
    for reason in dict.fromkeys(left_out.values()):
        words.append(f"not run: {', '.join(row for row, why in left_out.items() if why == reason)}: {reason}")
    words += not_alike((line.label, line.runs) for line in lines if line.plain)
    runs = [*{run.folder: run for line in lines for run in line.runs}.values()]
    words += between(runs, ablation, words)
    if ablation and (told := dict.fromkeys(text for run in runs for text in edited(run, ablation))):
        what = some(told, NAMED, "; ")
        words.append(f"warning: rows were not trained with what their ablation says now: {what}. {ANEW.capitalize()}")
    return words + doubts(runs) + _alike(lines)


def _alike(lines: Sequence[Line]) -> list[str]:
    """The labels under which one and the same run stands, seed by seed: what tells them apart was not trained.

    And the copies of runs that are not counted.
    """
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        for run in line.runs if line.plain else ():
            if run.status == "damaged":
                continue
            found.setdefault(training(run), {})[line.label] = None
    groups = dict.fromkeys(" and ".join(labels) for labels in found.values() if len(labels) > 1)
    words = [f"note: {labels} are one and the same training: their configs are equal" for labels in groups]
    return words + twins_told(twin for line in lines for twin in line.twins)
