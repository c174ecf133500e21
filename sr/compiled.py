"""torch.compile, of whose code nothing is another user's."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from sr.bounded import others_may_write
from sr.errors import UserError


def compiled(network: Any, **how: Any) -> Any:
    """`torch.compile(network, **how)`.

    Raises:
        UserError: torch would run code that another user of this machine can have put there.
    """
    if hasattr(os, "getuid"):  # elsewhere temporary files are each user's own
        _refuse_others()
    return torch.compile(network, **how)


def _refuse_others() -> None:
    """Make the folder of a known name where torch keeps code and takes it from, or look whose it is."""
    # Seconds of import, for who compiles.
    from torch._inductor.runtime.runtime_utils import default_cache_dir  # type: ignore[attr-defined]

    place = Path(default_cache_dir())
    with suppress(FileExistsError):
        place.mkdir(mode=0o700, parents=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or others_may_write(found.st_mode, found.st_gid):
        raise UserError(
            f"nothing is compiled: torch would run what lies in {place}, and others can write there. Put "
            f"TMPDIR=FOLDER, a folder of your own, before the command"
        )
