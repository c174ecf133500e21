"""Whether W&B can be used online: found out without asking anyone, within seconds."""

import netrc
import os
import socket
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from sr.errors import UserError

CONNECT_SECONDS = 3.0
MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # of W&B


def connection() -> tuple[str, str]:
    """The mode for `wandb.init`, and why where it is offline.

    WANDB_MODE is followed, but online needs a key all the same: W&B would ask for it.
    """
    asked = asked_mode()
    if asked == "disabled":
        return asked, ""
    if asked in ("offline", "dryrun"):
        return "offline", f"as WANDB_MODE={asked}"
    import wandb

    address = urlsplit(os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url)
    if not _has_key(address):
        return "offline", "this machine is not logged in (wandb login)"
    if not _answers(address):
        return "offline", f"{address.hostname} does not answer"
    return asked if asked == "shared" else "online", ""


def asked_mode() -> str:
    """WANDB_MODE; "" where it is not set.

    Raises:
        UserError: W&B knows no such mode.
    """
    asked = os.environ.get("WANDB_MODE", "").lower()
    if asked and asked not in MODES:
        raise UserError(f"WANDB_MODE={asked}: there are {', '.join(MODES)}. Without W&B: logger=csv")
    return asked


def _answers(address: SplitResult) -> bool:
    """Whether the server, or the proxy on the way to it, takes a connection."""
    proxy = getproxies().get(address.scheme)
    if proxy and not proxy_bypass(address.netloc):
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname or "", port), CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def _has_key(address: SplitResult) -> bool:
    import wandb

    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    return bool(wandb.setup().settings.api_key) or _netrc_knows(address.netloc)


def _netrc_knows(host: str) -> bool:
    own = os.environ.get("NETRC")
    for file in [Path(own)] if own else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            return netrc.netrc(file).authenticators(host) is not None
        except FileNotFoundError:
            continue
        except (netrc.NetrcParseError, OSError):
            return False
    return False
