"""Nothing that a file says is imported, called, resolved or sent anywhere, unless the user trusts it."""

import os
import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from small_runs import NODE, changed, write

from sr.comparison.fill import set_words
from sr.compose.conf import CONF
from sr.compose.words import Words, path_word
from sr.errors import UserError
from sr.layers import torch_file
from sr.metrics.metric import located
from sr.runs import composed, own
from sr.runs.config import plain
from sr.runs.construct import construct
from sr.runs.folder import Run, read_run
from sr.runs.record import recorded
from sr.runs.trust import how_to_trust, refuse_foreign, refuse_impure, trust, trusts
from sr.training.resumed import refuse_edited


@pytest.fixture(autouse=True)
def _nothing_trusted(monkeypatch):
    monkeypatch.setenv("SR_TRUST", "")


@pytest.fixture
def payload(tmp_path, monkeypatch):
    """A module beside a run that tells when it is imported; its Net is a true network."""
    folder = tmp_path / "evilrun"
    folder.mkdir()
    (folder / "payload.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        "from sr.models.edsr import EDSR\nclass Net(EDSR): pass\ndef call(*a, **k): raise SystemExit(9)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "ran"
    for name in ("evilrun.payload", "evilrun"):
        sys.modules.pop(name, None)


def test_a_file_imports_only_what_is_trusted(command, payload, photos, tmp_path, monkeypatch):
    photos(tmp_path / "images", 1, 24, 32)
    file = write(tmp_path / "net.ckpt", NODE | {"_target_": "evilrun.payload.Net"})
    typed = ("evaluate.py", f"checkpoint={file}", "panels=0", "benchmarks=[folder]", f"data.root={tmp_path}/images")
    done = command(*typed)
    assert done.code == 1 and "trust=[evilrun]" in done.err and "SR_TRUST=evilrun" in done.err, done
    done = command("compare.py", f"checkpoint={file}", "crops=0", folder="compared")
    assert not payload.exists(), done
    assert command(*typed, "trust=[evilrun]", folder="typed").code == 0
    assert payload.exists()
    assert command(*typed, folder="again").code == 1, "what one command trusts the next one does not"
    monkeypatch.setenv("SR_TRUST", "evilrun.payload")
    assert command(*typed, folder="environment").code == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/evaluate_mine.yaml").write_text("defaults: [evaluate, _self_]\ntrust: [evilrun]\n")
    monkeypatch.setenv("SR_TRUST", "")
    typed = (*typed, f"--config-dir={tmp_path / 'mine'}", "--config-name=evaluate_mine")
    assert command(*typed, folder="config").code == 0


@pytest.mark.parametrize("target", ["sr.models.base.SuperResolver", "sr.runs.record.write_whole", "sr.cli.os.getcwd"])
def test_not_all_of_this_package_is_a_network(target):
    with pytest.raises(UserError, match="is not a super-resolution model"):
        construct(NODE | {"_target_": target}, "file")


FOREIGN = {
    "module": ({"callbacks__x": {"_target_": "evilrun.payload.call"}}, "evilrun.payload.call"),
    "torch": ({"callbacks__x": {"_target_": "torch.load", "f": "x", "weights_only": False}}, "torch.load"),
    "endless": ({"loss": {"_target_": "torch.nn.Transformer", "num_encoder_layers": 10**9}}, "torch.nn.Transformer"),
    "writer": ({"callbacks__x": {"_target_": "sr.runs.record.write_whole"}}, "sr.runs.record.write_whole"),
    "through": ({"loss": {"_target_": "sr.losses.vgg.Path"}}, "sr.losses.vgg.Path"),
    "spelled": ({"name_": "os.getcwd", "callbacks__x": {"_target_": "${name_}"}}, "name_"),
    "metric": ({"metrics": ["psnr", "/tmp/evil.py"]}, "/tmp/evil.py"),
    "metric by another key": ({"paper": {"data": "run/evil.py"}, "metrics": ["psnr", "${paper.data}"]}, "paper.data"),
    "metric of a stage": (
        {"metrics": ["psnr", "${vgg_weights}"], "stages": {"one": {"init_from": "run/evil.py"}}},
        "vgg_weights",
    ),
    "address": ({"init_from": "http://x"}, "http://x"),
    "address in parts": ({"paper": {"data": "http:"}, "init_from": "${paper.data}//x"}, "http://x"),
    "secret in parts": ({"paper": {"a": "$", "b": "{oc.env:HOME}"}, "vgg_weights": "${paper.a}${paper.b}"}, "$ in it"),
    "sign out of a resolver": (
        {"paper": {"a": '${scale_name:"\\x24"}', "b": "{oc.env:HOME}"}, "vgg_weights": "${paper.a}${paper.b}"},
        "leads",
    ),
    "key": ({"paper": {"${oc.env:HOME}": 1}}, "oc.env:HOME"),
    "key in a list": ({"paper": {"a": [{"${oc.env:HOME}": 1}]}}, "oc.env:HOME"),
    "nowhere": ({"vgg_weights": "${logger.wandb.notes}"}, "leads nowhere"),
    "network of the machine": (
        {"loss": {"_target_": "sr.loggers.mlflow_logger", "tracking_uri": "x"}},
        "mlflow_logger",
    ),
    "writer of Lightning": (
        {"callbacks__x": {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": "/x"}},
        "ModelCheckpoint",
    ),
    "logger among callbacks": (
        {"callbacks__x": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "/x"}},
        "CSVLogger",
    ),
    "another folder": ({"callbacks__x": {"_target_": "sr.callbacks.Panels", "folder": "/elsewhere"}}, "/elsewhere"),
    "folder without its name": (
        {"callbacks__x": {"_target_": "sr.callbacks.Panels", "_args_": ["/elsewhere", 4, 96]}},
        "_args_",
    ),
    "folder of a command": ({"callbacks__x": {"_target_": "sr.runs.place.NewFolder"}}, "NewFolder"),
    "line in a name": ({"choices__model": "x\ntouch ran #"}, "control characters"),
    "secret": ({"vgg_weights": "${oc.env:HOME}"}, "oc.env:HOME"),
    "resolver by its name": ({"patch_size": "oc.env", "vgg_weights": "${${patch_size}:HOME}"}, "HOME"),
}


@pytest.mark.parametrize(("values", "told"), FOREIGN.values(), ids=FOREIGN)
def test_a_run_of_somebody_else_builds_only_what_computes(begun, payload, tmp_path, values, told):
    with pytest.raises(UserError, match="nothing shows that you began") as caught:
        composed.read(changed(begun, tmp_path / "theirs", **values))
    assert told in str(caught.value) and not payload.exists()


def test_a_run_of_somebody_else_writes_where_this_user_says(begun, tmp_path, monkeypatch, caplog):
    """Its loggers, caches and downloads are not taken from it."""
    values = {
        "logger": {"m": {"_target_": "evil.Logger", "tracking_uri": "${paper.data}//x", "save_dir": "/precious"}},
        "paper": {"data": "http:"}, "cache_dir": "/precious", "data__cache_dir": "/precious", "data__download": True,
        "data__num_workers": 48, "trainer__devices": 64, "trainer__strategy": "ddp",
        "zoo": {"dir": "/precious", "download": True, "range": "0-1", "order": None},
    }  # fmt: skip
    monkeypatch.setenv("SR_CACHE_DIR", "/mine")
    run = composed.read(changed(begun, tmp_path / "theirs", **values))
    config = run.changed(Words(["steps=9"]), run.config)
    run.tell_foreign(Words(["steps=9"]))
    assert config.logger == {} and "logs to metrics.csv alone" in caplog.text
    assert config.cache_dir == config.data.cache_dir == "/mine" and not config.data.download
    assert (config.zoo.dir, config.zoo.range) == ("data/weights", "0-1")
    assert config.data.num_workers is None and (config.trainer.devices, config.trainer.strategy) == (1, "auto")
    typed = OmegaConf.create({"logger": {"wandb": {"_target_": "sr.loggers.wandb_logger"}}})
    caplog.clear()
    assert run.changed(Words(["logger=wandb"]), typed).logger == typed.logger and not caplog.text
    run.tell_foreign(Words(["logger=wandb"]))
    assert "nothing shows that you began this run here: what its files tell of its steps is logged" in caplog.text
    caplog.clear()
    mine = composed.read(begun)
    mine.tell_foreign(Words(["steps=9"]))
    assert "wandb" in mine.changed(Words(["steps=9"]), mine.config).logger and not caplog.text


def test_a_run_goes_on_in_its_own_folder_alone(begun, tmp_path, monkeypatch):
    other = shutil.copytree(begun, tmp_path / "other")
    for place in (other, tmp_path / "new"):
        with pytest.raises(UserError, match=r"(?s)goes on in the run's own folder.*init_from="):
            composed.with_resumed_run(Words([f"resume={begun}", f"hydra.run.dir={place}"]))
    monkeypatch.chdir(tmp_path)
    words = Words([f"resume={begun}", "hydra.run.dir=mine"])
    assert composed.with_resumed_run(words) is words


@pytest.mark.parametrize("format_1", [False, True])
def test_an_unsigned_run_of_one_s_own_is_trusted_by_its_folder(begun, tmp_path, monkeypatch, caplog, format_1):
    values = {"data_dir": "/mine", "callbacks__x": {"_target_": "my_pkg.Callback"}, "logger": {}}
    old = changed(begun, tmp_path / "o'ld run", **values)
    if format_1:
        config = yaml.safe_load((old / composed.RECORD).read_text())["config"]
        (old / ".hydra/config.yaml").write_text(yaml.safe_dump(config))
        (old / composed.RECORD).unlink()
    (old / "checkpoints").mkdir()
    (old / "checkpoints/last.ckpt").touch()
    monkeypatch.setenv("SR_TRUST", "")
    with pytest.raises(UserError, match="nothing shows that you began") as caught:
        composed.with_resumed_run(Words([path_word("resume", old)]))
    typed = shlex.split(str(caught.value).rpartition("another machine: ")[2])
    assert typed[:2] == ["sr", "train"] and typed[3].startswith("trust=")
    assert composed.with_resumed_run(Words(typed[2:]))
    run = composed.read(old)
    assert run.own and run.config.data_dir == "/mine" and trusts("my_pkg.Callback")
    assert composed.read(changed(begun, tmp_path / "beside")).own is False


def test_what_is_told_to_be_pasted_trusts_nothing_of_somebody_else(begun, tmp_path):
    """Pasted it counts as typed: the metric's code ran."""
    words = ["metrics=[psnr,theirs/extra.py]", "+callbacks.x._target_=evil.Callback", "trust=[evil]", "batch_size=2"]
    theirs = changed(begun, tmp_path / "theirs")
    content = yaml.safe_load((theirs / composed.RECORD).read_text())
    (theirs / composed.RECORD).write_text(yaml.safe_dump(content | {"words": words}))
    run = composed.read(theirs)
    for key in ("seed", "model.channels"):
        told = str(run.refusal(key, 0, 1, Words(["seed=1"])))
        assert "batch_size=2 seed=1" in told and not {w for w in ("theirs/extra", "evil") if w in told}, told
    odd = how_to_trust(["timm; touch x; true .Net"])
    assert "trust=[" not in odd and "trust=[timm]" in how_to_trust(["timm.Net"])


def test_a_line_in_what_was_typed_for_a_run_of_somebody_else_is_refused(begun, tmp_path):
    theirs = changed(begun, tmp_path / "theirs")
    content = yaml.safe_load((theirs / composed.RECORD).read_text())
    (theirs / composed.RECORD).write_text(yaml.safe_dump(content | {"words": ["model='x\ntouch ran #'"]}))
    with pytest.raises(UserError, match="not what a run of this project writes"):
        composed.read(theirs)


@pytest.mark.slow
def test_a_run_of_somebody_else_goes_on_where_it_names_what_computes(command, tmp_path):
    typed = ["model=srcnn", "scale=2", "budget=smoke", "steps=2", "trainer=cpu", "benchmarks=[]", "data=bundled"]
    done = command("train.py", *typed)
    assert done.code == 0, done
    begun = done.folder
    done = command("train.py", f"resume={changed(begun, tmp_path / 'theirs')}", "steps=3")
    assert done.code == 0 and "resuming at step 2 of 3" in done.out, done
    edited = changed(begun, tmp_path / "edited", optimizer__lr=0.5)
    done = command("train.py", f"resume={edited}", "steps=3", f"trust=[{edited}]")
    assert done.code == 1 and "composed.yaml is not what the run was begun with: optimizer.lr was" in done.err, done
    other = composed.read(begun).config
    other.optimizer.lr = 0.5
    composed.keep(begun, other, Words([]))  # a record of one's own, but of another run
    done = command("train.py", f"resume={begun}", "steps=3")
    assert done.code == 1 and "composed.yaml is not what the run was begun with: optimizer.lr was" in done.err, done


def test_a_record_that_was_changed_by_hand_is_refused(of_words, tmp_path):
    """It trained on so, under the curve of what it was begun with, and a comparison named it after what was written."""
    record, words = of_words[0].copy(), Words(["model=srcnn"])
    record.data_dir, record.cache_dir = "there", "there"
    config = plain(record)
    resumed = {"sr": {"config": config | {"steps": 7, "data_dir": "here"}}}
    refuse_edited(record, config, resumed, tmp_path, words)
    record.batch_size = 3
    with pytest.raises(
        UserError, match=r"composed\.yaml is not what .*: batch_size was 32, and is 3 there.*batch_size=3"
    ):
        refuse_edited(record, plain(record), resumed, tmp_path, words)


@pytest.mark.parametrize(
    ("key", "then", "now", "told"),
    [
        ("data.augment", [], [{"_target_": "albumentations.Blur"}], "data.augment.0._target_ was missing"),
        ("data.augment", [{"_target_": "albumentations.Blur"}], [], "data.augment.0._target_ was albumentations.Blur"),
        ("frozen", ["head"], [], r"frozen was \['head'\], and is \[\] there"),
        ("optimizer.lr", 0.1, None, "optimizer.lr was 0.1, and is missing there"),
    ],
)
def test_what_was_put_into_a_record_by_hand_or_taken_out_is_refused(of_words, tmp_path, key, then, now, told):
    """Only keys that stood in both were looked at: the run went on with other pictures without a word."""
    record = of_words[0].copy()
    record.data_dir, record.cache_dir = "there", "there"
    OmegaConf.update(record, key, then, force_add=True)
    begun = plain(record)
    if now is None:
        del record.optimizer.lr
    else:
        OmegaConf.update(record, key, now, force_add=True)
    with pytest.raises(UserError, match=told):
        refuse_edited(record, plain(record), {"sr": {"config": begun}}, tmp_path, Words([]))
    without = {k: v for k, v in begun.items() if k != "steps_at_once"}  # of a version that knew fewer keys
    refuse_edited(OmegaConf.create(begun), begun, {"sr": {"config": without}}, tmp_path, Words([]))


def test_a_file_of_code_is_recorded_by_where_it_lies(begun):
    """By its name alone it was another one where somebody else's folder held such a file beside the run."""
    config = composed.read(begun).config
    config.metrics = ["psnr", "rmse.py"]
    composed.keep(begun, config, Words([]))
    assert composed.read(begun).own
    with pytest.raises(UserError, match=r"names rmse\.py, and where you stand another file may have that name"):
        composed.read(begun).changed(Words([]), config)
    assert composed.read(begun).changed(Words(["metrics=[psnr,rmse.py]"]), config).metrics == ["psnr", "rmse.py"]
    assert located(["psnr", "rmse.py"]) == ["psnr", str(Path.cwd() / "rmse.py")]


@pytest.mark.parametrize(
    ("key", "endless"),
    [
        ("model", {"_target_": "sr.models.ecbsr.ECBSR", "scale": 2, "num_blocks": 100_000, "channels": 8}),
        ("loss", {"_target_": "sr.losses.UNetDiscriminator", "channels": 400}),
    ],
)
def test_a_run_of_somebody_else_builds_nothing_without_end(begun, command, tmp_path, key, endless):
    done = command("train.py", f"resume={changed(begun, tmp_path / 'theirs', **{key: endless})}")
    assert done.code == 1 and "theirs is refused: its settings ask for a network far larger" in done.err, done


def test_a_strangers_run_that_begins_anew_stays_a_strangers(command, tmp_path):
    """It was signed as the user's, who was told nothing from then on, and whose other run got its curve."""
    typed = ["model=espcn", "scale=2", "data=bundled", "budget=smoke", "steps=1", "benchmarks=[]", "trainer=cpu"]
    assert command("train.py", *typed).code == 0
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    text, _, _ = (tmp_path / "run" / composed.RECORD).read_text().rpartition(own.MARK)
    (theirs / composed.RECORD).write_text(text)
    for steps in (1, 2):
        done = command("train.py", f"resume={theirs}", f"steps={steps}")
        assert done.code == 0 and "nothing shows that you began this run here" in done.out + done.err, done
        assert not own.began(theirs) and own.began(tmp_path / "run")


def test_a_trusted_module_may_stand_in_a_run_of_somebody_else(begun, tmp_path):
    theirs = changed(begun, tmp_path / "trusted", callbacks__x={"_target_": "mine.Callback"})
    trust(["mine"])
    assert composed.read(theirs).config.callbacks.x._target_ == "mine.Callback"


def test_what_this_project_composes_may_be_built():
    files = [file for file in CONF.glob("*/**/*.yaml") if not {*file.parts} & {"hydra", "figure", "logger"}]
    refuse_foreign({"all": [OmegaConf.to_container(OmegaConf.load(file)) for file in files]}, "x")
    for name in ("edsr_baseline", "srgan", "rlfn", "repsr_m4c16"):
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            config = hydra.compose("train", overrides=[f"model={name}", "data=df2k", "cache_dir=x", "logger=[]"])
        plain = composed._without_impure(config)
        for values in (plain, refuse_impure(plain, "x")):
            refuse_foreign(values, "x")
    refuse_foreign({"optimizer": {"_target_": "torch.optim.AdamW"}, "loss": {"_target_": "torch.nn.HuberLoss"}}, "x")
    refuse_foreign({"data": {"augment": [{"_target_": "albumentations.ChannelShuffle"}]}}, "x")
    refuse_foreign({"scheduler": {"_target_": "sr.training.schedules.warm_up"}}, "x")
    for endless in ({"num_steps": 10**9}, {"num_steps": "1e9"}, {"range": [1, -(10**9)]}, {"p": "inf"}):
        transform = {"_target_": "albumentations.GridDistortion"} | endless
        with pytest.raises(UserError, match="a transform in it is told"):
            refuse_foreign({"data": {"augment": [{"_target_": "albumentations.Sequential", "of": [transform]}]}}, "x")

    with pytest.raises(UserError, match="a transform in it is told 4000, where 400 is most"):
        refuse_foreign({"degradation": {"steps": [{"_target_": "sr.degradation.MotionBlur", "size": 4000}]}}, "x")


def test_what_is_trusted_leads_nowhere_else(tmp_path, monkeypatch):
    for folder in ("mine", "theirs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rmse.py").touch()
    (tmp_path / "mine/linked.py").symlink_to(tmp_path / "theirs/rmse.py")
    monkeypatch.setenv("SR_TRUST", f"{tmp_path}/mine,my_pkg,https://mlflow.lab")
    assert trusts(f"{tmp_path}/mine/rmse.py") and trusts(f"{tmp_path}/theirs/../mine/rmse.py")
    assert trusts("my_pkg.Loss") and trusts("https://mlflow.lab/store")
    for name in ("mine/../theirs/rmse.py", "mine/linked.py", "mine.py"):
        with pytest.raises(UserError, match="which is not part of this project"):
            refuse_foreign({"metrics": ["psnr", f"{tmp_path}/{name}"]}, "x")
    assert not trusts("https://mlflow.lab.theirs") and not trusts("my_pkgs.Loss") and not trusts("my_pkg/rmse.py")
    monkeypatch.setenv("SR_TRUST", f"{tmp_path}/theirs/rmse.py,rmse.py")
    assert trusts(f"{tmp_path}/theirs/rmse.py") and trusts("rmse.py")


def test_own_runs_go_on_with_what_was_typed_wherever_they_lie(begun, tmp_path, payload):
    """Signed, not listed by place: a folder may be moved, and its environment may be gone."""
    assert composed.read(shutil.copytree(begun, tmp_path / "moved")).config.data_dir == "here"
    mine = composed.read(begun)
    mine.config.callbacks = {"x": {"_target_": "evilrun.payload.call"}}
    (tmp_path / "own").mkdir()
    composed.keep(tmp_path / "own", mine.config, mine.words)
    assert OmegaConf.select(composed.read(tmp_path / "own").config, "callbacks.x._target_") == "evilrun.payload.call"
    assert trusts("evilrun.payload.call") and not payload.exists(), "its checkpoints may name what it names"
    record = tmp_path / "own" / composed.RECORD
    record.write_text(record.read_text().replace("payload.call", "payload.calls"))
    with pytest.raises(UserError, match="nothing shows that you began"):
        composed.read(tmp_path / "own")


def test_a_relative_place_of_configs_is_ignored(tmp_path, monkeypatch):
    """As the specification of XDG_CONFIG_HOME says: each folder that commands are typed in got a key of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert own.signed("text\n") != "text\n"
    assert (tmp_path / "home/.config/sr/key").is_file() and not (tmp_path / "here").exists()


def test_a_record_is_one_s_own_under_any_locale(begun):
    mine = composed.read(begun)
    composed.keep(begun, mine.config, Words(["model=srcnn", "data_dir=für/写真"]))
    script = "import sys; from pathlib import Path; from sr.runs.own import began; print(began(Path(sys.argv[1])))"
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    told = subprocess.run(
        [sys.executable, "-c", script, begun], cwd=begun, env=os.environ | plain, capture_output=True, text=True
    )
    assert told.stdout.strip() == "True", told


def test_a_comparison_resolves_nothing_of_a_folder(begun, tmp_path, monkeypatch, command):
    monkeypatch.setenv("SECRET", "s3cr3t")
    theirs = shutil.copytree(begun, tmp_path / "theirs")
    file = theirs / ".hydra/config.yaml"
    content = yaml.safe_load(file.read_text()) | {"patch_size": "${oc.env:SECRET}", "batch_size": "${data.hidden}"}
    content["data"]["hidden"] = "${${data.name}:SECRET}"
    content["data"]["name"] = "oc.env"
    file.write_text(yaml.safe_dump(content))
    (theirs / ".hydra/overrides.yaml").write_text("- degradation.x='${oc.env:SECRET}'\n- model=srcnn\n")
    run = read_run(theirs)
    assert run.config["patch_size"] == "${oc.env:SECRET}" and run.config["scale"] == run.config["data"]["scale"] == 2
    done = command("compare.py", f"runs=[{begun},{theirs}]", "crops=1")
    assert done.code == 0, done
    written = [p.read_text(errors="replace") for p in done.folder.rglob("*") if p.suffix in (".md", ".csv", ".html")]
    assert written and not any("s3cr3t" in text for text in (*written, done.out, done.err))


def test_words_of_a_run_look_nothing_up_in_a_comparison():
    words = ["degradation.x='${oc.env:HOME}'", "data.a={_target_: x}", "data.lr=LR", "data._target_=os.getcwd"]
    words += ["degradation=../../tmp/evil", "degradation@data.x=../../evil", "degradation/../x=y"]
    run = Run(Path("x"), "m", {"data_dir": "${oc.env:HOME}"}, words, [], [], None, 0, "finished", 0)
    assert set_words(run, Words()) == ["++data.lr=LR"]


def test_a_comparison_reads_data_of_somebody_else_s_run_where_this_user_keeps_it(begun, tmp_path):
    words = ["data=div2k", "data_dir=/theirs", "cache_dir=/theirs", "data.root=/home/me", "data.val=Pictures"]
    words += ["cache_dir=theirs", "data.lr=LR", "degradation.sigma=1.5", "data.lr=../private", "seed=3"]
    kept = {"data.lr": "LR", "degradation.sigma": "1.5", "seed": "3"}
    for folder, wanted in ((changed(begun, tmp_path / "theirs"), kept), (begun, {"data_dir": "'/mine'"})):
        run = Run(folder, "m", {"data_dir": "/mine", "cache_dir": "/mine"}, words, [], [], None, 0, "finished", 0)
        found = {text.lstrip("+").partition("=")[0]: text.partition("=")[2] for text in set_words(run, Words())}
        assert wanted.items() <= found.items() and (folder == begun or found.keys() == kept.keys()), found


def test_a_run_of_somebody_else_reads_data_where_this_user_keeps_it(begun, tmp_path):
    values = {"data_dir": "/theirs", "data__data_dir": "/theirs", "data__root": "${data_dir}/DIV2K"}
    config = composed.read(changed(begun, tmp_path / "theirs", **values)).config
    assert (config.data_dir, config.data.data_dir, config.data.root) == ("data", "data", "data/DIV2K")
    assert composed.read(begun).config.data_dir == "here"


PRIVATE = {
    "training": ({"data__train": "{0}"}, ["data.train={0}"]),
    "two": ({"data__root": "{0}/.", "data__test": ["{0}", "gone"]}, ["data.root={0}/.", "data.test=['{0}','gone']"]),
    "out of the own": ({"data__val": "data/../{0}"}, ["data.val=data/../{0}"]),
    "of another set": ({"data__sets": {"a": {"root": "{0}"}}}, ["data.sets.a.root={0}"]),
    "LR": ({"data__lr": "{0}"}, ["data.lr={0}"]),
    "of a stage": ({"stages": {"a": {"data": {"test_lr": "{0}"}}}}, ["stages.a.data.test_lr={0}"]),
    "weights": ({"init_from": "{0}"}, ["init_from={0}"]),
    "teacher": ({"teacher": "{0}"}, ["teacher={0}"]),
}


@pytest.mark.parametrize(("values", "typed"), PRIVATE.values(), ids=PRIVATE)
def test_a_run_of_somebody_else_shows_no_pictures_that_nobody_typed(begun, tmp_path, monkeypatch, values, typed):
    """It read any folder of the user's that it named, and left panels of it where somebody else reads."""
    (private := tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)

    def filled(value):
        if isinstance(value, dict):
            return {key: filled(of) for key, of in value.items()}
        return [*map(filled, value)] if isinstance(value, list) else value.format(private)

    theirs = changed(begun, tmp_path / "theirs", **filled(values))
    run, words = composed.read(theirs), filled(typed)
    with pytest.raises(UserError, match=r"theirs is refused: nothing shows") as told:
        run.changed(Words(["steps=9"]), run.config)
    assert shlex.join(["sr", "train", f"resume={theirs}", "steps=9", *words]) in str(told.value)
    if "data.sets" not in words[0] and "stages" not in words[0]:
        assert run.changed(Words(words), run.config)
    trust([f"{theirs}"])
    assert composed.read(theirs).changed(Words([]), run.config), "trusted"
    monkeypatch.setenv("SR_TRUST", "")
    own = changed(
        begun, tmp_path / "other", data__train="data/DIV2K", data__lr="LR", init_from="last", teacher="rlfn_x4"
    )
    (tmp_path / "data/DIV2K").mkdir(parents=True)
    assert composed.read(own).changed(Words([]), run.config), "in this user's own data_dir"


def test_hydra_refuses_what_its_floor_is_for():
    for target in ("os.system", "builtins.exec", "subprocess.run", "pickle.loads"):
        with pytest.raises(hydra.errors.InstantiationException, match="blocklisted"):
            hydra.utils.instantiate({"_target_": target, "_args_": ["true"]})


def test_objects_that_do_no_harm_are_passed_over(tmp_path):
    import argparse

    import numpy as np

    file = tmp_path / "a.pth"
    torch.save({"w": torch.ones(2), "lr": np.float64(1e-3), "at": tmp_path, "opt": argparse.Namespace(x=1)}, file)
    content = torch_file.load(file)
    assert torch.equal(content["w"], torch.ones(2))
    assert all(isinstance(content[key], torch_file.Ignored) for key in ("lr", "at", "opt"))
    torch.save({"w": torch.ones(2), "p": pickle.Pickler}, file)
    with pytest.raises(UserError, match=r"would run code from the file \(it names _?pickle.Pickler\)\. Ask its author"):
        torch_file.load(file)  # torch's own message tells how to run it


def test_a_record_of_a_run_holds_only_its_kinds(tmp_path):
    (tmp_path / "run.json").write_text(
        '{"status": "finished", "seconds": "9", "steps": NaN, "error": 1, "device": "cpu"}'
    )
    assert recorded(tmp_path) == {"status": "finished", "device": "cpu"}
    (tmp_path / "run.json").write_text("[" * 100_000)
    assert recorded(tmp_path) == {}
