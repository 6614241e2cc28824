"""Folders that `tutelage.data` reads, from the official downloads of NYU-Depth-v2 and Cityscapes."""

from tutelage.data.prepare.cityscapes import prepare_cityscapes
from tutelage.data.prepare.normals import Camera, normals_from_depth
from tutelage.data.prepare.nyuv2 import prepare_nyuv2

__all__ = ["Camera", "normals_from_depth", "prepare_cityscapes", "prepare_nyuv2"]
