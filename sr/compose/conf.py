"""Where the config groups are: conf/ of a checkout, which travels in the wheel as sr/conf."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# The package's own first: beside an installed package a folder conf is somebody else's.
CONF = next((place for place in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if place.is_dir()), _PACKAGE / "conf")
