"""Going on with a run: where it is, and what of a command line may change in it."""

from pathlib import Path

from omegaconf import OmegaConf

from sr.compose.keys import declared
from sr.compose.words import Words, quoted
from sr.errors import UserError
from sr.runs import composed


def with_resumed_run(words: Words) -> Words:
    """`resume=last` or `resume=<run folder>` becomes a command in the run's own folder, with what may change in it.

    Raises:
        UserError: there is no such run, or what was typed beside it changes what the run was begun with.
    """
    value = words.value("resume")
    if value is None or "hydra.run.dir" in words:
        return words
    folder = (last_run(Path("outputs")) if value == "last" else run_folder(Path(value))).resolve()
    run = composed.read(folder)
    texts = []
    for word in words.without("resume"):
        if not declared(word.key).fixed:
            # Hydra composes with another model and data set than the run's, which may not have this key.
            add = "." in word.key and not word.key.startswith("hydra") and word.text[0] not in "+~"
            texts.append(f"++{word.text}" if add else word.text)
        elif not run.has(word):
            then = OmegaConf.select(run.config, f"choices.{word.key}") or OmegaConf.select(run.config, word.key)
            raise run.refusal(word.key, then, word.value, words)
    path = quoted(folder)
    return Words([*texts, f"resume={path}", f"hydra.run.dir={path}", "hydra.output_subdir=null"])


def run_folder(path: Path) -> Path:
    """The run folder that `path` is or lies in, which must hold a checkpoint to go on from."""
    for folder in (path, *path.parents[:2]):
        if (folder / "checkpoints" / "last.ckpt").is_file():
            return folder
    found = "it does not exist" if not path.exists() else "there is no checkpoints/last.ckpt in it"
    raise UserError(
        f"resume={path}: not a run that can be continued: {found}. Give a run folder "
        "(outputs/<model>_x<scale>/<time>), or resume=last for the newest one"
    )


def last_run(outputs: Path) -> Path:
    """The run below `outputs` whose last checkpoint is the newest."""
    found = list(outputs.glob("**/checkpoints/last.ckpt"))
    if not found:
        raise UserError(
            f"resume=last: no run with a checkpoint below {outputs.resolve()}. Runs started from another "
            "folder are found with resume=<run folder>"
        )
    return max(found, key=lambda p: p.stat().st_mtime).parents[1]
