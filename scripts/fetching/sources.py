"""Try sources in order, with or without a network."""

import os
from collections.abc import Callable
from typing import Any

import requests

from common.console import InputError


def go_offline_without_hub() -> None:
    """Where the hub can't be reached, say so to its libraries: they look in their cache at once
    rather than retry for a minute. To be called before they are imported."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        requests.head(endpoint, timeout=10)
    except requests.RequestException:
        os.environ["HF_HUB_OFFLINE"] = "1"


def first_that_works(
    sources: list[tuple[str, Callable[[], Any]]], problem: str, remedy: str
) -> tuple[str, Any]:
    """Try sources in order.

    RETURNS (tuple[str, Any]): The name and the outcome of the first one without an error.
    RAISES (InputError): If none is left: names every source tried, and how to mend it.
    """
    tried = []
    for name, read in sources:
        try:
            return name, read()
        except Exception as error:  # a library's error is no different from ours to the user
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            tried.append(f"  {name}: {reason}")
    raise InputError(
        "\n".join([f"{problem}; tried in this order:", *tried, f"To mend it: {remedy}"])
    )
