"""A server on this machine that answers as the Hugging Face hub does where it hands out files."""

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server holds, what it was asked for, and how it misbehaves."""

    endpoint: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """By the path under ``resolve``'s revision: ``owner/name/main/file``."""
    downloads: list[str | None] = field(default_factory=list)
    """The ranges of the contents asked for."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off, one number an answer."""
    refuse_after: int | None = None
    """After this many answers contents, not facts about them, are refused."""
    ranges: bool = True
    """Whether ranges are heeded."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """Contents that differ from what the headers promise."""
    large: bool = True
    """Whether the ETag is a SHA-256, as for large files, or a git hash."""
    elsewhere: bool = False
    """Whether contents are at another address, to which the file's own leads, as for large files."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self, *, body: bool) -> None:
        assert isinstance(self.server, _Server)
        hub = self.server.hub
        asked = self.headers.get("Range")
        match = re.fullmatch(r"(?:/elsewhere)?/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        name = "/".join(match.groups()) if match else ""
        if name not in hub.files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = hub.files[name]
        digest = hashlib.sha256(content).hexdigest() if hub.large else hashlib.sha1(content).hexdigest()
        size = len(content)
        if hub.elsewhere and not self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", f"{hub.endpoint}/elsewhere{self.path}")
            self.send_header("Content-Length", "0")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(size))
            self.end_headers()
            return
        if body:
            hub.downloads.append(asked)
            if hub.refuse_after is not None and len(hub.downloads) > hub.refuse_after:
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        content = hub.contents.get(name, content)
        first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and hub.ranges else 0  # type: ignore[index] # pyright: ignore[reportOptionalSubscript]
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Linked-Etag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(size))
        self.end_headers()
        if body:
            cut = hub.cut_after.pop(0) if hub.cut_after else len(content)
            self.wfile.write(content[first : first + cut])
            if first + cut < len(content):
                self.close_connection = True


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The server, with nothing in it yet; what the client library itself would keep goes to a folder of the test."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    constants = pytest.importorskip("huggingface_hub.constants")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # it keeps nothing of a chunk that breaks off
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    huggingface_hub.close_session()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.hub
    huggingface_hub.close_session()
    server.shutdown()
    thread.join()
    server.server_close()
    assert not (tmp_path / "cache").exists()
