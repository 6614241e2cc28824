"""Predictors on the Hugging Face hub: one file without code and a card. Whatever goes wrong is one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tutelage.errors import UserError, one_line
from tutelage.layout import PREDICTOR

if TYPE_CHECKING:
    from tutelage.deploy.predictor import Predictor

# What huggingface_hub raises -> what was found, and what to do. The names are read along the classes' bases.
_FOUND = {
    "GatedRepoError": ("one whose terms you have not accepted", "accept them on its page, and `hf auth login`"),
    "RepositoryNotFoundError": ("none that you may see", "check the name, or `hf auth login`"),
    "RevisionNotFoundError": ("no such revision of it", "give another revision"),
    "LocalEntryNotFoundError": ("no hub that can be reached, and no copy here", "check the network, or give a file"),
    "EntryNotFoundError": (f"no {PREDICTOR} in it", "give a model that `tutelage push` wrote"),
    "HFValidationError": ("no name of a model", "give USER/NAME"),
    "LocalTokenNotFoundError": ("nobody logged in", "`hf auth login`, or set HF_TOKEN"),
    "ConnectionError": ("no hub that can be reached", "check the network, HF_ENDPOINT and HF_HUB_OFFLINE"),
    "RequestError": ("no hub that can be reached", "check the network and HF_ENDPOINT"),  # of its HTTP client
}


def download(
    repo_id: str,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """The file of a predictor on the hub, as a copy on this machine: `predictor.safetensors`, and no other file of it.

    Raises:
        UserError: It cannot be had; one line.
    """
    with _one_line(repo_id, "a file, a folder, or a model on the hub"):
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        if not local_files_only:
            try:  # asked once: `hf_hub_download` would ask a hub that does not answer for half a minute
                get_hf_file_metadata(hf_hub_url(repo_id, PREDICTOR, revision=revision), token=token)
            except Exception as error:  # classes of its HTTP client, which differ between versions: by name in `_found`
                if _found(error)[0] != _FOUND["RequestError"][0]:
                    raise
                local_files_only = True
        path = hf_hub_download(
            repo_id, PREDICTOR, revision=revision, token=token, cache_dir=cache_dir, force_download=force_download,
            local_files_only=local_files_only, library_name="tutelage",
        )  # fmt: skip
    return Path(path)


def push(
    predictor: "Predictor",
    card: str,
    repo_id: str,
    private: bool | None,
    token: str | None,
    branch: str | None,
    create_pr: bool | None,
    commit_message: str,
) -> str:
    """Upload a predictor and its card; the address of the commit.

    Raises:
        UserError: It cannot be uploaded; one line.
    """
    from tutelage.deploy.bundle import save

    with TemporaryDirectory() as folder, _one_line(repo_id, "a place on the hub that you may write to"):
        from tutelage.deploy.hub_model import HubModel

        file = save(predictor, folder)  # first: for what cannot be saved, no place is made
        url: str = HubModel(file, card).push_to_hub(
            repo_id, private=private, token=token, branch=branch, create_pr=create_pr, commit_message=commit_message
        )
    return url


@contextmanager
def _one_line(repo_id: str, expected: str) -> Iterator[None]:
    """Replace what huggingface_hub raises by a line."""
    if find_spec("huggingface_hub") is None:
        raise UserError(f"{repo_id}: expected huggingface_hub for models on the hub; pip install 'tutelage[hub]'")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # its own classes and those of its HTTP client, which differ between versions
        found, advice = _found(error)
        raise UserError(f"{repo_id}: expected {expected}, found {found}; {advice}") from error


def _found(error: Exception) -> tuple[str, str]:
    names = [base.__name__ for base in type(error).__mro__]
    for name in names:
        if name in _FOUND:
            return _FOUND[name]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"no right to it (status {status})", "`hf auth login`, or set HF_TOKEN to a token that may do this"
    return f"status {status}" if status else f"{type(error).__name__}: {one_line(error)}", "try again later"
