"""A hub on this machine: as much of Hugging Face's interface as huggingface_hub asks for to push and to fetch."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from dataclasses import dataclass, field

TOKEN = "hf_somebody"
LARGE = (".keras",)  # what is stored apart from the rest, as large files are


@dataclass
class Repository:
    """A repository: its branches' commits, and the files of each commit by their paths."""

    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        whole = {**self.commits.get(self.branches.get(branch), {}), **files}
        digest = hashlib.sha1(json.dumps([len(self.commits), sorted(whole)]).encode()).hexdigest()
        self.commits[digest], self.branches[branch] = whole, digest
        return digest

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.branches.get(revision, revision)]


class Hub:
    """The server's state.

    Attributes:
        repositories: by USER/NAME.
        stored: contents of large files, by their sha256.
        asked: method and path of each request.
        faults: (method, part of a path) of requests, and what is answered to them: a status and a message.
        cut: whether files are sent by half.
    """

    def __init__(self):
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.faults: dict[tuple[str, str], tuple[int, str]] = {}
        self.cut = False

    def add(self, name: str, files: dict[str, bytes], **state) -> Repository:
        repository = self.repositories[name] = Repository(**state)
        repository.commit("main", files)
        return repository


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer_to("HEAD")

    def do_GET(self):
        self._answer_to("GET")

    def do_POST(self):
        self._answer_to("POST")

    def do_PUT(self):
        self._answer_to("PUT")

    def _answer_to(self, method: str) -> None:
        self.hub: Hub = self.server.hub
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.hub.asked.append((method, path))
        for (of, part), (status, message) in self.hub.faults.items():
            if of == method and part in path:
                return self._refuse(status, message=message)
        for pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                return answer(self, *match.groups())
        return self._refuse(404, message=f"no {method} {path} here")

    def _send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if self.hub.cut and "ETag" in headers else content)

    def _json(self, content, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), Content_Type="application/json")

    def _refuse(self, status: int, code: str = "", message: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        content = json.dumps({"error": message}).encode()
        self._send(status, content, **{name: value for name, value in headers.items() if value})

    def _may_write(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self._refuse(401, message="Invalid credentials in Authorization header")
        return False

    def _repository(self, name: str) -> Repository | None:
        found = self.hub.repositories.get(name)
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if found is None or (found.private and not known):
            self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
            return None
        return found

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if not self._may_write():
            return None
        if name in self.hub.repositories:
            return self._json(
                {"url": f"{self.server.address}/{name}", "error": "You already created it"}, 409
            )
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.add(name, {".gitattributes": b""}, private=private)
        return self._json({"url": f"{self.server.address}/{name}", "name": name})

    def about(self, name: str) -> None:
        found = self._repository(name)
        if found is not None:
            self._json({"id": name, "sha": found.branches["main"], "private": found.private})

    def branch(self, name: str, branch: str) -> None:
        found = self._may_write() and self._repository(name)
        if not found:
            return None
        if branch in found.branches:
            return self._refuse(409, message="Reference already exists")
        found.branches[branch] = found.branches["main"]
        return self._json({})

    def check_card(self) -> None:
        head = json.loads(self.body)["content"].split("---")[1]
        if "license: nonsense" in head:
            return self._json({"errors": [{"message": '"license" must be one of [apache-2.0, mit]'}]}, 400)
        return self._json({"errors": [], "warnings": []})

    def modes(self, name: str) -> None:
        if self._may_write() and self._repository(name):
            paths = [file["path"] for file in json.loads(self.body)["files"]]
            modes = {path: "lfs" if path.endswith(LARGE) else "regular" for path in paths}
            rows = [{"path": p, "uploadMode": modes[p], "shouldIgnore": False, "oid": None} for p in paths]
            self._json({"files": rows})

    def batch(self, name: str) -> None:
        objects = json.loads(self.body)["objects"]
        put = {
            one["oid"]: {"upload": {"href": f"{self.server.address}/stored/{one['oid']}"}} for one in objects
        }
        rows = [{"oid": one["oid"], "size": one["size"], "actions": put[one["oid"]]} for one in objects]
        self._json({"transfer": "basic", "objects": rows})

    def store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._refuse(400, message="another file")
        self.hub.stored[oid] = self.body
        return self._send(200)

    def commit(self, name: str, branch: str) -> None:
        found = self._may_write() and self._repository(name)
        if not found:
            return
        files = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
        digest = found.commit(branch, files)
        self._json({"commitUrl": f"{self.server.address}/{name}/commit/{digest}", "commitOid": digest})

    def resolve(self, name: str, revision: str, path: str) -> None:
        found = self._repository(name)
        if found is None:
            return None
        if found.gated:
            return self._refuse(403, "GatedRepo", "Access to this model is restricted")
        digest = found.branches.get(revision, revision)
        if digest not in found.commits:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if path not in found.commits[digest]:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        content = found.commits[digest][path]
        about = {"X-Repo-Commit": digest, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if not path.endswith(LARGE):
            return self._send(200, content, **about)
        oid = hashlib.sha256(content).hexdigest()
        self.hub.stored[oid] = content
        about |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        elsewhere = self.server.address.replace(
            "127.0.0.1", "localhost"
        )  # as the hub has large files on other hosts
        return self._send(302, Location=f"{elsewhere}/stored/{oid}", **about)

    def stored(self, oid: str) -> None:
        self._send(200, self.hub.stored[oid], ETag=f'"{oid}"')


_ROUTES = (
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.check_card),
    (r"GET /api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", _Handler.about),
    (r"POST /api/models/([^/]+/[^/]+)/branch/(.+)", _Handler.branch),
    (r"POST /api/models/([^/]+/[^/]+)/preupload/.+", _Handler.modes),
    (r"POST /api/models/([^/]+/[^/]+)/commit/(.+)", _Handler.commit),
    (r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    (r"(?:HEAD|GET) /([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _Handler.resolve),
    (r"PUT /stored/(\w+)", _Handler.store),
    (r"(?:HEAD|GET) /stored/(\w+)", _Handler.stored),
)


def serve(hub: Hub) -> http.server.ThreadingHTTPServer:
    """Starts a server for a hub, whose `address` it has; `shutdown` and `server_close` end it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub, server.address = hub, f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server
