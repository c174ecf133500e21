"""Files of several users, of whom only one runs the tests."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

US, SOMEBODY = 1000, 1002


def owned(monkeypatch: pytest.MonkeyPatch, by: Callable[[Path], int]) -> None:
    """Let this user be `US`, and each path be of the user that `by` tells."""
    lstat, found = Path.lstat, Path.stat

    def of(stat: os.stat_result, user: int) -> os.stat_result:
        times = {name: getattr(stat, name) for name in ("st_mtime_ns", "st_ctime_ns")}
        return os.stat_result([*stat[:4], user, *stat[5:]], times)

    def stat(path: Path, **kwargs: Any) -> os.stat_result:
        return of(found(path, **kwargs), by(path))

    monkeypatch.setattr(os, "getuid", lambda: US)
    monkeypatch.setattr(Path, "lstat", lambda path: of(lstat(path), by(path)))
    monkeypatch.setattr(Path, "stat", stat)
