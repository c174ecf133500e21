"""Trained networks: sr zoo list; sr zoo save rlfn_x4 rlfn_x4.ckpt (or python -m sr.zoo ...)."""

import argparse
import logging
import re
import sys
from pathlib import Path
from typing import NoReturn

from sr.compose.common_schema import Zoo
from sr.compose.words import pasted, path_word
from sr.errors import UserError, nearest, printable, user_error
from sr.layers.identity import checksum
from sr.scores.text import aligned
from sr.zoo.entries import ENTRIES, ZOO
from sr.zoo.files import SUFFIXES
from sr.zoo.load import is_ours, load, save
from sr.zoo.matlab_file import LARGEST

KEYS = re.compile(r"^(?:zoo\.)?(dir|range|order|scale)=(.*)")  # as the other commands take them


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """As the other commands end: one message and status 1, with the nearest word that there is."""
        options = [o for action in self._actions for o in (*action.option_strings, *(action.choices or ()))]
        wrong = re.search(r"invalid choice: '(.*?)'|arguments: ([^=\s]*)", message)
        sys.exit(f"error: {self.prog}: {message}.{nearest(wrong[1] or wrong[2], options) if wrong else ''} "
                 f"All that it takes: {self.prog} --help")  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Parse and run; errors that the user can mend end with status 1 and no traceback."""
    words = [KEYS.sub(r"--\1=\2", word) for word in (sys.argv[1:] if arguments is None else arguments)]
    parser = _Parser(prog="sr zoo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    lists = commands.add_parser(
        "list", help="this project's and the authors' files, what they reach, and which are here"
    )
    saves = commands.add_parser("save", help="an author's file as a checkpoint of this project")
    saves.add_argument("weights", help="a name of the zoo, or the path of a file")
    saves.add_argument("checkpoint", type=Path, help="the file to write")
    saves.add_argument("--scale", type=int, help="for a file that serves every scale")
    saves.add_argument("--range", help="of the values that an unknown file's network takes: 0-1, 0-255, -1..1 or own")
    saves.add_argument("--order", help="of its channels: rgb or bgr")
    for command in (lists, saves):
        command.add_argument("--dir", type=Path, default=Path(Zoo.dir), help=f"where the files are ({Zoo.dir})")
    typed, more = parser.parse_known_args(words)
    if more:  # told by the command's own parser, which knows its options
        (lists if typed.command == "list" else saves).error(f"unrecognized arguments: {' '.join(more)}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if typed.command == "list":
            print(printable(listing(typed.dir)))
        else:
            path = Path(typed.weights).expanduser()
            if typed.weights not in ZOO and path.is_file() and is_ours(path):
                again = pasted("evaluate", [path_word("checkpoint", path), "benchmarks=[set5]"])
                raise UserError(f"{path} is this project's own already, which is used as it is: {again}")
            loaded = load(typed.weights, typed.dir, typed.scale, range_=typed.range, order=typed.order)
            save(loaded, typed.checkpoint)
            words = [path_word("checkpoint", typed.checkpoint), "benchmarks=[set5]"]
            print(f"{typed.checkpoint}\nTry it: {pasted('evaluate', words)}")
    except Exception as error:
        if (wrong := user_error(error)) is None:
            raise
        sys.exit(printable(f"error: {wrong}"))


def listing(folder: Path) -> str:
    """The zoo as a text table: one row per entry, with the file where it is below `folder`."""
    files = (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file())
    here = {checksum(p): str(p) for p in files if p.stat().st_size <= LARGEST}
    lines = [
        ["name", "model", "scale", "set", "dB", "SSIM", "", "protocol", "format", "sha256", "licence", "origin", "file"]
    ]
    for e in ENTRIES:
        place = "in the package" if e.origin.folder else e.url or e.origin.page or "-"
        file = next((name for digest, name in here.items() if e.has(digest)), place)
        ssim = "-" if e.ssim is None else f"{e.ssim:.4f}"
        figure = [e.dataset, f"{e.psnr:.2f}", ssim, e.figure, e.protocol] if e.psnr is not None else ["-"] * 5
        row = [e.name, e.model, f"x{e.scale}", *figure, e.format, e.sha256[:12] or "-"]
        lines.append([*row, e.origin.licence, e.origin.name, file])
    unknown: dict[str, list[str]] = {}
    for e in ENTRIES:
        if e.reason:
            unknown.setdefault(e.reason, []).append(e.name)
    without = [f"\n{', '.join(names)}: no figure, as {reason}." for reason, names in unknown.items()]
    told = (
        "dB, SSIM: to be reached with LR made here; measured here with the file, or published by those who made it. "
        f"file: where it is below {folder} (--dir), else where it is to be had."
    )
    return "\n".join([aligned(lines), told + "".join(without)])


if __name__ == "__main__":
    main()
