"""The study command: it makes a page that asks people, or says what their answers tell."""

import logging

from omegaconf import DictConfig

from sr.compose.words import Job, listed
from sr.errors import UserError

log = logging.getLogger(__name__)


def study(cfg: DictConfig) -> None:
    """Run a composed conf/study.yaml.

    Raises:
        UserError: what makes a page and what reads its answers are both named.
    """
    job = Job.current()
    if cfg.answers is None:
        if cfg.key is not None:
            raise UserError("key= says which study answers are of: type answers=[...] too")
        from sr.study.making import made

        made(cfg, job.folder)
        return
    others = job.words.without("answers", "key", "out").only(lambda key: not key.startswith("hydra")).texts
    if others:
        raise UserError(f"answers= reads what was answered, {others[0]} is of a page that asks: type one of them")
    from sr.study.reading import told

    told(listed(cfg.answers), cfg.key, job.folder)
