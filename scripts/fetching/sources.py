"""Try sources in order, with or without a network."""

import os
from collections.abc import Callable
from typing import Any

import requests

from common.console import InputError


def go_offline_without_hub() -> None:
    """Set the hub's libraries to offline mode if the hub can't be reached, so that they use their
    cache at once instead of retrying for a minute. Call it before they are imported."""
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
    RAISES (InputError): If all fail: names every source that was tried, and how to fix it.
    """
    tried = []
    for name, read in sources:
        try:
            return name, read()
        except Exception as error:  # for the user, a library's error is like ours
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            tried.append(f"  {name}: {reason}")
    raise InputError(
        "\n".join([f"{problem}; tried in this order:", *tried, f"To fix it: {remedy}"])
    )
