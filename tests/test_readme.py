"""What the README tells people to type."""

import os
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
ENTRIES = "train|evaluate|measure|compare|figure"
COMMANDS = sorted(set(re.findall(rf"^(?:\.venv/bin/)?python ((?:{ENTRIES})\.py .*?)(?:\s+#.*)?$", README, re.M)))


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("line", [c for c in COMMANDS if "resume=" not in c and "-m " not in c])
def test_every_command_composes(command, line):
    script, *arguments = shlex.split(line)
    outcome = command(script, *arguments, *([] if "--cfg" in arguments else ["--cfg", "job"]))
    assert outcome.code == 0, outcome


def test_every_option_in_the_tables_composes(command):
    typed = re.findall(
        r"^\| `((?:callbacks|trainer|accumulate|channels_last|init_from|benchmarks|logger)=[^|]*?)` \|", README, re.M
    )
    assert len(typed) > 5
    for cell in typed:
        outcome = command("train.py", *cell.replace("`, `", " ").split(), "--cfg", "job")
        assert outcome.code == 0, outcome


@pytest.mark.parametrize("group", ["data", "protocol", "degradation", "loss", "scheduler", "ablation", "figure"])
def test_every_option_of_a_group_is_named(group):
    missing = [p.stem for p in (ROOT / "conf" / group).glob("*.yaml") if f"`{p.stem}`" not in README]
    assert not missing


def test_the_two_files_of_a_new_architecture_train(command, div2k, tmp_path, monkeypatch):
    """The README's example, word for word, outside the project: no other edit is needed."""
    code = re.search(r"```python\n(.*?)```", README, re.S)
    config = re.search(r"```yaml\n(_target_.*?)```", README, re.S)
    assert code and config
    (tmp_path / "more/model").mkdir(parents=True)
    (tmp_path / "tiny_network.py").write_text(code[1])
    (tmp_path / "more/model/tiny.yaml").write_text(config[1].replace("sr.models.tiny", "tiny_network"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    outcome = command(
        "train.py", "--config-dir", str(tmp_path / "more"), "model=tiny", "data=div2k", f"data.root={div2k}",
        "budget=smoke", "benchmarks=[]",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    again = command("evaluate.py", f"checkpoint={outcome.folder}", "data=[div2k]", f"data.root={div2k}", folder="m")
    assert again.code == 0, again
