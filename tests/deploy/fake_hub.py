"""A hub on this machine, as far as huggingface_hub asks it: places, commits and files, over HTTP."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0" * 39 + "1"


class FakeHub:
    """Files by place and name, and what was asked. `fails`: place -> the code of the error that it answers with."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.fails: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.private: dict[str, bool] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer_file()

            def do_GET(self) -> None:
                self.answer_file()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                hub.asked.append(f"POST {self.path}")
                self.send(*hub.post(self.path, body, self.headers.get("Authorization")))

            def answer_file(self) -> None:
                hub.asked.append(f"{self.command} {self.path}")
                status, error, content = hub.get(self.path)
                headers = {"X-Error-Code": error} if error else {}
                self.send(status, content, headers | {"ETag": f'"{hashlib.sha1(content).hexdigest()}"'})

            def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**(headers or {}), "X-Repo-Commit": COMMIT, "Content-Length": len(data)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "FakeHub":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def get(self, path: str) -> tuple[int, str, bytes]:
        """Status, the hub's code of an error, and content."""
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if match is None:
            return 404, "EntryNotFound", b"{}"
        place, revision, file = match.groups()
        if place in self.fails:
            return *self.fails[place], b"{}"
        if place not in self.files:
            return 404, "RepoNotFound", b"{}"
        if revision not in ("main", COMMIT):
            return 404, "RevisionNotFound", b"{}"
        if file not in self.files[place]:
            return 404, "EntryNotFound", b"{}"
        return 200, "", self.files[place][file]

    def post(self, path: str, body: bytes, token: str | None) -> tuple[int, Any]:
        """Status and answer."""
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if token != "Bearer hf_writer":
            return 401, {"error": "Invalid username or password."}
        if path == "/api/repos/create":
            values = json.loads(body)
            place = f"{values.get('organization') or 'someone'}/{values['name']}"
            self.private[place] = bool(values.get("private") or values.get("visibility") == "private")
            self.files.setdefault(place, {})
            return 200, {"url": f"{self.url}/{place}", "name": place, "id": place}
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/([^/?]+)(\?.*)?", path)
        if match is None:
            return 404, {"error": path}
        place, verb, _, _ = match.groups()
        if verb == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            return 200, {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.files[place][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return 200, {"commitUrl": f"{self.url}/{place}/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
