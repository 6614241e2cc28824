"""Images as networks in training see them: with other colours, blurred or noisy, every pixel at its place."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, one_line
from tutelage.images import Size
from tutelage.train.seed import set_seed

_DRAWS = 8  # with which a transform is tried
_VERSION_2 = "torchvision.transforms.v2"
_ELSEWHERE = "crops and flips belong in train.augment"


class Distortion:
    """Applies transforms of images one after the other; labels and frozen teachers do not notice.

    Args:
        makers: of the modules [3, H, W] -> [3, H, W], float32 in 0..1, whose random numbers are torch's.

    Raises:
        UserError: whatever a module raises, here when it is built and later when it is called.
    """

    def __init__(self, makers: Sequence[Callable[[], nn.Module]]) -> None:
        self.modules = nn.ModuleList()
        for number, make in enumerate(makers):
            with _naming(number, "a module that can be built"):
                self.modules.append(make())

    def __bool__(self) -> bool:
        return len(self.modules) > 0

    @torch.no_grad()
    def __call__(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        """The images [B, 3, H, W], distorted; what image i becomes depends on it and on seed i alone."""
        self.modules.to(images.device)
        result = torch.empty_like(images)
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            for i, seed in enumerate(seeds):
                set_seed(seed, images.device)
                result[i] = self._distorted(images[i].clone())  # a module may work in place
        return result

    def _distorted(self, image: Tensor) -> Tensor:
        for number, module in enumerate(self.modules):
            shape, dtype, name = tuple(image.shape), image.dtype, type(module).__name__
            with _naming(number, f"{name} to take an image {shape}"):
                changed = module(image)
            if not isinstance(changed, Tensor) or (tuple(changed.shape), changed.dtype) != (shape, dtype):
                is_tensor = isinstance(changed, Tensor)
                found = f"{tuple(changed.shape)} of {changed.dtype}" if is_tensor else type(changed).__name__
                raise UserError(
                    f"train.distort[{number}]: expected {name} to return what it is given, {shape} of {dtype}, found "
                    f"{found}; {_ELSEWHERE}"
                )
            image = changed
        return image.clamp(0, 1)

    def check(self, size: Size) -> None:
        """Raise a one-line UserError if a transform does not take images of this size, or moves pixels.

        Transforms of torchvision are asked; what other modules do with pixels is not known.
        """
        image = torch.linspace(0, 1, 3 * size[0] * size[1]).reshape(3, *size)
        self(image.expand(_DRAWS, -1, -1, -1), range(_DRAWS))
        for number, module in enumerate(self.modules):
            for part in module.modules():
                name, package = type(part).__name__, type(part).__module__
                if package.startswith("torchvision.transforms.") and not package.startswith(_VERSION_2):
                    raise UserError(
                        f"train.distort[{number}]: expected a transform of {_VERSION_2}, which says what it moves, "
                        f"found {package.rpartition('.')[0]}.{name}; take {_VERSION_2}.{name}"
                    )
                if _moves_pixels(part, image):
                    raise UserError(
                        f"train.distort[{number}]: expected a transform that leaves every pixel at its place, since "
                        f"labels stay where they are, found {name}; {_ELSEWHERE}"
                    )


@contextmanager
def _naming(number: int, expected: str) -> Iterator[None]:
    """Turn whatever a module of a library or of the user raises into one line that names it."""
    try:
        yield
    except Exception as error:  # whatever a module of the user raises
        raise UserError(
            f"train.distort[{number}]: expected {expected}, found {type(error).__name__}: {one_line(error)}"
        ) from error


@torch.no_grad()
def _moves_pixels(module: nn.Module, image: Tensor) -> bool:
    """Whether a transform of torchvision changes the mask that belongs to an image; other modules cannot be asked."""
    from torchvision import tv_tensors  # seconds to import
    from torchvision.transforms.v2 import Lambda, Transform

    if not isinstance(module, Transform) or isinstance(module, Lambda):  # a Lambda changes masks as it does images
        return False
    mask = tv_tensors.Mask(torch.arange(image[0].numel()).reshape(image.shape[1:]))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):  # RandomErasing takes no masks
        for seed in range(_DRAWS):
            set_seed(seed, image.device)
            try:
                moved = module(tv_tensors.Image(image.clone()), mask)[1]
            except TypeError:  # RandAugment and its like, which rotate and shear, refuse masks
                return True
            if not torch.equal(moved, mask):
                return True
    return False
