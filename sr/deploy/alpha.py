"""Colours below what is transparent, which nobody sees and which a network would draw into what is seen."""

import numpy as np

from sr.imaging.photo import Photo

SEEN = 8 / 255  # of alpha: below it a colour is not looked at


def filled(photo: Photo) -> np.ndarray:
    """The picture's (H, W, C) colours; each that is not seen is that of the nearest pixel that is."""
    if photo.alpha is None:
        return photo.colour
    hidden = photo.alpha < SEEN * photo.opaque
    if not hidden.any() or hidden.all():
        return photo.colour
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return photo.colour[rows, columns]
