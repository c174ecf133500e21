"""Which scales of a network that serves several were trained."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sr.errors import told_once
from sr.models.base import SuperResolver

log = logging.getLogger(__name__)


def trained_scales(served: Sequence[int], metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """Those of the scales that the run trained, up to the stage of the checkpoint; all of an author's file.

    Args:
        served: by the network.
        metadata: what a checkpoint tells about itself.
    """
    config = metadata.get("config") or {}
    stages, last = config.get("stages") or {}, (metadata.get("stage") or {}).get("name")
    found: list[Any] = []
    for name, node in stages.items() if isinstance(stages, Mapping) and stages else [(last, None)]:
        scale = node["scale"] if isinstance(node, Mapping) and "scale" in node else config.get("scale")
        found += scale if isinstance(scale, list | tuple) else [scale]
        if name == last:
            break
    return tuple(s for s in served if s in found) or tuple(served)


def tell_untrained(model: SuperResolver, name: str, scale: int) -> None:
    """Warn where a scale is one that the network serves and its run did not train."""
    trained = trained_scales(model.scales, model.metadata)
    if scale in model.scales and scale not in trained:
        told_once(
            log,
            logging.WARNING,
            f"warning: scale={scale}: {name} was not trained for it, its run trained scale "
            f"{', '.join(map(str, trained))} alone: its pictures and figures at this scale may be poor",
        )
