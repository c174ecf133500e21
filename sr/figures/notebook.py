"""For notebooks: a command as it would be typed, in a folder of its own."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

from sr.compose.conf import CONF
from sr.compose.words import quoted
from sr.errors import UserError

# The checkout that the notebooks lie in; without one, where the user stands.
PROJECT = CONF.parent if (CONF.parent / "notebooks").is_dir() else Path()
OUTPUT_LINES = 25  # lines of a failed command's output that are shown


def run(command: str, *arguments: str, outputs: str | Path | None = None) -> Path:
    """Run a command in the project's folder, to which paths in its arguments are relative, and wait for it.

    Args:
        command: train, for example.
        arguments: as typed.
        outputs: where its run folder is made; None: outputs/notebooks of the project.

    Returns:
        The run folder, with everything that the command printed in `output.txt`.

    Raises:
        UserError: it failed; with the end of its output.
    """
    name = f"{command}_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    folder = (Path(outputs or PROJECT / "outputs" / "notebooks") / name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    typed = [sys.executable, "-m", "sr", command, *arguments, f"hydra.run.dir={quoted(folder)}"]
    printed, part = folder / "output.txt", folder / ".output.txt"  # hidden, as a command begins in an empty folder
    try:
        with part.open("w") as file:
            code = subprocess.run(typed, stdout=file, stderr=subprocess.STDOUT, cwd=PROJECT, check=False).returncode
    finally:
        part.replace(printed)
    if code:
        end = "\n".join(printed.read_text().splitlines()[-OUTPUT_LINES:])
        raise UserError(f"sr {command} {' '.join(arguments)} ended with status {code}. The end of {printed}:\n{end}")
    return folder
