"""Which code and libraries a process runs with, for the records of a run."""

import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sr


@cache
def code_version() -> dict[str, Any]:
    """Of this project: `version`, and where it runs from a git checkout, `commit` and `dirty` (changed since)."""
    root = Path(sr.__file__).parents[1]
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None  # not a repository around it
    changed = _git(root, "status", "--porcelain", "--untracked-files=no") if commit else None
    if changed == "":  # networks and losses of one's own that were added count, too (docs/adding.md)
        changed = _git(root, "status", "--porcelain", "--", "sr", "conf", ":(glob)*.py")
    return {"version": sr.__version__, "commit": commit, "dirty": None if changed is None else bool(changed)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def told() -> str:
    """The same in a line, with the libraries that figures depend on."""
    code = code_version()
    at = f" at {code['commit'][:12]}{', changed since' if code['dirty'] else ''}" if code["commit"] else ""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning"))
    return f"sr {code['version']}{at}; {libraries}, Python {sys.version.partition(' ')[0]}"
