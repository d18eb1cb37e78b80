"""Many small requests, some cancelled and some malformed; the table of docs/reliability.md."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psutil
import pytest

from conll_ner.benchmarking.service_load import serving

pytestmark = pytest.mark.stress
CLIENTS = 64
MALFORMED = [
    b"",
    b"{",
    b'{"text": 1}',
    b'{"text": "a", "other": 1}',
    b'{"text": "\\ud800"}',
    b"\xff",
]


async def send(url: str, sentences: list[str], requests: int) -> Counter[str]:
    """A tenth of the requests is cancelled after a moment, a twentieth is malformed.

    RETURNS (Counter[str]): The number of responses by status, and of cancelled requests.
    """
    results: Counter[str] = Counter()
    rng = random.Random(0)

    async def run_client(session: aiohttp.ClientSession) -> None:
        for _ in range(requests // CLIENTS):
            draw = rng.random()
            body = json.dumps({"text": rng.choice(sentences)}).encode()
            if draw < 0.05:
                body = rng.choice(MALFORMED)
            headers = {"Content-Type": "application/json"}
            response = session.post(f"{url}/predict", data=body, headers=headers)
            try:
                timeout = rng.uniform(0, 0.05) if draw > 0.9 else 60
                async with asyncio.timeout(timeout), response as answer:
                    await answer.read()
                    results[str(answer.status)] += 1
                    assert answer.status == 200 if draw >= 0.05 else answer.status in (400, 422)
            except TimeoutError:
                results["cancelled"] += 1

    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(run_client(session) for _ in range(CLIENTS)))
    return results


def test_many_small_requests(
    pipeline: Path, sentences: list[str], stress: int, record: Callable[[str, str, str], None]
) -> None:
    """No request fails that is well-formed, and memory stays within 5 % after the first fifth."""
    with serving(str(pipeline), "cpu") as (server, url):
        process = psutil.Process(server.pid)
        asyncio.run(send(url, sentences, 2000 * stress))
        before = process.memory_info().rss
        results = asyncio.run(send(url, sentences, 8000 * stress))
        after = process.memory_info().rss
    assert set(results) == {"200", "400", "422", "cancelled"}
    assert after < 1.05 * before
    counts = ", ".join(f"{number:,} {status}" for status, number in sorted(results.items()))
    memory = f"memory {before / 2**20:.0f} to {after / 2**20:.0f} MiB"
    record(f"requests of {CLIENTS} clients", f"{results.total():,} requests", f"{counts}; {memory}")
