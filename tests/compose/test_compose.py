"""Composition as typed on the command line: recipes, precedence, errors that name the nearest valid word."""

import re
from pathlib import Path

import pytest
import yaml
from at_once import at_once
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import OmegaConf

from sr.compose.refusals import refuse_meaningless
from sr.compose.suggestions import ELSEWHERE, no_such_key
from sr.compose.words import Words

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(p.stem for p in (ROOT / "conf/model").glob("*.yaml"))


def composed(command, *arguments: str) -> dict:
    outcome = command("train.py", *arguments, "--cfg", "job", "--resolve")
    assert outcome.code == 0, outcome
    return yaml.safe_load(outcome.out)


def test_a_model_brings_its_papers_recipe(command):
    cfg = composed(command, "model=bsrn")
    assert (cfg["steps"], cfg["batch_size"], cfg["patch_size"]) == (1_000_000, 64, 48)
    assert cfg["optimizer"]["lr"] == 1e-3
    assert cfg["scheduler"]["T_max"] == 1_000_000  # follows the steps


def test_a_named_size_falls_back_to_its_family(command):
    assert composed(command, "model=ecbsr_m4c16")["optimizer"]["lr"] == 5e-4
    assert composed(command, "model=bsrn_s")["batch_size"] == 256  # has one of its own


def test_what_the_user_types_wins_over_the_recipe(command):
    cfg = composed(command, "model=bsrn", "loss=l2", "scheduler=halve", "optimizer.lr=0.5", "steps=7", "batch_size=3")
    assert "l2" in cfg["loss"]["terms"] and "l1" not in cfg["loss"]["terms"]
    assert cfg["scheduler"]["_target_"].endswith("StepLR")
    assert (cfg["optimizer"]["lr"], cfg["steps"], cfg["batch_size"]) == (0.5, 7, 3)


def test_another_recipe_may_be_chosen(command):
    cfg = composed(command, "model=bsrn", "recipe=edsr")
    assert cfg["loss"]["value_range"] == 255 and cfg["batch_size"] == 16


def test_a_model_without_a_recipe_gets_the_base_one(command, tmp_path: Path):
    (tmp_path / "more/model").mkdir(parents=True)
    (tmp_path / "more/model/unheard_of.yaml").write_text("_target_: sr.models.edsr.EDSR\nscale: ${scale}\n")
    cfg = composed(command, "--config-dir", str(tmp_path / "more"), "model=unheard_of")
    assert cfg["batch_size"] == 16 and cfg["steps"] == 300_000


@pytest.mark.parametrize(
    "typed",
    [
        ["train.py", "model=bsrn", "data.root=nowhere", "model=rlfn"],
        ["train.py", "-m", "seed=0,1", "seed=2", "data.root=nowhere"],
        ["train.py", "data.root=nowhere", "optimizer.lr=1e-3", "++optimizer.lr=1e-4"],
        ["evaluate.py", "data=[set5]", "benchmarks=[set14]"],
    ],
)
def test_of_a_key_that_is_typed_with_two_values_the_last_holds_and_is_told(command, caplog, typed):
    command(*typed)
    told = next(message for message in caplog.messages if "the last one typed holds" in message)
    assert sum(word.partition("=")[2] in told for word in typed if "=" in word) >= 2


def test_a_word_may_be_repeated_and_a_key_of_a_sweep_has_several_values(caplog):
    refuse_meaningless("train", Words(["model=bsrn", "model='bsrn'", "seed=0,1", "hydra.run.dir=a", "hydra.run.dir=b"]))
    assert not caplog.messages


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["-m", "--cfg", "job"], "-m and --cfg exclude each other: leave -m out and give each key one value"),
        (["--info", "--multirun"], "-m and --info exclude each other"),
        (["--cfg=job", "--info"], "--cfg and --info exclude each other: type one"),
        (["--experimental-rerun", "a.pickle"], "there is no --experimental-rerun: a run goes on by resume=RUN"),
        (["--shell-completion"], "--shell-completion is typed with install=bash"),
        (["-cn", "evaluate"], "--config-name=evaluate is another command: sr evaluate"),
        (["--resolve"], "type --cfg job --resolve"),
    ],
)
def test_flags_that_exclude_each_other_are_refused_in_a_sentence(command, flags, told):
    done = command("train.py", flags[0], "model=bsrn", *flags[1:], "seed=0")
    assert done.code == 1 and done.err.startswith("error: sr train: ") and told in done.err, done
    assert len(done.err.splitlines()) == 1 and not done.folder.exists()


