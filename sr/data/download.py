"""Download with resume, checksum and safe unpacking; only when the user types data.download=true."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from sr.data.archives import Archive
from sr.errors import UserError
from sr.whole import unlinked

BLOCK = 1 << 20  # bytes
ATTEMPTS = 3  # a dropped connection is resumed this often before the user is asked
TIMEOUT = 30  # seconds without an answer


def fetch(archive: Archive, folder: str | Path) -> Path:
    """Download `archive` into `folder` and check it; a verified file that is there already is kept.

    An interrupted download leaves `<file>.part`, from which the next one goes on.

    Raises:
        UserError: no network, an unwilling server, a full disk or a wrong checksum.
    """
    folder = Path(folder)
    target = folder / archive.file
    part = target.with_name(target.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{archive.file}.lock"):
            if target.exists():
                _verify(archive, target)
                return target
            for attempt in range(ATTEMPTS):
                try:
                    if _receive(archive, part):
                        break
                except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
                    if attempt == ATTEMPTS - 1:
                        raise _interrupted(archive, part, error) from error
            else:
                raise _interrupted(archive, part, "the server closes the connection too early")
            _verify(archive, part)
            os.replace(part, target)
    except urllib.error.HTTPError as error:
        raise UserError(
            f"{archive.url}: the server answers {error.code} {error.reason}. Download {archive.file} by other means "
            f"and place it in {folder}"
        ) from error
    except urllib.error.URLError as error:
        raise UserError(
            f"{archive.url} cannot be reached ({error.reason}): is there a network? Without one, download "
            f"{archive.file} elsewhere and place it in {folder}; the same command then unpacks it"
        ) from error
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _receive(archive: Archive, part: Path) -> bool:
    """One request; appends to `part`. True when all bytes have come."""
    have = part.stat().st_size if part.exists() else 0
    if archive.size is not None and have == archive.size:
        return True
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing after what we have: complete, or another file; the checksum decides
            raise
        return True
    with answer:
        resumed = answer.status == 206  # a server that ignores the range sends everything again
        length = answer.headers.get("Content-Length")
        have = have if resumed else 0
        total = have + int(length) if length else archive.size
        with open(part, "ab" if resumed else "wb", opener=unlinked) as file, _bar(archive.file, total, have) as bar:
            while block := answer.read(BLOCK):
                bar.update(file.write(block))
    return total is None or part.stat().st_size >= total


def _bar(text: str, total: int | None, initial: int = 0) -> tqdm[Any]:
    return tqdm(desc=text, total=total, initial=initial, unit="B", unit_scale=True, delay=1, disable=None)


def _interrupted(archive: Archive, part: Path, why: object) -> UserError:
    got = part.stat().st_size if part.exists() else 0
    return UserError(
        f"{archive.url}: interrupted after {got:,} bytes ({why}). Type the same command again: it goes on from there"
    )


def _verify(archive: Archive, path: Path) -> None:
    digest = hashlib.new(archive.algorithm)
    size = path.stat().st_size
    with path.open("rb") as file, _bar(f"checking {path.name}", size) as bar:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))
    if not digest.hexdigest().startswith(archive.checksum):
        mend = "It was removed: type the same command again"
        if path.suffix == ".part":
            path.unlink()  # going on from it could never mend it
        else:
            mend = "Remove it and type the same command again"
        raise UserError(
            f"{path}: its {archive.algorithm} is {digest.hexdigest()}, expected {archive.checksum} "
            f"({size:,} bytes{f' of {archive.size:,}' if archive.size else ''}). {mend}"
        )


def unpack(path: Path, folder: str | Path) -> None:
    """Unpack a zip or tar beside, then move it into `folder`: an interruption leaves no half-filled folder.

    Raises:
        UserError: a damaged archive, one whose names lead out of the folder, or a full disk.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                inside = temporary.resolve()
                outside = [n for n in names if not (temporary / n).resolve().is_relative_to(inside)]
                need = sum(part.file_size for part in archive.infolist())
                if need > (free := shutil.disk_usage(temporary).free):
                    raise UserError(
                        f"{path} unpacks to {need / 2**30:.1f} GiB, but {folder} has room for {free / 2**30:.1f}. Not "
                        "unpacked: free some room there, or choose another folder"
                    )
                if outside:
                    raise UserError(f"{path} holds names that lead out of the folder: {outside[:3]}. Not unpacked")
                for name in tqdm(names, f"unpacking {path.name}", unit="file", delay=1, disable=None):
                    archive.extract(name, temporary)
        else:
            _untar(path, temporary)
        _move(temporary, folder)
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise UserError(f"{path} cannot be unpacked: {error}. Remove it and download it again") from error
    except OSError as error:
        raise UserError(f"cannot unpack {path} into {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _untar(path: Path, folder: Path) -> None:
    """Files and folders alone: a link could lead anywhere. Python has such a filter of its own from 3.11.4 on."""
    inside = folder.resolve()
    with tarfile.open(path) as archive:
        for member in tqdm(archive, f"unpacking {path.name}", unit="file", delay=1, disable=None):
            target = (inside / member.name.lstrip("/")).resolve()
            if not target.is_relative_to(inside):
                raise UserError(f"{path} holds a name that leads out of the folder: {member.name!r}. Not unpacked")
            if member.isfile() and (content := archive.extractfile(member)) is not None:
                if member.size > shutil.disk_usage(inside).free:  # of a sparse file a few bytes say so
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                target.parent.mkdir(parents=True, exist_ok=True)
                with content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)


def _move(source: Path, target: Path) -> None:
    """Move the tree into place; files that are there already are kept as they are."""
    for item in source.iterdir():
        moved = target / item.name
        if not moved.exists():
            os.replace(item, moved)
        elif item.is_dir() and moved.is_dir():
            _move(item, moved)


def fetch_all(archives: list[Archive], folder: str | Path) -> None:
    """Download and unpack each archive into `folder`; the archives stay there."""
    for archive in archives:
        unpack(fetch(archive, folder), folder)
