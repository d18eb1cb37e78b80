"""Load test of the service: many clients, one text per request."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import aiohttp

from conll_ner.common.console import InputError
from conll_ner.data.formats.annotated import Annotated
from conll_ner.prediction.annotating import cut_parts, load_for_annotation
from conll_ner.prediction.outputs import FORMATS
from conll_ner.prediction.parts import Annotator
from conll_ner.serving.auth import VARIABLE as TOKEN_VARIABLE

START_SECONDS = 120.0  # time limit for the service to start
RESPONSE_SECONDS = 120.0  # time limit for a response; more than the service's own timeout
WARM_UP_SECONDS = 3.0


class LoadResult(NamedTuple):
    """Measurements of one turn of the clients.

    seconds (float): From the first request to the last response.
    words (int): Words that the service annotated in this time, by its own count.
    latencies (list[float]): Seconds from each request to its response.
    responses (Counter[str]): Number of responses by status code, or by the name of the error if
        there was no response.
    """

    seconds: float
    words: int
    latencies: list[float]
    responses: Counter[str]

    @property
    def words_per_second(self) -> float:
        return self.words / self.seconds


def free_port() -> int:
    """RETURNS (int): A free port on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def serving(pipeline: str, device: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `serve` in its own process.

    YIELDS (tuple[Popen, str]): The process, which accepts requests, and its URL.
    RAISES (InputError): If it doesn't start.
    """
    port = free_port()
    command = [sys.executable, "-m", "spacy", "ner", "serve", pipeline]
    command += ["--port", str(port), "--device", device]
    # The clients send no token.
    environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_listening(server, port)
        yield server, f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def wait_until_listening(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the service listens on the port, which means that it accepts requests.

    RAISES (InputError): If the service exits, or takes too long.
    """
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise InputError(f"the service doesn't start; to see why, run {' '.join(server.args)}")  # type: ignore[arg-type]


async def send_requests(url: str, texts: Sequence[str], clients: int, seconds: float) -> LoadResult:
    """Send requests with one text each. A client waits for the response before its next request."""
    bodies = cycle([json.dumps({"text": text}).encode() for text in texts])
    headers = {"Content-Type": "application/json"}
    latencies: list[float] = []
    responses: Counter[str] = Counter()

    async def run_client(session: aiohttp.ClientSession, end: float) -> None:
        while (start := time.perf_counter()) < end:
            try:
                async with session.post(
                    f"{url}/predict", data=next(bodies), headers=headers
                ) as response:
                    await response.read()
                    responses[str(response.status)] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                responses[type(error).__name__] += 1
            latencies.append(time.perf_counter() - start)

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=clients),
        timeout=aiohttp.ClientTimeout(RESPONSE_SECONDS),
    ) as session:
        words = await count_words(session, url)
        start = time.perf_counter()
        await asyncio.gather(*(run_client(session, start + seconds) for _ in range(clients)))
        taken = time.perf_counter() - start
        words = await count_words(session, url) - words
    return LoadResult(taken, words, latencies, responses)


async def count_words(session: aiohttp.ClientSession, url: str) -> int:
    """RETURNS (int): The number of words that the service has annotated so far."""
    async with session.get(f"{url}/metrics") as response:
        found = re.search(r"^ner_words_total (\S+)$", await response.text(), re.MULTILINE)
    return int(float(found[1])) if found else 0


def predict_words_per_second(annotator: Annotator, texts: Sequence[str], seconds: float) -> float:
    """RETURNS (float): Words per second of `predict` on the texts, measured over complete parts."""
    items = (Annotated("", text) for text in cycle(texts))
    words = 0
    start = time.perf_counter()
    for number, part in enumerate(cut_parts(items)):
        words += annotator.write_part(number, part)["words"]
        if time.perf_counter() - start >= seconds:
            break
    return words / (time.perf_counter() - start)


def alternate_with_predict(
    pipeline: str, texts: Sequence[str], clients: int, seconds: float, rounds: int, device: str
) -> Generator[tuple[LoadResult, float], None, None]:
    """Alternate between a load test of the service and `predict` on the same texts.

    seconds (float): Length of a turn.
    YIELDS (tuple[LoadResult, float]): For each round, the result of the load test, and the words
        per second of `predict` after it.
    RAISES (InputError): If the pipeline can't be loaded, or the service exits.
    """
    nlp = load_for_annotation(pipeline, device, None, ())
    with TemporaryDirectory() as folder, serving(pipeline, device) as (_, url):
        annotator = Annotator(nlp, (), Path(folder), FORMATS[".jsonl"])
        try:
            asyncio.run(send_requests(url, texts, clients, WARM_UP_SECONDS))
            for _ in range(rounds):
                result = asyncio.run(send_requests(url, texts, clients, seconds))
                yield result, predict_words_per_second(annotator, texts, seconds)
        except aiohttp.ClientError as error:
            raise InputError(f"the service exited during the test ({error})") from None
