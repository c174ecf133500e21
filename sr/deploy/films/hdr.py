"""What an HDR film tells of the screen that it was made on, handed on to the encoder of the result."""

import struct
from typing import Any

SCREEN, LIGHT = "MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"  # of FFmpeg's frames
DYNAMIC = {"DOVI_METADATA": "Dolby Vision", "DYNAMIC_HDR_PLUS": "HDR10+"}  # made for each frame of its size


def static(frame: Any) -> str:
    """The mastering screen and the brightest content as x265 takes them, perhaps nothing.

    Args:
        frame: the first one, of PyAV.
    """
    told = []
    if (screen := frame.side_data.get(SCREEN)) is not None and len(bytes(screen)) >= 88:
        numbers = struct.unpack("22i", bytes(screen)[:88])  # AVMasteringDisplayMetadata: ratios, then what is told
        values = [top / bottom if bottom else 0.0 for top, bottom in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
        if numbers[20] and numbers[21]:
            red, green, blue, white = (
                f"({round(x * 50_000)},{round(y * 50_000)})" for x, y in zip(values[:8:2], values[1:8:2], strict=True)
            )
            least, most = (round(value * 10_000) for value in values[8:])
            told.append(f"master-display=G{green}B{blue}R{red}WP{white}L({most},{least})")
    if (light := frame.side_data.get(LIGHT)) is not None and len(bytes(light)) >= 8:
        told.append("max-cll={},{}".format(*struct.unpack("2I", bytes(light)[:8])))
    return ":".join(told)


def dynamic(frame: Any) -> str:
    """What a frame has of its own brightness, by name, perhaps nothing; a result has not."""
    return " and ".join(name for key, name in DYNAMIC.items() if frame.side_data.get(key) is not None)
