"""Web pages of other origins: refused, unless an option allows them (CORS)."""

import httpx
import pytest
from spacy.language import Language

from conll_ner.common.console import InputError
from conll_ner.serving.app import create_app
from conll_ner.serving.origins import check_origins
from tests.serve_helpers import serving

PAGE = "https://app.example.org"
ASKED = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}
BODY = {"text": "Ada"}


def test_origins_are_refused_by_default(nlp: Language) -> None:
    with serving(create_app(nlp)) as url:
        assert httpx.options(f"{url}/predict", headers=ASKED).status_code == 405
        response = httpx.post(f"{url}/predict", json=BODY, headers={"Origin": PAGE})
        assert not any(name.startswith("access-control") for name in response.headers)


def test_origins_that_are_allowed_may_send_texts_and_the_token(nlp: Language) -> None:
    with serving(create_app(nlp, token="tok", origins=["http://localhost:5173", PAGE])) as url:
        response = httpx.options(f"{url}/predict", headers=ASKED)  # without the token, as browsers
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == PAGE
        assert "POST" in response.headers["access-control-allow-methods"]
        allowed = response.headers["access-control-allow-headers"].lower()
        assert {"authorization", "content-type"} <= set(allowed.replace(" ", "").split(","))
        sent = {"Origin": PAGE, "Authorization": "Bearer tok"}
        response = httpx.post(f"{url}/predict", json=BODY, headers=sent)
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (
            200,
            PAGE,
        )
        assert "access-control-allow-credentials" not in response.headers  # no cookies


@pytest.mark.usefixtures("slow")  # which fails on "broken"
def test_origins_that_are_allowed_can_read_refusals(nlp: Language) -> None:
    """Else a page sees a network error in their place."""
    with serving(create_app(nlp, token="tok", origins=[PAGE])) as url:
        sent = {"Origin": PAGE, "Authorization": "Bearer tok"}
        for headers, text, status in (
            ({"Origin": PAGE}, "Ada", 401),
            (sent, "x" * 200_001, 413),
            (sent, "x" * 3_000_000, 413),
            (sent, 5, 422),
            (sent, "broken", 500),
            (sent | {"Host": "other.example"}, "Ada", 400),
        ):
            response = httpx.post(f"{url}/predict", json={"text": text}, headers=headers)
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == PAGE


def test_origins_that_are_not_allowed_are_refused(nlp: Language) -> None:
    with serving(create_app(nlp, origins=[PAGE])) as url:
        for origin in ("https://other.example", f"{PAGE}:8443", "null"):
            assert httpx.options(f"{url}/predict", headers=ASKED | {"Origin": origin}).is_error
            response = httpx.post(f"{url}/predict", json=BODY, headers={"Origin": origin})
            assert "access-control-allow-origin" not in response.headers


def test_origins_any(nlp: Language) -> None:
    with serving(create_app(nlp, origins=["*"])) as url:
        response = httpx.options(f"{url}/predict", headers=ASKED)
        assert response.headers["access-control-allow-origin"] == "*"


def test_origins_are_checked() -> None:
    fine = ["https://App.example.org", "http://localhost:5173", "http://[::1]:80", "tauri://x", "*"]
    assert check_origins(fine) == [fine[0].lower(), *fine[1:]]


@pytest.mark.parametrize(
    "origin",
    ["app.example.org", f"{PAGE}/", f"{PAGE}/page", "https://", "https://a@b", "", "https://*.x"],
)
def test_origins_that_are_none_are_an_error(origin: str) -> None:
    with pytest.raises(InputError, match=r"is not an origin: pass scheme, host") as error:
        check_origins(["https://fine", origin])
    assert "\n" not in str(error.value)
