"""Turns the official downloads of NYU-Depth-v2 and Cityscapes into folders that `tutelage.data` reads."""

from tutelage.prepare.cityscapes import prepare_cityscapes
from tutelage.prepare.normals import Camera, normals_from_depth
from tutelage.prepare.nyuv2 import prepare_nyuv2

__all__ = ["Camera", "normals_from_depth", "prepare_cityscapes", "prepare_nyuv2"]
