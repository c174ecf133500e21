"""What the folders of sweeps and of their rows are called: the same words have the same one."""

import hashlib
import re
from collections.abc import Sequence

from hydra.errors import HydraException

from sr.compose.conf import CONF
from sr.compose.keys import declared
from sr.compose.spelling import FORMER
from sr.compose.words import Job, Words
from sr.sweeps.ablation import Ablation

SEED = "seed=0"  # where none is typed


def swept_over(words: Words) -> list[str]:
    """The keys that have several values or a range, or that may get more another time; a row's name goes first."""
    plain = words.only(lambda key: not key.startswith("hydra"))
    try:
        keys = [(word.key, word.several) for word in plain]
    except HydraException:
        return []  # Hydra will say what is wrong with it
    return sorted((key for key, several in keys if several or declared(key).grows), key=lambda key: key != "ablation")


def sweep_name(words: Words, swept: Sequence[str], ablation: Ablation | None) -> str:
    """Of a sweep's folder: more seeds, more values or more rows of an ablation leave it as it is."""
    growing = {*swept, "seed"}
    fixed = words.only(lambda key: key not in growing and declared(key).named)
    named = [word.value for k in ("model", "experiment") if k not in swept and (word := words.last(k))]
    name = ablation.name if ablation else (named or ["sweep"])[0]
    return f"{re.sub(r'[^-.+_a-zA-Z0-9]+', '-', name)}_{_hash([*fixed.texts, *(f'{key}*' for key in growing)])}"


def row_folder(*swept: str) -> str:
    """The name of the present row's folder: what was swept over, and a hash of all that was typed, and the seed.

    A resolver, ${row_folder:<keys that are swept over>}; the same row has the same name in every sweep. In a sweep's
    folder it keeps the one that it has, whichever keys were swept over then.
    """
    job = Job.current()
    typed = job.words.only(lambda key: declared(key).named)
    parts = []
    for key in swept:
        word = typed.last(key)
        value = word.value if word else ""
        if key == "ablation":
            parts.append(value.rpartition("/")[2])
        elif (CONF / key).is_dir():
            parts.append(value)
        else:
            parts.append(key.rpartition(".")[2] + value)
    name = re.sub(r"[^\w.+-]+", "-", "_".join(parts)).strip("-")[:80]
    known = _hash(typed.texts if "seed" in typed else [*typed.texts, SEED])
    if job.sweep is not None and (found := sorted(job.sweep.glob(f"*{known}"))):
        return found[0].name
    return f"{name}_{known}" if name else known


def _hash(texts: Sequence[str]) -> str:
    for former, now in FORMER["train"].items():  # so that a former sweep is gone on with
        texts = [re.sub(f"^{re.escape(now)}=", f"{former}=", text) for text in texts]
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:8]
