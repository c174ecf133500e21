"""Which records this user wrote: they are signed with a key that lies in the user's home and in no run folder."""

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from sr.bounded import text_of
from sr.runs.config import RECORD

MARK = "signature: "  # begins the last line of a signed record
BYTES = 32  # of the key


def signed(text: str, kind: str = "") -> str:
    """A record with its signature below it; as it is where no key can be kept, as in a home that cannot be written.

    Args:
        text: the record.
        kind: what it is of, where that is no run: text of that kind, in which strangers' names may stand, is no run's.
    """
    found = signature(text, kind)
    return f"{text}{MARK}{found}\n" if found else text


def signature(text: str, kind: str = "") -> str:
    """Of a record; "" where no key can be kept."""
    key = _key()
    if key is not None and kind:
        key = hmac.digest(key, kind.encode(), "sha256")
    return "" if key is None else _signature(text, key)


def is_own(text: str) -> bool:
    """Whether this user wrote the record of a run, and nobody changed it since."""
    body, _, signature = text.rpartition(MARK)
    key = _key()
    return key is not None and hmac.compare_digest(signature.strip().encode(), _signature(body, key).encode())


def began(folder: Path) -> bool:
    """Whether this user began the run in a folder, as its record says. Who put what else there, it does not say."""
    record = folder / RECORD
    try:
        return not record.is_symlink() and is_own(text_of(record))
    except (OSError, ValueError):
        return False


def _signature(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _key() -> bytes | None:
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME", ""))
        if not home.is_absolute():  # which its specification says to ignore; no command's folder gets a key
            home = Path.home() / ".config"
        file = home / "sr" / "key"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f"key.{os.getpid()}")
            with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as new:
                new.write(secrets.token_bytes(BYTES))
            with suppress(FileExistsError):
                os.link(part, file)  # of two processes that begin together the first one's stays
            part.unlink()
        key = file.read_bytes()
    except (OSError, RuntimeError):  # the latter: there is no home
        return None
    return key if len(key) >= BYTES else None
