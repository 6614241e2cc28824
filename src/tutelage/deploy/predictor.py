"""The student alone, as one module: from images to the activated predictions of its tasks."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.errors import UserError
from tutelage.images import Image, Size, as_image, check_images, resize_on_grid
from tutelage.types import MultiTaskNet, Output, Task, is_reserved


class Predictor(nn.Module):
    """A network with the activations of its tasks and the size of the images that it was trained on.

        x' = resize(x, size)            y'_t = net(x')_t            y_t = activate_t(resize(y'_t, size of x))

    where `resize` is bilinear with antialiasing, as the data resize images, and leaves an image of that size as it is;
    x' is rounded to multiples of 1/65280, so that areas of one colour stay that in every program (`on_grid`).
    Raw outputs of the whole image are not resized. The raw output is resized, not the prediction: so classes follow
    from interpolated logits, and normals have unit length again. With `size` None images keep their size.

    The network normalises the images itself. A predictor stays in eval mode: its `train()` has no effect. Call
    `net.train()` to continue training.

    Args:
        net: A network with a head for each of these tasks, or more.
        tasks: name -> task.
        size: Height and width that images are resized to; None: images keep their size.
        config: The config from which `build` builds the same predictor; `save` needs it.

    Raises:
        ValueError: There is no task, a name has other characters than letters, digits, `_` and `-`, or `size` is not
            positive.
    """

    def __init__(
        self,
        net: MultiTaskNet,
        tasks: Mapping[str, Task],
        size: Size | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_names(tasks)
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise UserError(f"size: expected height and width of at least 1, found {size}")
        self.net, self.tasks, self.size, self.config = net, dict(tasks), size, config
        self.dense = {t for t, task in self.tasks.items() if task.dense}
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever `mode` is."""
        return super().train(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{task: activated prediction} of images [B, 3, H, W], uint8 or float in 0..1, on the network's device.

        Dense predictions have the size of the images: int64 or float32 [B, H, W] or [B, C, H, W].

        Raises:
            ValueError: The images have another shape or type.
        """
        x = self._floats(images)
        raw = self._raw(self._resized(x))
        return {t: self._activated(t, raw[t], (x.shape[2], x.shape[3])) for t in self.tasks}

    def _floats(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in 0..1."""
        if images.ndim != 4 or images.shape[1] != 3 or not (images.dtype == torch.uint8 or images.is_floating_point()):
            raise UserError(
                f"images: expected [B, 3, H, W] of uint8, or of floats in 0..1, found {list(images.shape)} of "
                f"{images.dtype}"
            )
        return images.float() / 255 if images.dtype == torch.uint8 else images.float()

    def _resized(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in 0..1 as the network takes them."""
        return images if self.size is None else resize_on_grid(images, self.size)

    def _raw(self, images: Tensor) -> dict[str, Tensor]:
        """The raw outputs of all tasks."""
        output: Output = self.net(images.to(self._weight.dtype), tasks=list(self.tasks))
        return output.predictions

    def _finite(self, raw: dict[str, Tensor]) -> dict[str, Tensor]:
        """Raw outputs that are finite: the most likely class of nan would be class 0."""
        for t, x in raw.items():
            if not bool(x.isfinite().all()):
                raise UserError(f"tasks.{t}: expected finite outputs, found nan or inf; train the network again")
        return raw

    def _activated(self, task: str, raw: Tensor, size: Size) -> Tensor:
        """The prediction of a raw output [B, C, ...] for images of `size`."""
        if task in self.dense and raw.shape[2:] != size:
            raw = interpolate(raw.float(), size, mode="bilinear", antialias=True)
        return self.tasks[task].activate(raw)

    @torch.no_grad()
    def predict(self, image: Image) -> dict[str, Tensor]:
        """{task: activated prediction} of one image, without a batch dimension, on the CPU.

        Args:
            image: A file, a picture of Pillow, or an array or tensor [3, H, W] or [H, W, 3] of bytes or of floats in
                0..1. A tensor [B, 3, H, W] is a batch, and its predictions have a batch dimension.

        Raises:
            ValueError: The argument is no image, or an output of the network is not finite.
        """
        if not (isinstance(image, Tensor) and image.ndim == 4):
            return self.predict_several([image])[0]
        images = self._floats(check_images(image).to(self._weight.device))
        raw = self._finite(self._raw(self._resized(images)))
        return {t: self._activated(t, raw[t], (images.shape[2], images.shape[3])).cpu() for t in self.tasks}

    @torch.no_grad()
    def predict_several(self, images: Sequence[Image]) -> list[dict[str, Tensor]]:
        """What `predict` gives for each of several images, which may differ in size.

        Those that have one size after resizing go through the network as one batch.

        Raises:
            ValueError: One of them is no image, or an output of the network is not finite.
        """
        tensors = [as_image(image)[None].to(self._weight.device) for image in images]
        resized = [self._resized(x) for x in tensors]
        predictions: list[dict[str, Tensor]] = [{} for _ in images]
        for shape in dict.fromkeys(x.shape for x in resized):
            places = [i for i, x in enumerate(resized) if x.shape == shape]
            raw = self._finite(self._raw(torch.cat([resized[i] for i in places])))
            for row, i in enumerate(places):
                size = (tensors[i].shape[2], tensors[i].shape[3])
                predictions[i] = {t: self._activated(t, raw[t][row : row + 1], size)[0].cpu() for t in self.tasks}
        return predictions

    def push_to_hub(
        self,
        repo_id: str,
        card: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        commit_message: str = "Upload a predictor of tutelage",
    ) -> str:
        """Upload the predictor and its card to the Hugging Face hub; the address of the commit.

        The other arguments are those of `huggingface_hub.ModelHubMixin.push_to_hub`, which does it.

        Args:
            repo_id: USER/NAME.
            card: What README.md says; `model_card` writes it.

        Raises:
            ValueError: The predictor has no config, or it cannot be uploaded; one line.
        """
        from tutelage.deploy.hub import push

        return push(self, card, repo_id, private, token, branch, create_pr, commit_message)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        trust: Collection[str] = (),
        size: Size | Literal["trained", "keep"] = "trained",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> "Predictor":
        """What `tutelage.load` gives for a file, a folder, or USER/NAME on the hub, of which it takes one file.

        The other arguments are those of `huggingface_hub.hf_hub_download`.

        Args:
            pretrained_model_name_or_path: A folder or file that exists, or USER/NAME.
            trust: See `load`.
            size: See `load`.

        Raises:
            ValueError: It cannot be had, or `load` refuses it; one line.
        """
        from tutelage.deploy.bundle import load
        from tutelage.deploy.hub import download

        path = Path(pretrained_model_name_or_path)
        if not path.exists():
            name = path.as_posix()
            path = download(name, revision, token, cache_dir, force_download, local_files_only)
        return load(path, trust, size)

    @property
    def _weight(self) -> Tensor:
        return next((p for p in self.net.parameters() if p.is_floating_point()), torch.zeros(()))


def check_names(tasks: Collection[str]) -> None:
    """Raise a UserError where there is no task, or where a name cannot be part of a file's name."""
    if not tasks:
        raise UserError("tasks: expected one task or more, found none")
    for name in tasks:
        if not re.fullmatch(r"\w[\w-]*", name):
            raise UserError(f"tasks: expected names of letters, digits, '_' and '-', found `{name[:80]}`")
        if is_reserved(name):  # networks keep their heads under these names
            raise UserError(
                f"tasks: expected names that torch's modules have no other use for, found `{name}`; rename the task"
            )
