"""What a data module's settings may be, in one wording for all."""

from sr.errors import UserError


def whole(least: int | None = 1, /, **settings: object) -> None:
    """Whole numbers, from `least` upward.

    Raises:
        UserError: names the setting and the value.
    """
    for key, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
            told = "" if least is None else f", {least} or more"
            raise UserError(f"{_typed(key)}={value!r} must be a whole number{told}")


def flags(**settings: object) -> None:
    """True or false.

    Raises:
        UserError: names the setting and the value.
    """
    for key, value in settings.items():
        if not isinstance(value, bool):
            raise UserError(f"data.{key}={value!r} must be true or false")


def share(**settings: object) -> None:
    """Parts of a whole, from 0 to below 1.

    Raises:
        UserError: names the setting and the value.
    """
    for key, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise UserError(f"data.{key}={value!r} must be a number from 0 to below 1")


def _typed(key: str) -> str:
    return key if key in ("scale", "patch_size", "batch_size", "seed") else f"data.{key}"