@pytest.mark.parametrize("model", MODELS)
def test_every_model_composes(command, model):
    assert composed(command, f"model={model}")["model"]["_target_"]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("modle=bsrn", "Did you mean model"),
        ("model=bsnr", "Did you mean bsrn"),
        ("stepz=3", "Did you mean steps"),
        ("frozen=head", "error: frozen=head: a list is wanted here, frozen=[head]"),
        ("~callbacks", "error: ~callbacks: for none of them type callbacks=[]"),
        ("crop_border=4", "Here it is protocols, for example protocols=[y,rgb]"),
        ("~budget", "error: ~budget: one of the group is needed. There are hour"),
        ("--resume", "error: sr train: there is no flag --resume: type resume=..."),
        ("--lr=1e-4", "error: sr train: there is no flag --lr: type optimizer.lr=1e-4"),
        ("--config", "error: sr train: there is no flag --config: what is typed is key=value"),
        ("data.workers=3", "error: data.workers: there is no such key. Did you mean data.num_workers?"),
        ("+step=3", "error: step: there is no such key. Did you mean steps?"),
        ("+budget.step=3", "error: budget.step: there is no such key. Did you mean budget.steps?"),
        ("model.chanels=3", "Did you mean model.channels"),
        ("optimizer.lrr=1", "Did you mean optimizer.lr"),
        ("recipe=nothing", "recipe=nothing: there is no such recipe. There are base, basicvsr"),
        ("steps=many", "error: steps=many: a whole number is wanted\n"),
        ("steps=1e4", "error: steps=1e4: a whole number is wanted: steps=10000"),
        ("budget=smok", "Did you mean smoke"),
        ("model=BSRN", "Did you mean bsrn?"),
        pytest.param("data=DIV2K", "Did you mean div2k?", marks=pytest.mark.slow),
        pytest.param("loss=L1", "Did you mean l1?", marks=pytest.mark.slow),
        ("data=sett5", "Did you mean set5?"),
        pytest.param("model=edsr-baseline", "Did you mean edsr_baseline?", marks=pytest.mark.slow),
        ("total_iter=5", "Here it is steps"),
        pytest.param("gt_size=128", "Here it is hr_patch_size", marks=pytest.mark.slow),
        ("datasets.train.gt_size=128", "Here it is hr_patch_size"),
        pytest.param("pretrain_network_g=x.pth", "Here it is init_from", marks=pytest.mark.slow),
        pytest.param("num_worker_per_gpu=3", "Here it is data.num_workers", marks=pytest.mark.slow),
        ("batch_size_per_gpu=3", "Here it is batch_size (of all processes together)"),
        pytest.param("lr=1e-4", "Here it is optimizer.lr", marks=pytest.mark.slow),
        (
            "data.lr=null",
            "It is a key of data=b100, div2k100, manga109, reds, set14, set5, udm10, urban100, vid4, vimeo90k: leave",
        ),
        pytest.param("optimizer.momentum=0.5", "It is a key of optimizer=muon, sgd: leave", marks=pytest.mark.slow),
        ("bsrn", "Did you mean model=bsrn?"),
        ("steps=1,2", "steps=1,2: one value is wanted here; with -m several are a sweep"),
        ("model=null", "model=null: choose one of the group by its name. There are basicvsr, bicubic, bsrn"),
        ("loss=[]", "loss=[]: choose one of the group by its name. There are "),
        ("budget=[]", "budget=[]: choose one of the group by its name"),
        pytest.param("trainer=[]", "choose one of the group by its name", marks=pytest.mark.slow),
        pytest.param("degradation=null", "choose one of the group by its name", marks=pytest.mark.slow),
        pytest.param("loss=[l1,l2]", "choose one of the group by its name", marks=pytest.mark.slow),
        ("callbacks=[{_target_: x.Y}]", "options of the group are chosen by their names, as callbacks=[a,b]"),
        pytest.param("callbacks=[1]", "There are adjustable_clipping, ema", marks=pytest.mark.slow),
        pytest.param("loss=[{a: 1}]", "choose one of the group by its name", marks=pytest.mark.slow),
        ("init_from=", "init_from=: nothing stands behind the =. Is a variable of the shell empty?"),
        ("+hydra.job.env_set.WANDB_API_KEY=abc", "before the command: export WANDB_API_KEY=..."),
        ("+hydra.launcher.additional_parameters.export='ALL,HF_TOKEN=abc'", "before the command: export HF_TOKEN=..."),
        ("hydra.job.env_copy=[WANDB_API_KEY]", "before the command: export WANDB_API_KEY=..."),
        ("resume=''", "nothing stands behind the ="),
        pytest.param("model=", "nothing stands behind the =", marks=pytest.mark.slow),
        pytest.param("data.root=[a", "data.root=[a: cannot be read", marks=pytest.mark.slow),
        pytest.param("+stages=3", "stages is there already: type it without the +", marks=pytest.mark.slow),
        pytest.param("callbacks=[nope]", "There are adjustable_clipping, ema", marks=pytest.mark.slow),
        ("data.root=caf\udce9", "not UTF-8"),
    ],
)
def test_a_wrong_word_is_refused_with_the_nearest_right_one_and_nothing_else(command, typed, hint):
    outcome = command("train.py", typed)
    assert outcome.code == 1 and hint in outcome.err and outcome.err.startswith("error: "), outcome
    assert len(outcome.err.splitlines()) == 1 and "Hydra" not in outcome.err and "HYDRA" not in outcome.err, outcome
    assert not (outcome.folder / "checkpoints").exists()


