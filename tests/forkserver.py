"""Start Python commands without waiting for imports: a server that forks.

Importing spaCy, torch and transformers takes five seconds per process, and a run of the project is
a dozen processes. The server imports the third-party packages once. `python`, a small client that
stands in for the interpreter, sends it the command line, working directory, environment and
standard streams; the server forks a process that runs the command as `python` would, with its own
exit code and signals. Nothing of the project is imported before the fork.
"""

import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

IMPORTED = (
    "accelerate",
    "datasets",
    "fastapi",
    "matplotlib.figure",
    "pyarrow.parquet",
    "scipy.stats",
    "seqeval.metrics",
    "spacy.cli",
    "spacy_transformers",
    "torch",
    "transformers",
    "uvicorn",
)
# -S and -E: the client needs the standard library only, and starts in 20 ms.
CLIENT = """\
#!{python} -SE
import json, os, signal, socket, sys
if os.environ.get("REAL_PYTHON"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
connection = socket.socket(socket.AF_UNIX)
connection.connect({address!r})
request = {{"argv": sys.argv[1:], "exe": os.path.abspath(sys.argv[0])}}
request |= {{"cwd": os.getcwd(), "env": dict(os.environ)}}
socket.send_fds(connection, [b"."], [0, 1, 2])
connection.sendall(json.dumps(request).encode() + b"\\0")
replies = connection.makefile("r")
pid = int(replies.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
status = int(replies.readline() or 1)
sys.exit(status if status >= 0 else 128 - status)
"""


@contextmanager
def fork_server(folder: Path) -> Iterator[Path]:
    """Start a server.

    folder (Path): An empty folder with a short path, for the socket and the client.
    YIELDS (Path): The client, to be called in place of `python`.
    """
    client = folder / "python"
    address = str(folder / "socket")
    client.write_text(CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
    client.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""},
        cwd=folder,
    )
    try:
        while not Path(address).exists():
            if server.poll() is not None:
                raise RuntimeError("the fork server ended before it listened")
            time.sleep(0.05)
        yield client
    finally:
        server.terminate()
        server.wait()


def serve(address: str) -> None:
    """Accept commands until the process is terminated."""
    for name in IMPORTED:
        __import__(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps monitors
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address + ".new")
    listener.listen()
    Path(address + ".new").rename(address)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            monitor(connection)
            os._exit(0)
        connection.close()


def monitor(connection: socket.socket) -> None:
    """Fork a command, wait for its end, and report it to the client. It ends with the client."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    data = b""
    while not data.endswith(b"\0"):
        data += connection.recv(65536)
    pid = os.fork()
    if pid == 0:
        connection.close()
        run_command(json.loads(data[:-1]), streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{pid}\n".encode())
    ended = os.pidfd_open(pid)
    if ended not in select.select([ended, connection.fileno()], [], [])[0]:  # the client was killed
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):  # the client was killed
        connection.sendall(f"{status}\n".encode())


def run_command(request: dict[str, Any], streams: list[int]) -> None:
    """Become the process that the client asked for, and end."""
    code = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.executable = request["exe"]
        sys.path[1:1] = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        interpret(request["argv"])
        code = 0
    except SystemExit as error:
        code = exit_code(error)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        for output in (sys.stdout, sys.stderr):
            try:
                output.flush()
            except (OSError, ValueError):
                code = code or 1
        os._exit(code)


def exit_code(error: SystemExit) -> int:
    """RETURNS (int): The status of a process that ends by `sys.exit`."""
    if isinstance(error.code, str):
        print(error.code, file=sys.stderr)
        return 1
    return error.code or 0


def interpret(argv: list[str]) -> None:
    """Run `-c CODE`, `-m MODULE` or a file, as the interpreter does. `-I` is ignored."""
    while argv[0] == "-I":
        argv = argv[1:]
    if argv[0] == "-c":
        sys.argv = ["-c", *argv[2:]]
        sys.path[0] = ""
        exec(compile(argv[1], "<string>", "exec"), {"__name__": "__main__"})
    elif argv[0] == "-m":
        # weasel's default for the project's folder is the working directory at its import.
        for name in [name for name in sys.modules if name.startswith(("weasel", "spacy.cli"))]:
            del sys.modules[name]
        sys.argv = argv[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = argv
        sys.path[0] = str(Path(argv[0]).resolve().parent)
        runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
