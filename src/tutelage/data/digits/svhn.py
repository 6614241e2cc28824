"""SVHN: 32x32 colour digits of house numbers."""

from pathlib import Path

from tutelage.data.base import Split
from tutelage.data.digits.arrays import ImagesAndClasses, as_tensors, check_published, fetch, pick, reading
from tutelage.data.digits.base import ImageFiles
from tutelage.images import Size


class Svhn(ImageFiles):
    """Street View House Numbers (Netzer et al., 2011), cropped: 73,257 training and 26,032 test images, 32x32, colour.

    Reads the published files `root/train_32x32.mat` and `root/test_32x32.mat` with `X` [32, 32, 3, N] and `y` [N, 1],
    in which 10 stands for the digit 0. `train` and `test` are the official training and test images (see
    `ImageFiles`); the additional `extra_32x32.mat` is not used.

    Args:
        root: The folder with the files.
        task: The name of the task; classes are 0..9.
        size: Height and width to which images are resized; None keeps 32x32.
        train: The number of training images, equally many of each class if possible; None takes all.
        seed: Which training images are taken.
        download: Let torchvision download missing files when the data are checked.
    """

    name = "svhn"
    file_size = (32, 32)
    library = "scipy"
    remedy = "download train_32x32.mat and test_32x32.mat of http://ufldl.stanford.edu/housenumbers there"

    def __init__(
        self,
        root: Path,
        task: str = "svhn",
        size: Size | None = None,
        train: int | None = None,
        seed: int = 0,
        download: bool = False,
    ) -> None:
        super().__init__(root, task, size, train, seed)
        self.download = download

    def check_files(self) -> None:
        """Download missing files, if `download` is true; raise for the first file that is missing."""
        for split in ("train", "test"):
            if self.download and not all(path.is_file() for path in self.files(split)):
                fetch("SVHN", self.root, split=split)
        super().check_files()

    def files(self, split: Split) -> list[Path]:
        """The .mat file of the split."""
        return [self.root / f"{split}_32x32.mat"]

    def read(self, split: Split) -> ImagesAndClasses:
        """Bytes [N, 3, 32, 32].

        torchvision's SVHN is not used: it reads the digest of the whole file every time and accepts no other file of
        this format.
        """
        from scipy.io import loadmat, whosmat

        [path] = self.files(split)
        with reading(path):
            for name, shape, _ in whosmat(path):
                check_published(name, shape)
            images, classes = pick(loadmat(path, variable_names=["X", "y"]), "X", "y")
            if images.ndim != 4:
                raise ValueError(f"`X` {list(images.shape)} where [32, 32, 3, N] belongs")
        classes = classes.reshape(-1)
        classes[classes == 10] = 0
        return as_tensors(images.transpose(3, 2, 0, 1), classes, (3, 32, 32), path)