@pytest.mark.parametrize(
    ("command_", "word", "told"),
    [
        ("evaluate", "model={}", "model= takes a name. Type checkpoint={}"),
        ("measure", "model=[{}]", "model= takes a name. Type checkpoint={}"),
        ("train", "data={}", "data= takes a name. Type data=folder data.root={}"),
        ("train", "{}", "what is typed is key=value. Did you mean init_from={}?"),
        ("compare", "{}", "what is typed is key=value. Did you mean runs={}?"),
        ("evaluate", "{}", "what is typed is key=value. Did you mean checkpoint={}?"),
    ],
)
def test_a_path_in_a_names_place_is_told_its_own(command, tmp_path, command_, word, told):
    outcome = command(f"{command_}.py", word.format(tmp_path))
    assert outcome.code == 1 and told.format(tmp_path) in outcome.err, outcome


def test_wandbs_own_word_for_its_mode_is_answered():
    assert "WANDB_MODE=offline" in no_such_key("logger.wandb.mode", "logger.wandb.mode", ["logger", "logger.wandb"])


def test_what_a_key_of_another_toolbox_is_called_here_exists(command):
    cfg = composed(command, "callbacks=[panels,ema]", "data=folder")
    for here in {re.split("[ ,]", words)[0] for words in ELSEWHERE.values()} - {"hydra.run.dir"}:
        node = cfg
        for part in here.split("."):
            assert part in node, here
            node = node[part]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("seed=-1", "seed=-1: must be 0 or more and 4,294,967,295 at most"),
        pytest.param("batch_size=1000000000", "must be 1 or more and 65,536 at most", marks=pytest.mark.slow),
        pytest.param("accumulate=0", "accumulate=0: must be 1 or more", marks=pytest.mark.slow),
        pytest.param("save_every_steps=0", "save_every_steps=0: must be 1 or more", marks=pytest.mark.slow),
        pytest.param("data.num_workers=9999", "data.num_workers=9999 must be from 0 to", marks=pytest.mark.slow),
        ("optimizer.lr=nan", "optimizer.lr=nan: give a finite number"),
        pytest.param("scheduler.step_size=0", "scheduler.step_size=0: must be 1 or more", marks=pytest.mark.slow),
        pytest.param("+stages={a: {steps: -4}}", "stages.a.steps=-4: must be 1 or more", marks=pytest.mark.slow),
        pytest.param("+stages={a: 3}", "stages.a=3: a stage is what changes in it", marks=pytest.mark.slow),
        pytest.param("+stages={a: {loss: l1}}", "stages.a.loss=l1: a stage changes settings", marks=pytest.mark.slow),
        ("+loss@losses.mine=l1", "losses.mine: no stage of this run takes this loss. It has no stages"),
        ("optimizer.betas=[2,3]", "Invalid beta parameter at index 0: 2"),
        pytest.param(
            "+stages={a: {scheduler: {gamma: one}}}", "stages.a.scheduler.gamma='one'", marks=pytest.mark.slow
        ),
        (
            "+stages={a: {scheduler: {_target_: torch.optim.lr_scheduler.ConstantLR, _partial_: true, factor: 3}}}",
            "Constant",
        ),
        pytest.param(
            "trainer.devices=[1]", "trainer (trainer=auto takes what this machine has)", marks=pytest.mark.slow
        ),
        pytest.param("trainer.strategy=nope", "invalid strategy name", marks=pytest.mark.slow),
        ("loss=adversarial", "sees images of 3 colours, SRCNN works on 1 (Y)"),
        pytest.param("hydra.run.dir=/dev/null/run", "Not a directory", marks=pytest.mark.slow),
        pytest.param(
            "callbacks.panels=3", "callbacks.panels=3: settings with a _target_ are wanted", marks=pytest.mark.slow
        ),
        pytest.param(
            "+callbacks.x._target_=os.getcwd",
            "callbacks.x: os.getcwd builds a str, which is no Callback",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "+logger.x._target_=os.getcwd",
            "logger.x: os.getcwd builds a str, which is no Logger",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "stages={a: {}, b: {init_from: best}}",
            "stages.b.init_from=best: stage 1 is never validated",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "parameter_groups={nope: {lr_factor: 0.1}}", "the model has nothing named 'nope'", marks=pytest.mark.slow
        ),
    ],
)
def test_what_cannot_be_is_told_before_the_first_step_without_a_traceback(command, typed, hint):
    begin = ["model=srcnn", "scale=2", "trainer=cpu", "budget=smoke", "benchmarks=[]"]
    outcome = command("train.py", *begin, "val_every_steps=5", typed)
    assert outcome.code == 1 and hint in outcome.err and outcome.err.startswith("error: "), outcome
    assert not (outcome.folder / "checkpoints").exists()


