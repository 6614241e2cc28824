"""A predictor as huggingface_hub's mixin saves and uploads it."""

import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelHubMixin


class HubModel(ModelHubMixin, library_name="tutelage"):
    """The file of a predictor and its card. The mixin has `save_pretrained` and `push_to_hub`.

    Its `from_pretrained` is not used: it would read a config.json, whose keys become arguments. `hub.download` takes
    the one file that `load` reads.

    Args:
        file: What `save` wrote.
        card: README.md.
    """

    def __init__(self, file: Path, card: str) -> None:
        self.file, self.card = file, card
        self._hub_mixin_config = None  # the mixin would write the arguments; the file has the network's

    def _save_pretrained(self, save_directory: Path) -> None:
        shutil.copy(self.file, save_directory)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card."""
        return ModelCard(self.card)
