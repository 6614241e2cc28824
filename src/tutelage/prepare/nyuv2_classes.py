"""NYU-Depth-v2's 894 labels in 40 and in 13 classes."""

import numpy as np
import numpy.typing as npt

CLASSES13 = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "painting", "sofa", "table", "tv", "wall",
    "window",
)  # fmt: skip

# The first 37 of the 40 classes, in their order -> the label of the same name, and the class of the 13.
_NAMED = {
    "wall": (21, "wall"),
    "floor": (11, "floor"),
    "cabinet": (3, "furniture"),
    "bed": (157, "bed"),
    "chair": (5, "chair"),
    "sofa": (83, "sofa"),
    "table": (19, "table"),
    "door": (28, "wall"),
    "window": (59, "window"),
    "bookshelf": (88, "furniture"),
    "picture": (64, "painting"),
    "counter": (7, "furniture"),
    "blinds": (80, "window"),
    "desk": (36, "table"),
    "shelves": (42, "furniture"),
    "curtain": (89, "window"),
    "dresser": (169, "furniture"),
    "pillow": (119, "objects"),
    "mirror": (122, "objects"),
    "floor mat": (143, "floor"),
    "clothes": (141, "objects"),
    "ceiling": (4, "ceiling"),
    "books": (85, "books"),
    "refridgerator": (17, "furniture"),  # as the file spells it
    "television": (172, "tv"),
    "paper": (15, "objects"),
    "towel": (135, "objects"),
    "shower curtain": (123, "objects"),
    "box": (26, "objects"),
    "whiteboard": (45, "objects"),
    "person": (331, "objects"),
    "night stand": (158, "furniture"),
    "toilet": (124, "objects"),
    "sink": (24, "objects"),
    "lamp": (144, "objects"),
    "bathtub": (136, "objects"),
    "bag": (55, "objects"),
}
_STRUCTURE = (
    8, 25, 33, 38, 51, 53, 57, 58, 62, 65, 79, 94, 104, 112, 134, 153, 215, 216, 223, 225, 238, 241, 242, 256, 295, 301,
    339, 342, 354, 363, 372, 380, 392, 408, 412, 453, 456, 463, 477, 497, 541, 550, 553, 567, 573, 582, 591, 609, 612,
    615, 642, 645, 657, 658, 659, 663, 667, 668, 686, 700, 702, 777, 778, 782, 850, 861, 868, 874,
)  # fmt: skip
_FURNITURE = (
    12, 43, 48, 50, 87, 106, 111, 161, 163, 174, 183, 204, 214, 219, 221, 224, 236, 262, 278, 291, 298, 313, 343, 344,
    356, 359, 373, 393, 401, 414, 418, 419, 430, 443, 444, 447, 448, 457, 458, 460, 462, 475, 479, 485, 486, 493, 494,
    498, 499, 509, 510, 515, 521, 524, 540, 549, 551, 554, 556, 558, 576, 580, 608, 625, 703, 734, 770, 772, 797, 800,
    803, 804, 813, 814, 815, 820, 829, 835, 858, 863, 882, 892,
)  # fmt: skip

LABELS = 894  # numbered from 1; 0 is not labelled
NAMES = {label: name for name, (label, _) in _NAMED.items()}  # of 37 labels, by which the official file is recognised
CLASSES40 = (*_NAMED, "otherstructure", "otherfurniture", "otherprop")
NONE = 255


def labels_to_40() -> npt.NDArray[np.uint8]:
    """A table [895]: the class 0..39 of every label, 255 for label 0.

    After Gupta, Arbelaez and Malik, *Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images*, CVPR
    2013 (their `classMapping40.mat`): 37 labels are classes of their own; the others are "other structure", "other
    furniture" or, most of them, "other props".
    """
    table = np.full(LABELS + 1, CLASSES40.index("otherprop"), np.uint8)
    table[0] = NONE
    table[list(_STRUCTURE)] = CLASSES40.index("otherstructure")
    table[list(_FURNITURE)] = CLASSES40.index("otherfurniture")
    for name, (label, _) in _NAMED.items():
        table[label] = CLASSES40.index(name)
    return table


def classes_40_to_13() -> npt.NDArray[np.uint8]:
    """A table [256]: the class 0..12 of every class 0..39, 255 for everything else.

    These are the classes of Couprie et al., *Indoor Semantic Segmentation using depth information*, ICLR 2013, derived
    from the 40 as in `class13Mapping.mat` of the labels that MTAN used.
    """
    table = np.full(256, NONE, np.uint8)
    others = {"otherstructure": "objects", "otherfurniture": "furniture", "otherprop": "objects"}
    for number, name in enumerate(CLASSES40):
        table[number] = CLASSES13.index(others[name] if name in others else _NAMED[name][1])
    return table
