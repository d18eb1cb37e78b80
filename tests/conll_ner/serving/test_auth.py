"""With a token in the environment, requests must send it."""

import secrets
from secrets import compare_digest

import httpx
import pytest
from spacy.language import Language

from conll_ner.common.console import InputError
from conll_ner.serving.app import create_app
from conll_ner.serving.auth import read_token
from tests.serve_helpers import serving

TOKEN = "aB3-._~+/=="
SENT = {"Authorization": f"Bearer {TOKEN}"}


def test_everything_but_probes_and_page_needs_the_token(nlp: Language) -> None:
    with serving(create_app(nlp, token=TOKEN)) as url:
        for path in ("/", "/health", "/ready"):
            assert httpx.get(url + path).status_code == 200, path
        for path in ("/info", "/metrics", "/openapi.json", "/nowhere", "/health/", "//health"):
            assert httpx.get(url + path).status_code == 401, path
        body = {"text": "Ada"}
        assert httpx.post(f"{url}/predict", json=body).status_code == 401
        assert httpx.post(f"{url}/predict", json=body, headers=SENT).status_code == 200
        assert httpx.get(f"{url}/info", headers=SENT).status_code == 200
        assert httpx.get(f"{url}/nowhere", headers=SENT).status_code == 404


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "a token is required: Authorization: Bearer TOKEN"),
        (b"Bearer", "a token is required: Authorization: Bearer TOKEN"),
        (b"Basic " + TOKEN.encode(), "a token is required: Authorization: Bearer TOKEN"),
        (b"Bearer x" + TOKEN.encode(), "wrong token"),
        (b"Bearer " + TOKEN.encode()[:-1], "wrong token"),
        (b"Bearer " + TOKEN.lower().encode(), "wrong token"),
        ("Bearer Zoë".encode(), "wrong token"),
    ],
)
def test_other_tokens_are_refused_with_a_reason(nlp: Language, sent: bytes, reason: str) -> None:
    with serving(create_app(nlp, token=TOKEN)) as url:
        response = httpx.get(f"{url}/info", headers={b"Authorization": sent})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json() == {"detail": reason}


def test_tokens_are_compared_in_constant_time(
    nlp: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the function of the standard library that is made for it: `==` stops at the first byte
    that differs, which tells how much of a guess is right."""
    compared = []

    def compare(sent: bytes, token: bytes) -> bool:
        compared.append(sent)
        return compare_digest(sent, token)

    monkeypatch.setattr(secrets, "compare_digest", compare)
    with serving(create_app(nlp, token=TOKEN)) as url:
        for token, status in ((TOKEN, 200), (f"{TOKEN[:3]}x", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx.get(f"{url}/info", headers=headers).status_code == status
    assert compared == [TOKEN.encode(), TOKEN[:3].encode() + b"x"]


def test_the_body_of_a_request_without_token_is_not_read(nlp: Language) -> None:
    """So that strangers can't fill the memory for bodies."""
    with serving(create_app(nlp, token=TOKEN)) as url:
        body = b" " * 3_000_000  # more than is allowed
        assert httpx.post(f"{url}/predict", content=body).status_code == 401
        assert httpx.post(f"{url}/predict", content=body, headers=SENT).status_code == 413


def test_the_schema_names_the_token(nlp: Language) -> None:
    with serving(create_app(nlp, token=TOKEN)) as url, serving(create_app(nlp)) as open_url:
        schema = httpx.get(f"{url}/openapi.json", headers=SENT).json()
        assert schema["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
        secured = {
            path
            for path, methods in schema["paths"].items()
            for m in methods.values()
            if m.get("security") == [{"HTTPBearer": []}] and "401" in m["responses"]
        }
        assert secured == {"/predict", "/info"}
        assert "HTTPBearer" not in httpx.get(f"{open_url}/openapi.json").text


def test_the_token_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NER_TOKEN", raising=False)
    assert read_token() is None
    monkeypatch.setenv("NER_TOKEN", TOKEN)
    assert read_token() == TOKEN


@pytest.mark.parametrize("token", ["", " ", "two words", "line\n", "Zoë", "=", "a=b"])
def test_a_token_that_cannot_be_sent_is_an_error(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty one too: the variable may be empty by mistake, and the service would be open."""
    monkeypatch.setenv("NER_TOKEN", token)
    with pytest.raises(InputError, match="NER_TOKEN must be letters") as error:
        read_token()
    assert token not in str(error.value) or len(token) < 2
