"""Indoor scenes from random furniture, ray-cast: image, classes, exact depth, exact normals."""

from tutelage.data.rooms.source import Rooms

__all__ = ["Rooms"]
