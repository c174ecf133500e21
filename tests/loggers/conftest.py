"""What the tests of loggers share: files read back, and a machine without a key."""

from collections.abc import Callable
from pathlib import Path

import pytest
from wandb_files import Kept

from sr.runs.config import RECORD
from sr.runs.own import signed


@pytest.fixture
def kept() -> Callable[[Path], list[Kept]]:
    """What a run folder's offline W&B files hold, in the order in which they were written."""

    def read_all(folder: Path) -> list[Kept]:
        import wandb

        wandb.teardown()  # its process writes the end of a file after the run has ended
        return [Kept(file) for file in sorted((folder / "wandb").glob("offline-run-*/*.wandb"))]

    return read_all


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a W&B key; it fails the test if anything asks for one."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    import wandb

    wandb.teardown()  # forgets the key of an earlier test
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("something asked the user"))


@pytest.fixture
def begun() -> Callable[[Path], Path]:
    """Makes a folder one of a run that this user began."""

    def begin(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / RECORD).write_text(signed("config: {}\n"))
        return folder

    return begin
