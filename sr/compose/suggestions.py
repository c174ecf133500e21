"""What to type instead of the words that composing refuses."""

import os
import re
from collections.abc import Sequence
from itertools import pairwise

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from sr.compose.conf import CONF
from sr.compose.kinds import kind_wanted, one_value
from sr.compose.known import valid_keys
from sr.compose.words import path_typed
from sr.errors import nearest, some

ELSEWHERE = {  # keys of BasicSR, KAIR, mmagic and others -> how the same is typed here
    **dict.fromkeys(("total_iter", "max_iters", "niter", "num_iters", "iterations", "max_steps"), "steps"),
    **dict.fromkeys(("epochs", "num_epochs", "max_epochs", "nepochs"), "steps (of the optimizer; there are no epochs)"),
    **dict.fromkeys(("gt_size", "gt_patch_size", "h_size", "hr_size"), "hr_patch_size"),
    **dict.fromkeys(("lq_size", "lr_size", "l_size", "crop_size"), "patch_size (LR pixels)"),
    **dict.fromkeys(
        ("batch_size_per_gpu", "samples_per_gpu", "train_batch_size", "dataloader_batch_size", "bs"),
        "batch_size (of all processes together)",
    ),
    **dict.fromkeys(
        ("num_worker_per_gpu", "num_workers", "workers_per_gpu", "dataloader_num_workers", "n_threads", "workers"),
        "data.num_workers",
    ),
    **dict.fromkeys(
        ("pretrain_network_g", "pretrained_netg", "load_from", "pretrain_model_g", "pretrained", "pre_train"),
        "init_from",
    ),
    **dict.fromkeys(("resume_state", "resume_from", "resume_from_checkpoint", "ckpt_path"), "resume"),
    **dict.fromkeys(("manual_seed", "random_seed"), "seed"),
    **dict.fromkeys(("num_gpu", "num_gpus", "n_gpus", "gpus", "gpu_ids"), "trainer.devices (with trainer=ddp)"),
    **dict.fromkeys(("val_freq", "checkpoint_test", "val_interval", "test_every"), "val_every_steps"),
    **dict.fromkeys(("save_checkpoint_freq", "checkpoint_save", "checkpoint_interval"), "save_every_steps"),
    **dict.fromkeys(("network_g", "netg", "net_type", "arch", "generator", "net"), "model"),
    **dict.fromkeys(("upscale", "upscale_factor", "sf", "scale_factor"), "scale"),
    **dict.fromkeys(("lr", "learning_rate", "g_optimizer_lr", "lr_g"), "optimizer.lr"),
    **dict.fromkeys(("optim", "optim_g", "optimizer_g"), "optimizer"),
    **dict.fromkeys(("lr_scheduler", "scheduler_g", "lr_config"), "scheduler"),
    **dict.fromkeys(("pixel_opt", "pixel_loss", "criterion"), "loss"),
    **dict.fromkeys(("ema_decay", "e_decay"), "callbacks.ema.decay (with callbacks=[panels,ema])"),
    **dict.fromkeys(("dataroot_gt", "gt_folder", "dataroot_h", "data_root", "dataset_path"), "data.root, or data_dir"),
    **dict.fromkeys(("dataroot_lq", "lq_folder", "dataroot_l"), "data.train_lr (with data=folder)"),
    **dict.fromkeys(("dataset", "datasets", "train_dataset"), "data"),
    **dict.fromkeys(("crop_border", "test_y_channel"), "protocols, for example protocols=[y,rgb]"),
    **dict.fromkeys(("experiment_name", "exp_name", "save_dir", "output_dir", "work_dir"), "hydra.run.dir"),
    **dict.fromkeys(("use_amp", "amp", "fp16", "precision"), "trainer.precision"),
    **dict.fromkeys(("grad_clip", "use_grad_clip", "gradient_clip"), "trainer.gradient_clip_val"),
    **dict.fromkeys(("gradient_accumulation_steps", "accumulate_grad_batches"), "accumulate"),
    "degradation_type": "degradation",
    "logger.wandb.mode": "logger (csv: no W&B); WANDB_MODE=offline in the environment, W&B without a network",
}  # fmt: skip

