"""A local Hub server in memory, with the routes that huggingface_hub, datasets and transformers use.

It accepts uploads (create, preupload, LFS batch, PUT of the object, commit) and serves downloads (info, tree, resolve with
a redirect to a second host for LFS files, byte ranges). The requests are those of huggingface_hub 2.4 with
`HF_HUB_DISABLE_XET=1`, the responses those of https://huggingface.co/docs/hub/api and
https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md. huggingface_hub reads `HF_ENDPOINT` when it is imported,
so a client needs a separate process:

```python
with HubEndpoint() as hub:
    subprocess.run([sys.executable, "client.py"], env=hub.environment(tmp_path / "home"))
    print(hub.repositories["dataset", "me/seqd"].files)
```
"""

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_repositories import LFS_SUFFIXES, HubError, Repository

USER = "me"
DATE = "2024-01-01T00:00:00.000Z"
LARGE = 10 * 2**20  # the Hub stores larger files in LFS


class Seen(NamedTuple):
    """Request log entry, for tests that count requests. `route` is the method of [`HubEndpoint`] that handled it."""

    method: str
    route: str
    path: str
    status: int
    range: str | None
    sent: int


@dataclass(frozen=True)
class Request:
    """Input of a route: the named parts of its URL, the query and the body."""

    method: str
    parts: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def has_token(self) -> bool:
        return bool(self.headers.get("authorization", "").removeprefix("Bearer").strip())