@pytest.mark.parametrize("typed", ["callbacks=null", "experiment=null", "logger=null", "ablation=null"])
def test_null_is_none_where_none_may_be(command, typed):
    cfg = composed(command, typed)
    assert not cfg.get(typed.partition("=")[0])


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("model.channels=wide", "model.channels='wide'"),
        ("+model.depth=3", "no such argument"),
        ("trainer.devices=[a,b]", "trainer"),
        ("optimizer.lr=abc", "optimizer.lr='abc': torch.optim.Adam wants float"),
        ("optimizer_state=new", "error: optimizer_state=new: there are 'fresh' and 'kept'"),
        ("+optimizer.learning_rate=1", "optimizer.learning_rate: torch.optim.Adam has no such argument"),
        ("model._target_=os.getcwd", "is not a super-resolution model"),
        ("model._target_=nowhere.Net", "there is no such class"),
    ],
)
def test_a_wrong_argument_of_a_target_is_refused_before_anything_is_built(command, typed, hint):
    outcome = command("train.py", "model=edsr_baseline", typed, "budget=smoke")
    assert outcome.code == 1 and hint in outcome.err and "Traceback" not in outcome.err, outcome
    assert "Error getting" not in outcome.out + outcome.err, outcome


@pytest.mark.parametrize("name", ["train", "evaluate", "measure", "upscale", "export", "compare", "figure", "study"])
def test_help_names_the_groups_and_examples(command, name):
    outcome = command(f"{name}.py", "--help")
    assert outcome.code == 0 and "Often used" in outcome.out and f"\nsr {name} " in outcome.out
    assert name != "train" or "model: basicvsr, bicubic" in outcome.out


