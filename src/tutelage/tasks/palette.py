"""Colours that are easy to tell apart."""

from itertools import cycle, islice, product

import numpy as np

from tutelage.types import Colour

# The 13 classes of NYU-Depth-v2 (Couprie et al., 2013), large surfaces in pale colours, small objects in strong ones.
NYU13: dict[str, Colour] = {
    "bed": (214, 96, 77),
    "books": (255, 217, 47),
    "ceiling": (235, 235, 215),
    "chair": (31, 120, 180),
    "floor": (150, 111, 75),
    "furniture": (253, 174, 97),
    "objects": (232, 116, 178),
    "painting": (102, 194, 70),
    "sofa": (118, 62, 161),
    "table": (145, 10, 50),
    "tv": (26, 152, 130),
    "wall": (170, 178, 194),
    "window": (146, 220, 243),
}


_MOST = 4000  # of the candidates: those near black are taken for invalid pixels


def palette(colours: int) -> list[Colour]:
    """The first `colours` of NYU13 and, after those, each as far as possible from all before and from black.

    Of more than 4,000 they are the same again, in turn.
    """
    chosen = list(NYU13.values())[:colours]
    candidates = np.array(list(product(range(0, 256, 17), repeat=3)))  # [4096, 3]
    distance = np.full(len(candidates), np.inf)
    for i in range(-1, min(colours, _MOST)):
        if i >= len(chosen):
            r, g, b = candidates[distance.argmax()].tolist()
            chosen.append((r, g, b))
        last = np.array(chosen[i] if i >= 0 else (0, 0, 0))  # black is for invalid pixels
        distance = np.minimum(distance, np.linalg.norm(candidates - last, axis=1))
    return list(islice(cycle(chosen), colours))
