"""Whether the weights of a pretrained encoder are here, or may be fetched."""

ENCODER = "resnet18.a1_in1k"  # of timm, 45 MB
_REPOSITORY = f"timm/{ENCODER}"
_FILE = "model.safetensors"
_SECONDS = 3.0  # until the hub has to answer


def find_weights() -> str | None:
    """Where the weights of `ENCODER` come from, in words; None where they are not in the cache nor to be fetched.

    Nothing is downloaded. `HF_HUB_OFFLINE=1` keeps from asking the hub.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(_REPOSITORY, _FILE), str):
        return "The weights are in the cache."
    if constants.HF_HUB_OFFLINE:
        return None
    try:
        metadata = get_hf_file_metadata(hf_hub_url(_REPOSITORY, _FILE), timeout=_SECONDS)
    except Exception:  # whatever httpx, requests and the hub raise where it cannot be reached
        return None
    return f"The weights, {(metadata.size or 0) / 1e6:.0f} MB, are fetched from huggingface.co, once."
