"""The service in its own process: options, signals, standard output."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import typer
from spacy.language import Language
from typer.testing import CliRunner

from conll_ner.benchmarking import service_load
from conll_ner.serving import serve
from conll_ner.serving.app import create_app
from tests.conftest import ROOT
from tests.serve_helpers import metric, nlp, serving, wait_for  # noqa: F401  the fixture

app = typer.Typer(add_completion=False)
app.command()(serve.main)
LONG = {"text": ["Ada Lindqvist left Varnholm. " * 60] * 100}


@pytest.fixture(scope="module")
def saved(nlp: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("saved") / "model"
    nlp.to_disk(folder)
    return folder


@contextmanager
def running(
    saved: Path, *options: str, hangup: signal.Handlers = signal.SIG_DFL, **variables: str
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """serve with its standard output in a pipe.

    hangup (signal.Handlers): What it inherits for SIGHUP: under nohup, SIG_IGN.
    YIELDS (tuple[Popen, str]): The process, and its URL.
    """
    port = service_load.free_port()
    command = [sys.executable, "-m", "spacy", "ner", "serve", str(saved), "--port", str(port)]
    before = signal.signal(signal.SIGHUP, hangup)
    try:
        server = subprocess.Popen(
            [*command, "--device", "cpu", *options],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    with server:
        try:
            service_load.wait_until_listening(server, port)
            yield server, f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def output(server: "subprocess.Popen[bytes]") -> bytes:
    """RETURNS (bytes): What a process has printed when it has ended."""
    assert server.stdout
    return server.stdout.read()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_serve_finishes_accepted_requests_on_shutdown(saved: Path, number: int) -> None:
    with running(saved) as (server, url), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.post, f"{url}/predict", json=LONG, timeout=60)
        wait_for(lambda: metric(url, "ner_body_bytes") > 100_000)
        time.sleep(0.3)
        assert not waiting.done()
        server.send_signal(number)
        assert len(waiting.result().json()["documents"]) == 100
        server.wait(20)


@pytest.mark.slow
def test_serve_under_nohup_ignores_the_hangup(saved: Path) -> None:
    with running(saved, hangup=signal.SIG_IGN) as (server, url):
        server.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert httpx.get(f"{url}/ready").status_code == 200


@pytest.mark.slow
def test_serve_options_reach_the_service(saved: Path) -> None:
    options = [*("--allow-host", "ner.example", "--allow-host", "*.internal"), "--root-path=/ner/"]
    options += ["--allow-origin", "https://app.example", "--annotations", f"{saved}.jsonl"]
    with running(saved, *options, NER_TOKEN="secret") as (server, url):
        assert Path(f"{saved}.jsonl").read_text() == ""
        page = httpx.get(f"{url}/ready", headers={"Origin": "https://app.example"})
        assert page.headers["access-control-allow-origin"] == "https://app.example"
        for host, status in {"ner.example": 200, "a.internal": 200, "other.example": 400}.items():
            assert httpx.get(f"{url}/ready", headers={"Host": host}).status_code == status
        assert httpx.get(f"{url}/info").status_code == 401
        schema = httpx.get(f"{url}/openapi.json", headers={"Authorization": "Bearer secret"})
        assert schema.json()["servers"] == [{"url": "/ner"}]
        server.terminate()
        lines = [json.loads(line) for line in output(server).splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 200, 400, 401, 200]
    assert lines[-1]["path"] == "/ner/openapi.json"


@pytest.mark.slow
def test_serve_without_access_log_prints_nothing(saved: Path) -> None:
    with running(saved, "--no-access-log", "--host", "0.0.0.0") as (server, url):
        assert httpx.get(f"{url}/ready", headers={"Host": "any.example"}).status_code == 200
        server.terminate()
        assert output(server) == b""


@pytest.mark.parametrize(
    ("options", "token", "words"),
    [
        (["nowhere"], "t", "nowhere is not a pipeline"),
        (["x", "--allow-host", "http://ner"], "t", "--allow-host http://ner is not a host"),
        (["x", "--allow-origin", "app.org"], "t", "--allow-origin app.org is not an origin"),
        (["x", "--annotations", "."], "t", ". is a folder, and the output is a file"),
        (["x", "--root-path", "ner"], "t", "--root-path ner must start with /"),
        (["x", "--root-path", "/n r"], "t", "--root-path /n r must start with /"),
        (["x", "--root-path", "//"], "t", "--root-path // must start with /"),
        (["x"], "", "NER_TOKEN must be letters"),
    ],
)
def test_serve_reports_invalid_input_in_one_line(
    options: list[str], token: str, words: str
) -> None:
    result = CliRunner().invoke(app, [*options, "--device", "cpu"], env={"NER_TOKEN": token})
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_serve_docs_list_options_metrics_and_paths(nlp: Language) -> None:  # noqa: F811
    docs = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    options = {option for p in typer.main.get_command(app).params for option in p.opts}
    options = options - {"pipeline", "--access-log"} | {"--no-access-log"}
    paths = {"/", "/metrics", "/openapi.json"}
    with serving(create_app(nlp)) as url:
        paths |= set(httpx.get(f"{url}/openapi.json").json()["paths"])
        found = re.findall(r"^# HELP (ner_\w+)", httpx.get(f"{url}/metrics").text, re.MULTILINE)
    assert len(options) == 10
    assert len(found) > 7
    for name in {*options, *(name for name in found if not name.endswith("_created"))}:
        assert f"`{name}`" in docs, name
    for path in paths:
        assert re.search(rf"^\| `(GET|POST) {path}`", docs, re.MULTILINE), path
