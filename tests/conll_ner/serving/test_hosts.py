"""Requests for other hosts are refused, against DNS rebinding."""

import httpx
import pytest
from spacy.language import Language

from conll_ner.common.console import InputError
from conll_ner.serving.app import create_app
from conll_ner.serving.hosts import list_allowed_hosts
from tests.serve_helpers import serving


def status(url: str, host: str) -> int:
    return httpx.get(f"{url}/health", headers={"Host": host}).status_code


def test_only_this_machines_names_by_default(nlp: Language) -> None:
    with serving(create_app(nlp, hosts=list_allowed_hosts("192.168.7.7", ()))) as url:
        for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.7.7"):
            assert status(url, host) == 200, host
        for host in ("rebound.example", "localhost.rebound.example", "192.168.7.8", "", "a b"):
            assert status(url, host) == 400, host
        refused = httpx.post(f"{url}/predict", json={"text": "Ada"}, headers={"Host": "rebound"})
        assert (refused.status_code, refused.text) == (400, "Invalid host header")


def test_hosts_that_are_allowed_by_option(nlp: Language) -> None:
    hosts = list_allowed_hosts("0.0.0.0", ["ner.example.org", "*.internal", "fd00:0::5"])
    with serving(create_app(nlp, hosts=hosts)) as url:
        for host in ("ner.example.org", "a.internal:80", "[fd00::5]:8000", "localhost", "0.0.0.0"):
            assert status(url, host) == 200, host
        for host in ("example.org", "www.ner.example.org", "internal", "[fd00::6]"):
            assert status(url, host) == 400, host


@pytest.mark.parametrize(
    ("bound", "allowed"), [("0.0.0.0", ()), ("::", ()), ("127.0.0.1", ("*",)), ("0.0.0.0", ("*",))]
)
def test_any_host_on_all_interfaces_or_by_option(
    nlp: Language, bound: str, allowed: tuple[str, ...]
) -> None:
    """A container doesn't know the names by which others reach it."""
    with serving(create_app(nlp, hosts=list_allowed_hosts(bound, allowed))) as url:
        assert status(url, "any.example") == 200


@pytest.mark.parametrize(
    "name", ["http://ner", "ner:8000", "ner/", "*ner", "n*r", "**", "", "a b", "[ner]"]
)
def test_a_value_that_is_no_host_is_an_error(name: str) -> None:
    with pytest.raises(InputError, match="is not a host: pass a name or an address") as error:
        list_allowed_hosts("127.0.0.1", ["fine", name])
    assert "\n" not in str(error.value)
