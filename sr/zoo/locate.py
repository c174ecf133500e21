"""Finds an author's file below a folder, under any name, or fetches it; what does not have its checksum is refused."""

import logging
from pathlib import Path

from sr.bounded import refuse_odd
from sr.compose.words import path_typed
from sr.data.archives import Archive
from sr.data.download import fetch
from sr.errors import UserError, told_once
from sr.layers.identity import checksum
from sr.zoo.entries import ZooEntry, by_checksum
from sr.zoo.files import SUFFIXES
from sr.zoo.matlab_file import LARGEST

log = logging.getLogger(__name__)


def entry_of(path: Path, scale: int | None = None) -> ZooEntry | None:
    """The entry of a file, see `by_checksum`; a file that is larger than any of them is not read for it."""
    return by_checksum(checksum(path), scale) if path.stat().st_size <= LARGEST else None


def _written(path: Path) -> bool:
    """Whether a file holds what its size says: holes of gigabytes would be read for a checksum, and are no weights."""
    try:
        refuse_odd(path)
    except UserError as error:
        told_once(log, logging.WARNING, f"warning: {error}")
        return False
    return True


def find(entry: ZooEntry, folder: Path, download: bool = True) -> Path:
    """The file of an entry at any depth below `folder`, else fetched into it; or the one that travels with the package.

    Raises:
        UserError: not there and not to be had, saying its origin and checksum; or there with other contents.
    """
    if entry.origin.folder is not None:
        own = entry.origin.folder / entry.path
        if not own.is_file() or checksum(own) != entry.sha256:
            raise UserError(f"{own}, which travels with this project, is missing or damaged: install the project again")
        return own
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    files.sort(key=lambda p: p.name != entry.file)  # its usual name first: mostly one file is read
    others = []
    for path in files:
        fits = path.stat().st_size <= LARGEST and _written(path)
        if fits and (entry.has(checksum(path)) if entry.sha256 else path.name == entry.file):
            return path
        if path.name == entry.file:
            others.append(path)
    if others:
        size = others[0].stat().st_size
        other = f"another checksum ({checksum(others[0])}" if size <= LARGEST else f"more bytes than any ({size:,}"
        raise UserError(
            f"weights={entry.name}: {others[0]} has {other}, expected {entry.sha256}): it is damaged or another one. "
            f"Remove it, or measure it as it is: {path_typed('weights', others[0])}"
        )
    looked = f"{folder.resolve()} ({len(files)} weights files, none with its checksum)" if files else folder.resolve()
    if not entry.url or not download or not entry.sha256:
        known = f"; sha256 {entry.sha256}. Place it there under any name" if entry.sha256 else ""
        raise UserError(
            f"weights={entry.name}: not found below {looked}. It comes from {entry.origin.name}"
            f"{f', {entry.path}' if entry.path else ''}{f' ({at})' if (at := entry.url or entry.origin.page) else ''}"
            f"{known or f'; no checksum of it is known. Place it there as {entry.file}'}, or type zoo.dir=<folder>"
            + (" or zoo.download=true" if entry.url and entry.sha256 else "")
        )
    log.info(f"{entry.name}: not below {folder}, fetching {entry.url} (licence: {entry.origin.licence})")
    try:
        return fetch(Archive(entry.url, entry.sha256), folder)
    except UserError as error:
        raise UserError(
            f"weights={entry.name}: not found below {looked}, and not fetched. {error}\n  Origin: {entry.origin.name}; "
            f"sha256 {entry.sha256}. Or type zoo.dir=<the folder that holds it>"
        ) from error
