"""A server that speaks the calls of the Hugging Face Hub that `huggingface_hub` makes to upload a
folder and to download it again, as huggingface_hub 0.36 sends them."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants, file_download

TOKEN = "hf_right"
READ_TOKEN = "hf_read"  # may not write


class FakeHub(ThreadingHTTPServer):
    """repos (dict): The files of each repository by name, of its last commit.
    commits (list): Summary and changed files of each commit."""

    request_queue_size = 64  # more connections at once than are made
    lfs_size = 10_000  # bytes from which a file is uploaded by itself, before the commit

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.blobs: dict[str, bytes] = {}
        self.commits: list[tuple[str, list[str]]] = []
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def revision(files: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def handle_request(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if path.startswith("/blobs/"):
            self.server.blobs[path.removeprefix("/blobs/")] = self.body
            self.reply({})
        elif token not in (TOKEN, READ_TOKEN, ""):
            self.reply({"error": "Invalid credentials"}, 401)
        elif self.command == "POST" and token != TOKEN:
            self.reply({"error": "Forbidden"}, 403)
        elif path == "/api/repos/create":
            self.create(json.loads(self.body))
        elif path == "/api/validate-yaml":
            self.reply({"errors": [], "warnings": []})
        else:
            self.find_repo(path)

    do_GET = do_POST = do_PUT = do_HEAD = handle_request

    def create(self, body: dict[str, Any]) -> None:
        name = f"{body.get('organization', 'ada')}/{body['name']}"
        known = name in self.server.repos
        self.server.repos.setdefault(name, {})
        self.server.private.setdefault(name, bool(body.get("private")))
        self.reply({"url": f"{self.server.url}/{name}"}, 409 if known else 200)

    def find_repo(self, path: str) -> None:
        parts = path.removeprefix("/api/models").strip("/").replace(".git/", "/").split("/")
        name, rest = "/".join(parts[:2]), parts[2:]
        if name not in self.server.repos:
            headers = {"X-Error-Code": "RepoNotFound"}
            self.reply({"error": "Repository not found"}, 401, headers)
            return
        files = self.server.repos[name]
        if rest[:1] == ["preupload"]:
            sent = json.loads(self.body)["files"]
            modes = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["size"] > self.server.lfs_size else "regular",
                    "shouldIgnore": False,
                }
                for each in sent
            ]
            self.reply({"files": modes})
        elif rest[:3] == ["info", "lfs", "objects"]:
            self.reply_batch()
        elif rest[:1] == ["commit"]:
            self.commit(name, files)
        elif rest[:1] == ["tree"]:
            self.reply([{"type": "file", "path": p, "size": 1, "oid": "x"} for p in sorted(files)])
        elif rest[:1] == ["resolve"]:
            self.resolve(files, "/".join(rest[2:]))
        else:
            siblings = [{"rfilename": each} for each in sorted(files)]
            self.reply({"id": name, "sha": revision(files), "siblings": siblings})

    def reply_batch(self) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.server.url}/blobs/{each['oid']}"}}}
            for each in json.loads(self.body)["objects"]
        ]
        self.reply({"transfer": "basic", "objects": objects})

    def commit(self, name: str, files: dict[str, bytes]) -> None:
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = lines.pop(0)["value"]
        for line in lines:
            path = line["value"]["path"]
            if line["key"] == "file":
                files[path] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                files[path] = self.server.blobs[line["value"]["oid"]]
            else:
                assert line["key"] == "deletedFile"
                del files[path]
        self.server.commits.append((header["summary"], [line["value"]["path"] for line in lines]))
        url = f"{self.server.url}/{name}/commit/{revision(files)}"
        self.reply({"commitUrl": url, "commitOid": revision(files), "hookOutput": ""})

    def resolve(self, files: dict[str, bytes], path: str) -> None:
        if path not in files:
            self.reply({"error": "not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {
            "ETag": f'"{hashlib.sha256(files[path]).hexdigest()}"',
            "X-Repo-Commit": revision(files),
        }
        self.reply(files[path], 200, headers)

    def reply(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, text)
        if not isinstance(value, bytes):
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A hub in a thread."""
    with FakeHub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def connect(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `huggingface_hub` use another hub, as HF_ENDPOINT does before it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
