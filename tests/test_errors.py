"""What the system refuses is told as what the user can mend; what stops at once leaves no traceback."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from sr.errors import UserError, nearest, printable, user_error

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSPC, "Free some room"), (errno.EACCES, "rights"), (errno.EROFS, "can be written")]
)
def test_an_error_of_the_disk_names_the_place_and_what_to_do(number, told):
    wrapped = RuntimeError("within")
    wrapped.__cause__ = OSError(number, os.strerror(number), "out/last.ckpt")
    found = str(user_error(wrapped))
    assert found.startswith(f"out/last.ckpt: {os.strerror(number)}. ") and told in found
    wrapped.__cause__ = OSError(number, os.strerror(number), "/tmp/part", None, "out/last.ckpt")  # of a move
    assert str(user_error(wrapped)) == found
    assert user_error(RuntimeError("a fault")) is None
    wrapped.__cause__ = OSError(number, os.strerror(number), "outputs")  # where one stands, as nobody typed
    assert ("hydra.run.dir=PATH" in str(user_error(wrapped))) == (number != errno.ENOSPC)


def test_a_home_that_is_not_there_is_told():
    with pytest.raises(RuntimeError) as error:
        Path("~nobody-of-that-name/x.png").expanduser()
    assert "there is no user of that name" in str(user_error(error.value))


def test_memory_that_runs_out_is_told_in_one_line():
    wrapped = RuntimeError("within")
    wrapped.__cause__ = MemoryError("Unable to allocate 1.5 GiB\nfor an array")
    assert str(user_error(wrapped)).startswith("memory ran out (Unable to allocate 1.5 GiB). Free some")
    assert str(user_error(MemoryError())).startswith("memory ran out. Free some")


def test_folders_that_are_too_deep_are_told():
    """Of an own network that calls itself on and on the traceback is wanted."""

    def deep(*_):
        raise RecursionError

    def own():
        own()

    deep.__code__ = deep.__code__.replace(co_filename=os.__file__)
    assert "too deep" in str(user_error(caught(deep))) and user_error(caught(own)) is None


def caught(task) -> BaseException:
    try:
        task()
    except RecursionError as error:
        return error
    raise AssertionError


def test_an_error_that_is_raised_again_is_found_though_it_is_its_own_cause():
    inner = UserError("mend this")
    outer = RuntimeError("wrapped")
    outer.__cause__, inner.__cause__ = inner, outer
    assert user_error(outer) is inner and user_error(inner) is inner


@pytest.mark.parametrize(
    ("name", "hint"), [("BSRN", "bsrn"), ("set-5", "set5"), ("sett5", "set5"), ("urban", "urban100"), (3, "")]
)
def test_the_nearest_name(name, hint):
    found = nearest(name, ["set5", "set14", "urban100", "bsrn", "bsrn_s"])
    assert found == (f" Did you mean {hint}?" if hint else "")


def test_a_disk_that_takes_no_more_ends_a_command_without_a_traceback(command):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # bytes of a file
        outcome = command("evaluate.py", "model=bicubic", "scale=8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.code == 1 and "File too large" in outcome.err and "Traceback" not in outcome.err, outcome


@pytest.mark.parametrize("seconds", [0.4, pytest.param(1.5, marks=pytest.mark.slow)])
def test_ctrl_c_while_a_command_starts_shows_no_traceback(tmp_path, seconds):
    # A shell that starts the tests in the background has them ignore Ctrl-C.
    started = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    started += "print('begun', flush=True); sys.argv = ['sr', 'train', 'model=bsrn']; "
    process = subprocess.Popen(
        [sys.executable, "-c", f"{started}from sr.cli import entry; entry()"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    try:
        _, printed = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0 and "Traceback" not in printed and "stopped" in printed, printed


CUT = """
import logging, sys
import sr.cli

class Cut:
    def find_spec(self, name, path=None, target=None):
        if hasattr(sys.modules.get("torch._subclasses.fake_tensor"), "dump_cache_stats"):
            sys.meta_path.remove(self)
            raise KeyboardInterrupt

logging.basicConfig(level=logging.INFO)  # as a command does before its imports
sys.meta_path.insert(0, Cut())
import torch
"""


def test_ctrl_c_within_torchs_import_is_one_word(tmp_path):
    """Before it has set its own logs up, torch tells of its caches when Python ends."""
    done = subprocess.run([sys.executable, "-c", CUT], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)  # fmt: skip
    assert done.returncode != 0 and done.stderr == "\nstopped\n" and not done.stdout, done


def test_messages_hold_no_control_characters(command, tmp_path):
    name = "x\x1b]0;owned\x07\x1b[2J\u202e\x7f"
    assert printable(f"{name}\n\té ± ü") == "x\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x7f\n\té ± ü"
    (tmp_path / name).mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / name / f"{name}.png")
    typed = ["model=bicubic", "scale=2", "benchmarks=[folder]", "protocols=[y]", "panels=0"]
    done = command("evaluate.py", *typed, f"data.root='{tmp_path / name}'")
    refused = command("evaluate.py", f"checkpoint='{tmp_path / name}'", folder="again")
    for shown in (done.out, done.err, refused.err, (tmp_path / "run/evaluate.log").read_text()):
        assert all(c.isprintable() or c in "\n\t" for c in shown), ascii(shown)
    assert done.code == 0 and "\\x1b" in done.out and refused.code == 1 and "\\x1b" in refused.err
