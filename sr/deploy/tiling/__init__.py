"""How a network walks over a picture in tiles and makes what it makes of the whole.

`recording` lets the network's own forward write down its operations (`picture`), of which each knows what part of its
inputs a part of its result needs (`nodes`, `rules`, `operations`, `sums`). `plan` says what is kept of the whole
picture and when it can go, `maps` keep it, and `walk` makes it, tile by tile.
"""
