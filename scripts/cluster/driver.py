"""Distribute partitions over the workers of a Ray cluster."""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cluster.partitions import Job, Partition, first_line
from cluster.worker import Worker
from common.console import InputError
from common.paths import SCRIPTS

MAX_BLOCKS = 10_000  # that Ray's driver tracks
ANSWER_SECONDS = 10.0  # until the head node must accept a connection
OBJECT_STORE_BYTES = 100_000_000  # of a local cluster; only counts go through it
# No usage reports, and no warning that arguments of workers are kept in memory.
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


def check_address(address: str) -> None:
    """RAISES (InputError): If the address doesn't answer. Ray would wait for many minutes."""
    place = (os.environ.get("RAY_ADDRESS") if address == "auto" else None) or address
    if place in ("auto", "local") or "://" in place:
        return
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"--address {place}: no answer ({first_line(error)}); name the head node's "
            "HOST:PORT, or auto on a machine of the cluster"
        ) from None


def list_packages() -> list[str]:
    """RETURNS (list[str]): The folders of the project's packages, which every worker imports."""
    return sorted(str(path.parent) for path in SCRIPTS.glob("*/__init__.py"))


@contextmanager
def ray_cluster(address: str, workers: int) -> Iterator[None]:
    """Start a cluster on this machine or join one, and disconnect at the end.

    RAISES (InputError): If Ray isn't installed, or there is no such cluster.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise InputError('Ray is missing: pip install "ray[data]"') from None
    own: dict[str, Any] = {
        "num_cpus": workers,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    try:
        ray.init(
            address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            # The packages themselves: a working_dir would clash with that of `ray job submit`.
            runtime_env={"py_modules": list_packages(), "excludes": ["__pycache__"]},
            **(own if address == "local" else {}),
        )
    except ConnectionError as error:
        raise InputError(f"--address {address}: {first_line(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def annotate_partitions(
    job: Job, partitions: Sequence[Partition], workers: int, gpus: float, address: str
) -> Iterator[dict[str, Any]]:
    """YIELDS (dict[str, Any]): The counts of each partition, in order of completion.
    RAISES (InputError): An error of a worker, or if the cluster gives up."""
    with ray_cluster(address, workers):
        import ray.data
        from ray.data.exceptions import ExecutionTimeoutError

        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised, too
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.raise_original_map_exception = True
        rows = ray.data.from_items(
            [partition._asdict() for partition in partitions],
            override_num_blocks=min(len(partitions), MAX_BLOCKS),  # a block is a task
        )
        worker: Any = Worker  # Ray's types know functions only
        counts = rows.map(
            worker,
            fn_constructor_args=(job,),
            # One at a time: a second would wait behind the first while other workers start.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpus or None,
        )
        try:
            # A worker that dies is started anew and its partition done again, without end; Ray
            # gives up when half an hour brings no partition.
            yield from counts.iter_rows()
        except (ray.exceptions.RayError, ExecutionTimeoutError) as error:
            raise InputError(explain_failure(error)) from None


def explain_failure(error: BaseException) -> str:
    """RETURNS (str): The InputError of a worker if there is one, else the root cause."""
    root = error
    while (deeper := getattr(root, "cause", None) or root.__cause__) is not None:
        root = deeper
    if isinstance(root, InputError):
        return first_line(root)  # Ray adds lines of its own
    return (
        f"the cluster gave up, continue with --resume ({type(root).__name__}: {first_line(root)})"
    )
