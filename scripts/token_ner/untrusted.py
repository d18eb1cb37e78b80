"""Models from strangers: their settings, files and weights are data, and no code of theirs runs."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

# Settings of transformers' from_pretrained that import or fetch code.
CODE_SETTINGS = ("trust_remote_code", "auto_map", "code_revision", "custom_generate", "use_kernels")
# Settings of a config.json that can name a repository of kernels, which are code (CVE-2026-4372).
ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
SAVED_TOKENIZER_SETTINGS = ("use_fast",)  # what HFShim.to_bytes saves
TOKENIZER_SUFFIXES = (".json", ".txt", ".model", ".jinja")


def refuse_code(settings: Mapping[str, Any], where: str) -> None:
    """RAISES (ValueError): If a setting would run code that comes with a model."""
    found = [name for name in CODE_SETTINGS if settings.get(name)]
    if found:
        raise ValueError(
            f"{where}: {', '.join(found)} would run code that comes with the model; only models "
            "that transformers itself contains can be used"
        )
    refuse_kernels(settings, where)


def refuse_kernels(settings: Mapping[str, Any], where: str) -> None:
    """RAISES (ValueError): If a model's config, or one in it, names attention of a repository."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            refuse_kernels(value, where)
        elif name in ATTENTION and "/" in str(value):
            raise ValueError(
                f"{where}: {name} = {value} would download and run code; delete this setting"
            )


def check_saved(saved: Mapping[str, Any]) -> None:
    """Check what a pipeline's folder says about its model, before anything is written or loaded.

    saved (Mapping[str, Any]): As HFShim.to_bytes makes it.
    RAISES (ValueError): If it could run code, or write to another folder.
    """
    refuse_code(saved.get("config") or {}, "the model's config")
    files = dict(saved.get("tokenizer") or {})
    unknown = sorted(set(files.pop("kwargs", {})) - set(SAVED_TOKENIZER_SETTINGS))
    if unknown:
        raise ValueError(
            f"the saved tokenizer has the settings {', '.join(unknown)}; only "
            f"{', '.join(SAVED_TOKENIZER_SETTINGS)} is allowed"
        )
    for name in files:
        plain = PurePosixPath(name.replace("\\", "/")).name == name
        if not plain or not name.endswith(TOKENIZER_SUFFIXES):
            raise ValueError(
                f"the saved tokenizer has a file {name!r}; only plain names that end in "
                f"{', '.join(TOKENIZER_SUFFIXES)} are allowed"
            )
    for key in ("_init_tokenizer_config", "_init_transformer_config"):
        refuse_code(saved.get(key) or {}, "the pipeline's config")