class Answer(NamedTuple):
    """Response: status, body and headers."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}


def _json(content: dict | list, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})


class HubEndpoint:
    """Context manager that runs the server in a thread.

    Private repositories and writes need a token; any token is valid.

    Attributes:
        url (`str`): value for `HF_ENDPOINT`.
        repositories (`dict[tuple[str, str], Repository]`): by kind (`"model"`, `"dataset"`, `"space"`) and id.
        seen (`list[Seen]`): every request so far.
    """

    def __init__(self):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}  # LFS objects by their SHA-256
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        self.storage_url = f"http://localhost:{port}"  # another host for clients, like the storage of the Hub

    def __enter__(self) -> "HubEndpoint":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str = "hf_test") -> dict[str, str]:
        """Return the environment of a client process that uses only this Hub, with its cache in `home`."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": token,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Find the route of a request and run it."""
        address = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        route, answer = "unknown", _json({"error": "Not Found"}, 404)
        for verb, pattern, run in ROUTES:
            match = pattern.fullmatch(address.path)
            if match and verb == ("GET" if method == "HEAD" else method):
                parts = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                request = Request(method, parts, query, headers, body)
                route = run.__name__
                try:
                    with self._lock:
                        answer = run(self, request)
                except HubError as error:
                    answer = _json({"error": str(error)}, error.status)
                    answer.headers.update({"X-Error-Code": error.code, "X-Error-Message": str(error)})
                break
        sent = 0 if method == "HEAD" else len(answer.body)
        self.seen.append(Seen(method, route, address.path, answer.status, headers.get("range"), sent))
        return answer

    # Account routes

    def whoami(self, request: Request) -> Answer:
        if not request.has_token:
            raise HubError(401, "InvalidToken", "Invalid credentials in Authorization header")
        token = {"accessToken": {"displayName": "test", "role": "write"}}
        return _json({"type": "user", "id": "1", "name": USER, "fullname": USER, "orgs": [], "auth": token})

    def validate_yaml(self, request: Request) -> Answer:
        """Check that the header of a card is YAML; the Hub checks more, with the same error message."""
        header = re.match(r"---\n(.*?)\n---\n", request.json["content"], re.DOTALL)
        try:
            data = yaml.safe_load(header.group(1)) if header else None
        except yaml.YAMLError as error:
            return _json({"errors": [{"message": f"YAML: {error}"}], "warnings": []}, 400)
        warnings = [] if isinstance(data, dict) else [{"message": "empty or missing yaml metadata in repo card"}]
        return _json({"errors": [], "warnings": warnings})

    def create(self, request: Request) -> Answer:
        self._need_token(request)
        asked = request.json
        kind, repo_id = asked.get("type") or "model", f"{asked.get('organization') or USER}/{asked['name']}"
        if (kind, repo_id) in self.repositories:
            url = f"{self.url}/{self.repositories[kind, repo_id].address}"
            return _json({"error": f"You already created this {kind} repo", "url": url}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        repository = self.repositories[kind, repo_id] = Repository(kind, repo_id, private)
        return _json({"url": f"{self.url}/{repository.address}", "name": repo_id, "id": repo_id})

    # Read routes

    def info(self, request: Request) -> Answer:
        repository = self._repository(request)
        commit = repository.at(request.parts.get("revision", "main"))
        blobs = request.query.get("blobs", "").lower() == "true"
        return _json(
            {
                "_id": "1",
                "id": repository.id,
                "author": repository.id.split("/")[0],
                "sha": commit.oid,
                "private": repository.private,
                "gated": False,
                "disabled": False,
                "createdAt": DATE,
                "lastModified": DATE,
                "tags": [],
                "siblings": [file.sibling(path, blobs) for path, file in sorted(commit.files.items())],
            }
        )

    def tree(self, request: Request) -> Answer:
        """List a folder, with its subfolders if `recursive` is set."""
        commit = self._repository(request).at(request.parts["revision"])
        folder = PurePosixPath(request.parts.get("path", ""))
        entries = commit.entries()
        below = [path for path in sorted(entries) if folder in path.parents]
        if not below and folder != PurePosixPath("."):
            raise HubError(404, "EntryNotFound", f"{folder} does not exist on {request.parts['revision']}")
        if request.query.get("recursive", "").lower() != "true":
            below = [path for path in below if path.parent == folder]
        return _json([entries[path] for path in below])

    def paths_info(self, request: Request) -> Answer:
        entries = self._repository(request).at(request.parts["revision"]).entries()
        if request.headers.get("content-type", "").startswith("application/json"):
            asked = request.json["paths"]
        else:
            asked = parse_qs(request.body.decode())["paths"]
        paths = [PurePosixPath(path) for path in asked]
        return _json([entries[path] for path in paths if path in entries])

    def resolve(self, request: Request) -> Answer:
        """Return the bytes of a file, or a redirect to the storage host for an LFS file."""
        repository = self._repository(request)
        commit = repository.at(request.parts["revision"])
        file = commit.files.get(request.parts["path"])
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if file is None:
            answer = _json({"error": "Entry not found"}, 404)
            answer.headers.update({**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            return answer
        if file.lfs:
            headers["X-Linked-Etag"] = f'"{file.etag}"'
            headers["X-Linked-Size"] = str(len(file.content))
            headers["Location"] = f"{self.storage_url}/storage/{file.sha256}?signature={_sign(file.sha256)}"
            return Answer(302, b"", headers)
        return _part(file.content, request, {**headers, "ETag": f'"{file.etag}"'})

    def download(self, request: Request) -> Answer:
        """Return an LFS object from the storage host, which needs the signature but no token."""
        oid = self._signed(request)
        return _part(self.objects[oid], request, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})

    # Write routes

    def preupload(self, request: Request) -> Answer:
        """Return for each file whether it uses LFS, and the id of the existing file."""
        self._need_token(request)
        present = self._repository(request).at(request.parts["revision"]).files
        files = []
        for asked in request.json["files"]:
            path = asked["path"]
            binary = b"\0" in base64.b64decode(asked["sample"])
            lfs = path.endswith(LFS_SUFFIXES) or asked["size"] > LARGE or binary
            there = present.get(path)
            mode = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            files.append({**mode, "oid": there.etag} if there else mode)
        return _json({"files": files})

    def lfs_batch(self, request: Request) -> Answer:
        self._need_token(request)
        self._repository(request)
        objects = []
        for asked in request.json["objects"]:
            oid, size = asked["oid"], asked["size"]
            target = {"href": f"{self.storage_url}/storage/{oid}?signature={_sign(oid)}"}
            actions = {"upload": target, "verify": {"href": f"{self.url}/api/lfs/verify"}}
            objects.append({"oid": oid, "size": size} | ({} if oid in self.objects else {"actions": actions}))
        return _json({"transfer": "basic", "objects": objects})

    def upload(self, request: Request) -> Answer:
        oid = self._signed(request)
        if hashlib.sha256(request.body).hexdigest() != oid:
            raise HubError(400, "BadDigest", "The content has another SHA-256 than the batch request named")
        self.objects[oid] = request.body
        return Answer(200, b"", {"ETag": f'"{oid}"'})

    def lfs_verify(self, request: Request) -> Answer:
        self._need_token(request)
        asked = request.json
        if len(self.objects.get(asked["oid"], b"")) != asked["size"]:
            raise HubError(404, "ObjectNotFound", f"LFS object {asked['oid']} was not uploaded")
        return _json({})

    def commit(self, request: Request) -> Answer:
        """Apply the operations of an NDJSON body, one per line after a header, atomically."""
        self._need_token(request)
        repository = self._repository(request)
        header, *operations = [json.loads(line) for line in request.body.splitlines() if line.strip()]
        parent = repository.at(request.parts["revision"])
        if header["value"].get("parentCommit") not in (None, parent.oid):
            raise HubError(412, "PreconditionFailed", "A commit has happened since. Please refresh and try again.")
        done = repository.apply(header["value"]["summary"], operations, self.objects)
        url = f"{self.url}/{repository.address}/commit/{done.oid}"
        return _json({"success": True, "commitOid": done.oid, "commitUrl": url, "hookOutput": ""})

    def _repository(self, request: Request) -> Repository:
        kind = request.parts.get("kind", "models").removesuffix("s")
        found = self.repositories.get((kind, request.parts["id"]))
        if found is None or (found.private and not request.has_token):
            status = 404 if request.has_token else 401
            raise HubError(status, "RepoNotFound", "Repository not found")
        return found

    def _need_token(self, request: Request):
        if not request.has_token:
            raise HubError(401, "InvalidToken", "Invalid credentials in Authorization header")

    def _signed(self, request: Request) -> str:
        oid = request.parts["oid"]
        known = request.method == "PUT" or oid in self.objects
        if request.query.get("signature") != _sign(oid) or not known:
            raise HubError(403, "AccessDenied", "Access denied")
        return oid


API = r"/api/(?P<kind>models|datasets|spaces)/(?P<id>[^/]+/[^/]+)"
PAGE = r"/(?:(?P<kind>datasets|spaces)/)?(?P<id>[^/]+/[^/]+?)"
REVISION = r"/(?P<revision>[^/]+)"
ROUTES: list[tuple[str, re.Pattern, Callable[[HubEndpoint, Request], Answer]]] = [
    (method, re.compile(pattern), run)
    for method, pattern, run in [
        ("GET", r"/api/whoami-v2", HubEndpoint.whoami),
        ("POST", r"/api/validate-yaml", HubEndpoint.validate_yaml),
        ("POST", r"/api/repos/create", HubEndpoint.create),
        ("POST", r"/api/lfs/verify", HubEndpoint.lfs_verify),
        ("GET", API, HubEndpoint.info),
        ("GET", f"{API}/revision{REVISION}", HubEndpoint.info),
        ("GET", rf"{API}/tree{REVISION}(?:/(?P<path>.+))?", HubEndpoint.tree),
        ("POST", f"{API}/paths-info{REVISION}", HubEndpoint.paths_info),
        ("POST", f"{API}/preupload{REVISION}", HubEndpoint.preupload),
        ("POST", f"{API}/commit{REVISION}", HubEndpoint.commit),
        ("POST", rf"{PAGE}\.git/info/lfs/objects/batch", HubEndpoint.lfs_batch),
        ("GET", rf"{PAGE}/resolve{REVISION}/(?P<path>.+)", HubEndpoint.resolve),
        ("GET", r"/storage/(?P<oid>[0-9a-f]{64})", HubEndpoint.download),
        ("PUT", r"/storage/(?P<oid>[0-9a-f]{64})", HubEndpoint.upload),
    ]
]


def _part(content: bytes, request: Request, headers: dict[str, str]) -> Answer:
    """Return the content, or the bytes of the `Range` header (RFC 9110, section 14)."""
    headers = {**headers, "Content-Type": "application/octet-stream"}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if not asked or asked.groups() == ("", ""):
        return Answer(200, content, headers)
    first, last = asked.groups()
    start = int(first) if first else max(len(content) - int(last), 0)
    end = min(int(last) + 1, len(content)) if first and last else len(content)
    if start >= end:
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
    return Answer(206, content[start:end], {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(content)}"})


def _sign(oid: str) -> str:
    return hashlib.sha256(f"signed {oid}".encode()).hexdigest()[:16]


def _handler_of(hub: HubEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections open, as huggingface_hub's pool expects

        def run(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = hub.answer(self.command, self.path, headers, self._body(headers))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = run  # noqa: N815

        def _body(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *arguments):
            pass

    return Handler