def test_a_key_of_a_stage_is_typed_without_a_plus_and_a_stage_that_there_is_not_is_refused(command, tmp_path):
    (tmp_path / "more/recipe").mkdir(parents=True)
    (tmp_path / "more/recipe/own.yaml").write_text(
        "# @package _global_\ndefaults: [/loss: l1, /optimizer: adam, /scheduler: halve, _self_]\nstages: {mine: {}}\n"
    )
    stages = composed(command, "model=rlfn", "stages.third.steps=1000", "stages.first.optimizer.lr=1e-5")["stages"]
    assert stages["third"]["steps"] == 1000 and stages["first"]["optimizer"]["lr"] == 1e-5
    own = ["--config-dir", str(tmp_path / "more"), "recipe=own", "stages.mine.steps=7"]
    assert composed(command, *own)["stages"]["mine"]["steps"] == 7
    outcome = command("train.py", "model=rlfn", "stages.thrid.steps=1000")
    assert outcome.code == 1 and "stages.thrid: there is no such key. Did you mean stages.third?" in outcome.err


def test_a_command_composes_once(command, tmp_path, monkeypatch):
    """Hydra itself does twice, to see whether it is a sweep; a config file may still say so."""
    more, asked = tmp_path / "more", list[RunMode]()
    more.mkdir()
    (more / "swept.yaml").write_text("defaults: [measure, _self_]\nhydra: {mode: MULTIRUN}\n")
    load = ConfigLoaderImpl.load_configuration

    def counted(self, **given):
        if given.get("from_shell"):  # the command's own, not that of a model that it measures
            asked.append(given["run_mode"])
        return load(self, **given)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    typed = "model=bicubic", "rounds=0"
    assert command("measure.py", *typed).code == 0 and asked == [RunMode.RUN]
    record = OmegaConf.load(tmp_path / "run/.hydra/hydra.yaml").hydra
    assert record.mode == "RUN" and record.overrides.hydra[-1] == "hydra.mode=RUN"
    swept = ["--config-dir", str(more), "--config-name", "swept", f"hydra.sweep.dir={tmp_path / 'rows'}"]
    assert command("measure.py", *swept, *typed).code == 0
    assert asked[1:] == [RunMode.RUN, RunMode.MULTIRUN] and (tmp_path / "rows/0").is_dir()


NAMED = "&a [x, x, x, x, x, x, x, x, x]"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"_target_: [", r"model/odd\.yaml, line 2: "),
        (b"a: 1\n\tb: 2", r"model/odd\.yaml, line 2: "),
        (b"a: 1\na: 2", r"model/odd\.yaml, line 2: found duplicate key a"),
        (b"a: !!python/object/apply:os.getcwd []", r"model/odd\.yaml, line 1: could not determine a constructor"),
        (b"\xff\xfe", r"model/odd\.yaml cannot be read: 'utf-8'"),
        (
            "\n".join([f"a0: {NAMED}", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))])
            .replace("&a [", "&a0 [")
            .encode(),
            r"model/odd\.yaml is refused: it holds values within values without end",
        ),
        (b"defaults: [odd]", "configs name each other in their defaults without end"),
        (b"defaults: 7", "defaults must be a list"),
    ],
)
def test_a_config_of_a_typed_folder_that_is_odd_is_told_at_once(command, tmp_path, content, told):
    (tmp_path / "more/model").mkdir(parents=True)
    (tmp_path / "more/model/odd.yaml").write_bytes(content)
    outcome = command("train.py", "--config-dir", str(tmp_path / "more"), "model=odd", "--cfg", "job")
    assert outcome.code == 1 and re.search(told, outcome.err) and "Traceback" not in outcome.err, outcome


