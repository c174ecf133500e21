"""Whether W&B can be used online: found out without asking anyone, within seconds."""

import logging
import netrc
import os
import socket
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from sr.errors import UserError, printable

log = logging.getLogger(__name__)
CONNECT_SECONDS = 3.0
WAYS = ("base_url", "http_proxy", "https_proxy", "api_key", "identity_token_file", "credentials_file")
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

    if _led_elsewhere():
        return "offline", "as wandb/settings here is not followed"
    address = urlsplit(os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url)
    if not _has_key(address):
        return "offline", "this machine is not logged in (wandb login)"
    if not _answers(address):
        return "offline", f"{address.hostname} does not answer"
    if address.hostname not in (urlsplit(wandb.Settings().base_url).hostname, "api.wandb.ai"):
        log.info(f"W&B: the server is {address.scheme}://{address.netloc.rpartition('@')[2]}")
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


def _led_elsewhere() -> bool:
    """Whether `wandb/settings` where one stands says where runs go, or with which key, and the user does not.

    W&B reads that file. It may have come with a folder of somebody else, who would be sent the user's key.
    """
    import wandb

    here = wandb.Settings().read_system_settings().all()
    both = wandb.Settings(settings_system=wandb.setup().settings.settings_system).read_system_settings()
    for key in here:
        both.clear(key)  # in this copy alone: the home's are left
    own = {"base_url": wandb.Settings().base_url, **both.all()}
    strange = [key for key in WAYS if key in here and here[key] != own.get(key)]
    wrong = [key for key in strange if not os.environ.get(f"WANDB_{key.upper()}")]
    for key in wrong:
        told = "..." if key == "api_key" else printable(here[key])
        log.warning(
            f"warning: W&B: offline, because the file wandb/settings in this folder, not your own settings, says "
            f"{key} = {told}. If you trust it: export WANDB_{key.upper()}={told}. Else remove the file: wandb sync "
            "follows it, too"
        )
    return bool(wrong)


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
