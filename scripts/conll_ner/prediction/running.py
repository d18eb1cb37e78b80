"""Run a job over all records of a command, in parts, and join its output."""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from conll_ner.common.console import EXIT_REJECTED, InputError, first_line, msg
from conll_ner.common.files import lock
from conll_ner.common.progress import show_progress
from conll_ner.data.formats.annotated import Annotated, Issue
from conll_ner.prediction.annotating import Part, cut_parts
from conll_ner.prediction.outputs import Join
from conll_ner.prediction.parts import Job, join_parts, prepare_parts, write_parts


def run_job(
    job: Job,
    run: dict[str, Any],
    records: Iterable[Annotated | Issue],
    output: Path,
    *,
    processes: int,
    resume: bool,
    join: Join | None = None,
) -> None:
    """Annotate records, write the output, and print what was done. If records were rejected, exit
    with code 3.

    run (dict[str, Any]): Of `fingerprint_run`.
    join (Join | None): Joins the parts; None is the format's own.
    """
    with lock(output):
        prepare_parts(job.folder, run, resume)
        start = time.perf_counter()
        totals = write_all_parts(cut_parts(records), job, processes)
        seconds = time.perf_counter() - start
        rejects = join_parts(job.folder, output, totals, join or job.format_.join)
    report_totals(output, totals, rejects, seconds)


def write_all_parts(parts: Iterable[Part], job: Job, processes: int) -> Counter[str]:
    """Annotate and write all parts, with a progress bar. If interrupted, exit with code 130.

    RETURNS (Counter[str]): The numbers of parts, texts, words, mentions and rejected records, and
        under "new words" the words that this run annotated.
    RAISES (InputError): If a part can't be annotated or written.
    """
    totals: Counter[str] = Counter()
    try:
        with show_progress("words") as progress:
            for counts, is_new in write_parts(parts, job, processes):
                totals.update(counts, parts=1)
                totals["new words"] += counts["words"] if is_new else 0
                progress.update(counts["words"])
    except KeyboardInterrupt:
        print(f"Interrupted. {job.folder} is kept: continue with --resume", file=sys.stderr)
        sys.exit(130)
    except OSError as error:  # such as a full disk
        reason = first_line(error)
        raise InputError(f"{reason}; {job.folder} is kept: continue with --resume") from None
    return totals


def report_totals(output: Path, totals: Counter[str], rejects: Path, seconds: float) -> None:
    """Print the totals of a complete run. If records were rejected, exit with code 3."""
    msg.good(
        f"{output}: {totals['texts']:,} texts, {totals['words']:,} words, "
        f"{totals['mentions']:,} mentions, {totals['new words'] / seconds:,.0f} words/s"
    )
    if totals["rejected"]:
        msg.warn(f"{totals['rejected']:,} records rejected; the reasons are in {rejects}")
        sys.exit(EXIT_REJECTED)
