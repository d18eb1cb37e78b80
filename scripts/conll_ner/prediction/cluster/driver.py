"""Distribute partitions over the workers of a Ray cluster."""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from conll_ner.common.console import InputError, first_line
from conll_ner.prediction.cluster.partitions import Job, Partition
from conll_ner.prediction.cluster.worker import Worker

MAX_BLOCKS = 10_000  # Ray's driver tracks every block
CONNECT_SECONDS = 10.0  # time limit for a connection to the head node
OBJECT_STORE_BYTES = 100_000_000  # of a local cluster; only counts pass through it
# No usage reports, and no warning that the arguments of workers stay in memory.
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


def check_address(address: str) -> None:
    """Check that the head node accepts connections. Ray itself would retry for many minutes.

    RAISES (InputError): If it doesn't.
    """
    target = (os.environ.get("RAY_ADDRESS") if address == "auto" else None) or address
    if target in ("auto", "local") or "://" in target:
        return
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"--address {target}: can't connect ({first_line(error)}); give the head node's "
            "HOST:PORT, or auto on a machine of the cluster"
        ) from None


@contextmanager
def ray_cluster(address: str, workers: int) -> Iterator[None]:
    """Start a local cluster or join a running one, and disconnect at the end.

    RAISES (InputError): If Ray can't start, or the cluster isn't found.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

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
            **(own if address == "local" else {}),
        )
    except ConnectionError as error:
        raise InputError(f"--address {address}: {first_line(error)}") from None
    except Exception as error:  # Ray raises many types, Exception itself too
        raise InputError(f"Ray can't start: {first_line(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def annotate_partitions(
    job: Job, partitions: Sequence[Partition], workers: int, gpus: float, address: str
) -> Iterator[dict[str, Any]]:
    """Annotate partitions on a cluster.

    workers (int): Maximum number of workers.
    gpus (float): GPUs per worker.
    YIELDS (dict[str, Any]): The counts of each partition, in order of completion.
    RAISES (InputError): If a worker raises one, or the cluster fails.
    """
    with ray_cluster(address, workers):
        import ray.data
        from ray.data.exceptions import ExecutionTimeoutError

        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are also raised
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.raise_original_map_exception = True
        rows = ray.data.from_items(
            [partition._asdict() for partition in partitions],
            override_num_blocks=min(len(partitions), MAX_BLOCKS),  # a block is a task
        )
        worker: Any = Worker  # Ray's type hints accept only functions
        counts = rows.map(
            worker,
            fn_constructor_args=(job,),
            # One task per worker: a second would wait for the first while other workers start.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpus or None,
        )
        try:
            # Ray restarts workers that die and retries their partitions, without a limit on the
            # number of retries. It stops after half an hour without progress.
            yield from counts.iter_rows()
        except (ray.exceptions.RayError, ExecutionTimeoutError) as error:
            raise InputError(explain_failure(error)) from None


def explain_failure(error: BaseException) -> str:
    """RETURNS (str): The message of a worker's InputError, or the root cause of another error."""
    root = error
    while (cause := getattr(root, "cause", None) or root.__cause__) is not None:
        root = cause
    if isinstance(root, InputError):
        return first_line(root)  # Ray appends lines
    return (
        f"the cluster failed ({type(root).__name__}: {first_line(root)}); the finished files are "
        "kept: continue with --resume"
    )
