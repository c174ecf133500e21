"""Words as people type them and as earlier versions had them, for Hydra."""

import pytest

from sr.compose.spelling import spelled_out


@pytest.mark.parametrize(
    ("command", "typed", "spelt"),
    [
        ("compare", "runs=a/lr=1,b", "runs=['a/lr=1','b']"),
        ("compare", "filter=[scale=4,psnr>30]", "filter=['scale=4','psnr>30']"),
        ("compare", "filter='x=1'", "filter='x=1'"),
        ("compare", "sort=-psnr", "sort=['-psnr']"),
        ("compare", "out=o", "out=o"),
        ("compare", "runs=null", "runs=null"),
        ("compare", "data=set5", "benchmarks=[set5]"),
        ("compare", "protocol=[y,rgb]", "protocols=[y,rgb]"),
        ("evaluate", "data=[set5,b100]", "benchmarks=[set5,b100]"),
        ("evaluate", "data.root=a/b", "++data.root=a/b"),
        ("evaluate", "protocol=y", "protocols=[y]"),
        ("evaluate", "protocols=[{channel: rgb, shave: 4}]", "protocols=[{channel: rgb, shave: 4}]"),
        ("evaluate", "benchmarks=set5", "benchmarks=[set5]"),
        ("evaluate", "metrics=[psnr,a b/lr=1/rmse.py]", "metrics=['psnr','a b/lr=1/rmse.py']"),
        ("train", "test_protocols=[y]", "protocols=[y]"),
        ("train", "channels_last=true", "trainer.channels_last=true"),
        ("train", "data.batch_size=8", "batch_size=8"),
        ("train", "compile=true", "trainer.compile=true"),
        ("train", "protocol=rgb", "protocol=rgb"),
        ("train", "data=div2k", "data=div2k"),
        ("train", "data.root=a", "data.root=a"),
        ("train", "protocols=null", "protocols=null"),
        ("train", "-m", "-m"),
        ("measure", "model=bsrn", "model=[bsrn]"),
    ],
)
def test_what_is_typed(command, typed, spelt):
    assert spelled_out(command, [typed]) == [spelt]


@pytest.mark.parametrize("typed", [["--config-dir=a b"], ["-cd", "a b"], ["-cd", "losses"], ["--config-path=a b"]])
def test_folders_of_flags_are_hydras_as_they_are(monkeypatch, tmp_path, typed):
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert spelled_out("train", typed) == typed


def test_the_home_folder_is_meant_where_the_shell_leaves_its_sign(monkeypatch, tmp_path):
    home = tmp_path / "my home"
    (home / "pictures").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert spelled_out("train", ["data.root=~/pictures"]) == [f"data.root='{home}/pictures'"]
    monkeypatch.setenv("HOME", "/me")
    assert spelled_out("evaluate", [f"data.root={home}/pictures"]) == [f"++data.root='{home}/pictures'"]
    assert spelled_out("train", ["data.root=[~/a,~/b]"]) == ["data.root=[/me/a,/me/b]"]
    assert spelled_out("train", ["~callbacks.ema", "data.root=a~/b"]) == ["~callbacks.ema", "data.root=a~/b"]