FLAGS = {  # of other programs that enlarge pictures
    "-i": "input", "-o": "output", "-n": "model", "-s": "outscale", "-t": "tile", "-f": "format", "-g": "device",
}  # fmt: skip

TAKING = (
    "--config-dir",
    "-cd",
    "--config-name",
    "-cn",
    "--config-path",
    "-cp",
    "--package",
    "-p",
    "--cfg",
    "-c",
)  # a word behind them


def explained(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """An error of Hydra's or OmegaConf's as one that says what to type; nothing of how they work.

    Args:
        error: as composing raised it.
        command: train, evaluate, ...
        arguments: that were typed.
    """
    text = f"{error}\n{error.__cause__ or ''}"
    if (option := re.search(r"Could not (?:find|load) '(\w+)/([^']+)'", text)) and os.path.exists(option[2]):
        return f"{option[1]}={option[2]}: {option[1]}= takes a name. Type {_as_path(option[2], command, option[1])}"
    if option := re.search(r"Could not (?:find|load) '([\w/]+)/([^'/]+)'", text):
        group, name = option.groups()
        return f"{group}={name}: there is no such {group}. {_instead(group, name) or one_of(group, name)}"
    if (there := re.search(r"An item is already at '([^']+)'", text)) is not None:
        return f"{there.group(1)} is there already: type it without the +"
    if key := re.search(r"(?:Could not override|Key) '([^']+)'", text):
        full_key = re.search(r"full_key: (\S+)", text)
        name = full_key.group(1) if full_key else key.group(1)
        return no_such_key(name, key.group(1), valid_keys(command, arguments, key.group(1)))
    if several := re.match(r"Ambiguous value for argument '(.*)'", str(error)):
        return one_value(several.group(1).removeprefix("++"), command, arguments)
    if gone := re.match(r"Could not delete.* '([^']+)'", str(error)):
        return no_such_key(gone.group(1), gone.group(1), valid_keys(command, arguments, gone.group(1)))
    if choice := re.match(r"You must specify '(\w+)'", str(error)):
        return f"type {choice.group(1)}=...: {one_of(choice.group(1), '')}"
    typed_words = [word for flag, word in pairwise(["", *arguments]) if flag not in TAKING]
    if unreadable := list(filter(None, (_unreadable(word, command) for word in typed_words))):
        return unreadable[0]
    cause = re.sub(r"field '\w+' is not Optional", "cannot be null", str(error.__cause__ or ""))
    cause = re.sub(r"\s*(full_key|object_type|reference_type).*", "", cause)
    if str(error).startswith("Error merging override "):
        typed = str(error).removeprefix("Error merging override ").lstrip("+")
        return f"{typed}: {kind_wanted(typed, command) or _number_wanted(typed, cause) or cause}"
    kept = re.sub(r"\n\s*(full_key|object_type|reference_type|See https|Config search path|provider).*", "", str(error))
    return f"{kept.strip()}{f': {cause}' if cause else ''}"


def _number_wanted(typed: str, cause: str) -> str:
    """In place of OmegaConf's words about types."""
    if not (found := re.search(r"Value '([^']*)' of type '\w+' could not be converted to (Integer|Float)", cause)):
        return ""
    if found[2] == "Float":
        return "a number is wanted"
    try:
        number = float(found[1])
    except ValueError:
        number = 0.5
    return "a whole number is wanted" + (f": {typed.partition('=')[0]}={number:.0f}" if number.is_integer() else "")


def _as_path(path: str, command: str, group: str = "") -> str:
    """How a path is typed for a command, in place of one of conf/`group`, where that is told."""
    if group == "data":
        return f"data=folder {path_typed('data.root', path)}"
    keys = {"train": "init_from", "upscale": "model" if group else "input", "export": "model", "compare": "runs"}
    return path_typed(keys.get(command, "checkpoint"), path)


def _unreadable(argument: str, command: str) -> str:
    """What is wrong with a word that Hydra's grammar does not take."""
    if argument.startswith("-"):
        return ""  # a flag, or what stands behind one
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        if "=" not in argument:
            groups = [p.name for p in CONF.iterdir() if p.is_dir()]
            found = [f"{group}={argument}" for group in sorted(groups) if argument in options(group)]
            if not found and os.path.exists(argument):
                found = [_as_path(argument, command)]
            return f"{argument}: what is typed is key=value.{f' Did you mean {found[0]}?' if found else ''}"
        return (
            f"{argument}: cannot be read. A value with spaces, commas, brackets, quotes, = or $ needs its own quotes "
            "within those of the shell: \"data.train='a folder, with=signs'\""
        )
    return ""


def one_of(group: str, name: str) -> str:
    """The option of a group that is nearest to a name, or what there is; "" for a group of Hydra's own."""
    known = options(group)
    return nearest(name, known).strip() or (f"There are {some(known, 60)}" if known else "")


def options(group: str) -> list[str]:
    """The names in a config group, in order."""
    files = (CONF / group).rglob("*.yaml")
    return sorted(p.relative_to(CONF / group).with_suffix("").as_posix() for p in files)


def _has(group: str, option: str, key: str) -> bool:
    """Whether an option of a group has a key, itself or of what it begins with (`/data_settings@_here_`)."""
    node = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
    assert isinstance(node, dict)
    shared = [str(entry).partition("@") for entry in node.get("defaults", ())]
    files = [CONF / f"{name.lstrip('/')}.yaml" for name, _, place in shared if place == "_here_"]
    return key in node or any(key in OmegaConf.load(file) for file in files)


def _instead(group: str, name: str) -> str:
    """What to type for a name that stands for several; empty where it stands for nothing."""
    if (group, name) == ("data", "paper"):
        return "data=paper is the set that the recipe names (paper.data), and this one names none: type data=div2k"
    if group != "experiment":
        return ""
    run, _, scale = name.partition("_x")
    rest = f"{f' scale={scale}' if scale else ''} data=paper"
    if run in options("model"):
        return f"Type model={run}{rest}"
    return f"Type recipe={run}{rest} and the model that the recipe is for" if run in options("recipe") else ""


def no_such_key(name: str, typed: str, valid: Sequence[str]) -> str:
    """That there is no such key, and what to type instead; else the keys beside it.

    Args:
        name: of the key.
        typed: what stands below it where that was typed, else the same.
        valid: every key and group that there is.
    """
    return f"{name}: there is no such key. {_instead_of(name, typed, valid)}".rstrip()


def _instead_of(name: str, typed: str, valid: Sequence[str]) -> str:
    parent, _, last = name.rpartition(".")
    if name in valid and (CONF / name).is_dir():
        return "It is chosen in other commands"
    if parent in valid and (longer := [k for k in valid if k.startswith(f"{parent}.") and k.endswith(f"_{last}")]):
        return f"Did you mean {' or '.join(longer)}?"  # data.lr: data.train_lr
    if parent and (having := [option for option in options(parent) if _has(parent, option, last)]):
        return f"It is a key of {parent}={', '.join(having)}: leave it out with another {parent}"
    for words in (typed.rpartition(".")[2], last, name):
        here = ELSEWHERE.get(words.lower(), "")
        if re.split("[ .,]", here)[0] in valid:
            return f"Here it is {here}"
    beside = [k for k in valid if parent and k.rpartition(".")[0] == parent]
    if hint := nearest(name, beside or valid).strip():
        return hint
    return f"Keys of {parent}: {some([k.rpartition('.')[2] for k in beside], 40)}" if beside else ""