def test_what_a_config_names_it_may_repeat(command, tmp_path):
    (tmp_path / "more/model").mkdir(parents=True)
    (tmp_path / "more/model/mine.yaml").write_text("a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}\n")
    cfg = composed(command, "--config-dir", str(tmp_path / "more"), "model=mine", "recipe=base")
    assert cfg["model"] == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


def test_a_config_that_another_one_hides_is_refused(command, tmp_path):
    """Of two files of one name Hydra takes the project's: another network was trained than the user wrote down."""
    own = tmp_path / "more/model/espcn.yaml"
    own.parent.mkdir(parents=True)
    own.write_bytes((ROOT / "conf/model/espcn.yaml").read_bytes())
    typed = ("--config-dir", str(tmp_path / "more"), "model=espcn")
    assert composed(command, *typed)["model"] == composed(command, "model=espcn")["model"]
    own.write_text(own.read_text() + "padding: 7\n")
    outcome = command("train.py", *typed, "--cfg", "job")
    assert outcome.code == 1 and "espcn.yaml would not be read" in outcome.err and "model=my_espcn" in outcome.err, (
        outcome
    )
    assert command("train.py", "--config-dir", str(ROOT / "conf"), "model=espcn", "--cfg", "job").code == 0


def test_a_launcher_that_is_none_is_told(command, tmp_path):
    (tmp_path / "more/hydra/launcher").mkdir(parents=True)
    (tmp_path / "more/hydra/launcher/odd.yaml").write_text("_target_: os.getcwd\n")
    typed = ("--config-dir", str(tmp_path / "more"), "-m", "model=bicubic", "rounds=0,1", "hydra/launcher=odd")
    outcome = command("measure.py", *typed)
    assert outcome.code == 1 and "error: Invalid plugin 'os.getcwd'" in outcome.err, outcome
    assert "Traceback" not in outcome.err, outcome


@pytest.mark.parametrize(
    ("first", "next_one"),
    [
        ("xxxxxxxxxx", "${{{0}}}${{{0}}}"),
        ("[1, 2]", "['${{{0}}}', '${{{0}}}']"),
        ("1", "\n    x: ${{{0}}}\n    y: ${{{0}}}"),
    ],
    ids=["text", "list", "mapping"],
)
def test_interpolations_that_double_each_other_are_refused_at_once(command, tmp_path, first, next_one):
    """Thirty lines that would become a thousand million values."""
    lines = ["# @package _global_", "losses:", f"  a0: {first}"]
    lines += [f"  a{n}: {next_one.format(f'losses.a{n - 1}')}" for n in range(1, 30)]
    (tmp_path / "more/experiment").mkdir(parents=True)
    (tmp_path / "more/experiment/bomb.yaml").write_text("\n".join(lines))
    with at_once(15):
        outcome = command("train.py", "--config-dir", str(tmp_path / "more"), "experiment=bomb", "budget=smoke")
    assert outcome.code == 1 and "its interpolations repeat each other without end" in outcome.err, outcome


@pytest.mark.parametrize("group", ["job_logging", "hydra_logging"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 1\nroot:\n  handlers: [nowhere]", "Unable to add handler 'nowhere'"),
        ("version: 2\n", "with version: 1 and a root"),
        ("just text", "with version: 1 and a root"),
    ],
)
def test_a_log_that_cannot_be_set_up_is_told(command, tmp_path, group, text, told):
    (tmp_path / "more/hydra" / group).mkdir(parents=True)
    (tmp_path / "more/hydra" / group / "odd.yaml").write_text(text)
    typed = ("--config-dir", str(tmp_path / "more"), "model=bicubic", "scale=2", f"hydra/{group}=odd")
    outcome = command("evaluate.py", *typed)
    assert outcome.code == 1 and "no log can be set up as hydra/job_logging" in outcome.err, outcome
    assert told in outcome.err and "Traceback" not in outcome.err, outcome
