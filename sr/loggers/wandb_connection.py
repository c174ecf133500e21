"""Whether W&B can be used online: found out without asking anyone, within seconds."""

import logging
import netrc
import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from sr.bounded import RECORD, bytes_of
from sr.errors import UserError, printable

log = logging.getLogger(__name__)
CONNECT_SECONDS = 3.0
# What leads a run, or the user's key, elsewhere; and what any folder's file may say. By the rest W&B runs programs that
# a repository names, copies files and writes into other folders: nothing of it is taken.
WAYS = ("base_url", "http_proxy", "https_proxy", "api_key", "identity_token_file", "credentials_file", "entity")
HARMLESS = ("mode", "project", "silent", "quiet")
DEFAULTS = "config-defaults.yaml"
MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # of W&B


def connection(entity: str | None = None) -> tuple[str, str]:
    """The mode for `wandb.init`, and why where it is offline.

    WANDB_MODE is followed, and `wandb offline`, but online needs a key all the same: W&B would ask for it.

    Args:
        entity: as typed.
    """
    asked = asked_mode()
    import wandb

    led_elsewhere = _led_elsewhere(entity)
    by = f"as WANDB_MODE={asked}" if asked else "as its settings say (wandb offline; wandb online takes it back)"
    asked = asked or {"online": ""}.get(told := wandb.setup().settings.mode, told)
    if asked == "disabled":
        return asked, ""
    if asked in ("offline", "dryrun"):
        return "offline", by
    if led_elsewhere:
        return "offline", "as wandb/settings here is not followed"
    address = urlsplit(os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url)
    if not _has_key(address):
        return "offline", "this machine is not logged in (wandb login)"
    if not _answers(address):
        return "offline", f"{address.hostname} does not answer"
    if address.hostname not in (urlsplit(wandb.Settings().base_url).hostname, "api.wandb.ai"):
        log.info(f"W&B: the server is {address.scheme}://{address.netloc.rpartition('@')[2]}")
    if "@" in address.netloc:
        log.warning(
            "warning: WANDB_BASE_URL holds a user's name or a password, which W&B keeps in its files of this run. Name "
            "the server without, and give the password by ~/.netrc"
        )
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


def _led_elsewhere(entity: str | None) -> bool:
    """Whether `wandb/settings` where one stands says where runs go, or with which key, and the user does not.

    W&B reads that file. It may have come with a folder of somebody else, who would be sent the user's key. What else is
    in it W&B forgets.
    """
    import wandb

    with suppress(OSError):  # it is not there; of a link W&B prints the values
        bytes_of(Path(wandb.Settings().settings_workspace), RECORD)
    here = wandb.Settings().read_system_settings().all()
    both = wandb.Settings(settings_system=wandb.setup().settings.settings_system).read_system_settings()
    for key in here:
        both.clear(key)  # in this copy alone: the home's are left
    own = {"base_url": wandb.Settings().base_url, **both.all()}
    strange = [key for key in here if key not in HARMLESS and here[key] != own.get(key)]
    variables = {key: f"WANDB_{key.removeprefix('x').upper()}" for key in strange}  # of x_label it is WANDB__LABEL
    wrong = [key for key in strange if not os.environ.get(variables[key]) and not (key == "entity" and entity)]
    for key in wrong:
        name, field = printable(key), wandb.Settings.model_fields.get(key)
        told = printable(here[key]) if field and key != "api_key" else "..."  # by a link it may be any file's
        trusting = f"If you trust it: export {variables[key]}={shlex.quote(told)}. Else remove" if field else "Remove"
        log.warning(
            f"warning: W&B: {'offline, because' if key in WAYS else f'{name} is left alone, though'} the file "
            f"wandb/settings in this folder, not your own settings, says {name} = {told}. {trusting} the file: wandb "
            "sync follows it, too"
        )
        if field is not None:
            value = own.get(key, field.get_default(call_default_factory=True))
            setattr(wandb.setup().settings, key, value)
    return bool({*wrong} & {*WAYS})


@contextmanager
def no_defaults() -> Iterator[None]:
    """Within, W&B reads no `config-defaults.yaml` where one stands: a record holds what its run trains with."""
    from wandb.sdk import wandb_config

    if os.path.lexists(DEFAULTS):
        log.warning(
            f"warning: W&B: {DEFAULTS} in this folder is not read: a run's record holds what it trains with. Type such "
            "values as config keys (conf/train.yaml)"
        )
    with patch.object(wandb_config.Config, "_load_defaults", lambda self: None):
        yield


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
