"""Try sources in order, with or without a network."""

import os
from collections.abc import Callable
from typing import Any

import requests

from conll_ner.common.console import InputError


def go_offline_without_hub() -> None:
    """Set the Hugging Face libraries to offline mode if the hub can't be reached, so that they use
    their cache at once instead of retrying for a minute. Call this before importing them."""
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        return
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        requests.head(endpoint, timeout=10)
    except requests.RequestException:
        os.environ["HF_HUB_OFFLINE"] = "1"


def try_sources(
    sources: list[tuple[str, Callable[[], Any]]], problem: str, remedy: str
) -> tuple[str, Any]:
    """Try sources in order.

    sources (list[tuple[str, Callable[[], Any]]]): Name and reader of each source.
    problem (str): What failed, for the error.
    remedy (str): How to fix it, for the error.
    RETURNS (tuple[str, Any]): Name and result of the first source that succeeds.
    RAISES (InputError): If all fail. Lists the error of each source.
    """
    tried = []
    for name, read in sources:
        try:
            return name, read()
        except Exception as error:  # libraries raise many types; try the next source
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            tried.append(f"  {name}: {reason}")
    raise InputError(
        "\n".join([f"{problem}; tried in this order:", *tried, f"To fix it: {remedy}"])
    )
