import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from hub_endpoint import HubEndpoint
from hub_repositories import File, Repository

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def endpoint() -> Iterator[HubEndpoint]:
    """A private dataset and a public model, each with one file."""
    with HubEndpoint() as endpoint:
        endpoint.repositories["dataset", "me/secret"] = Repository("dataset", "me/secret", private=True)
        model = endpoint.repositories["model", "me/model"] = Repository("model", "me/model", private=False)
        model.add_commit("add", {"folder/letters.txt": File(b"abcdef")})
        yield endpoint


def ask(url: str, content: dict | bytes | None = None, token: str = "", method: str | None = None, **headers: str):
    """Return the status, the error code and the body of a response."""
    body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
    headers = {**headers, "Authorization": f"Bearer {token}"} if token else headers
    try:
        answer = OPENER.open(urllib.request.Request(url, body, headers, method=method))
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers["X-Error-Code"], answer.read()


def test_every_write_needs_a_token(endpoint):
    model = f"{endpoint.url}/api/models/me/model"
    for url, content in {
        f"{endpoint.url}/api/repos/create": {"name": "new"},
        f"{model}/preupload/main": {"files": []},
        f"{endpoint.url}/me/model.git/info/lfs/objects/batch": {"objects": []},
        f"{model}/commit/main": {"key": "header", "value": {"summary": "no"}},
    }.items():
        assert ask(url, content)[:2] == (401, "InvalidToken"), url
    assert len(endpoint.repositories) == 2
    assert len(endpoint.repositories["model", "me/model"].commits) == 2

    assert ask(f"{endpoint.url}/api/repos/create", {"name": "new", "visibility": "private"}, token="any")[0] == 200
    assert endpoint.repositories["model", "me/new"].private


def test_a_private_repository_is_not_there_without_a_token(endpoint):
    url = f"{endpoint.url}/api/datasets/me/secret"

    assert ask(url)[:2] == (401, "RepoNotFound")
    assert ask(f"{endpoint.url}/datasets/me/secret/resolve/main/.gitattributes")[:2] == (401, "RepoNotFound")
    status, _, body = ask(url, token="any")
    assert (status, json.loads(body)["private"]) == (200, True)
    assert ask(f"{endpoint.url}/api/models/me/secret", token="any")[:2] == (404, "RepoNotFound")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=2-3", (206, b"cd")),
        ("bytes=4-", (206, b"ef")),
        ("bytes=4-99", (206, b"ef")),
        ("bytes=-2", (206, b"ef")),
        ("bytes=6-", (416, b"")),
        ("lines=1-2", (200, b"abcdef")),
    ],
)
def test_a_range_of_a_file(endpoint, asked, expected):
    status, _, body = ask(f"{endpoint.url}/me/model/resolve/main/folder/letters.txt", Range=asked)

    assert (status, body) == expected
    assert endpoint.seen[-1] == (
        ("GET", "resolve", "/me/model/resolve/main/folder/letters.txt", status, asked, len(body))
    )


def test_what_is_missing_has_the_code_of_the_hub(endpoint):
    assert ask(f"{endpoint.url}/me/model/resolve/main/none.txt")[:2] == (404, "EntryNotFound")
    assert ask(f"{endpoint.url}/me/model/resolve/v2/folder/letters.txt")[:2] == (404, "RevisionNotFound")
    assert ask(f"{endpoint.url}/api/models/me/model/tree/main/none")[:2] == (404, "EntryNotFound")
    assert ask(f"{endpoint.url}/api/models/me/none", token="any")[:2] == (404, "RepoNotFound")
    assert ask(f"{endpoint.url}/api/nothing")[0] == 404
    assert endpoint.seen[-1].route == "unknown"


def test_an_object_is_kept_only_if_it_is_what_was_announced(endpoint):
    oid = hashlib.sha256(b"weights").hexdigest()
    batch = {"objects": [{"oid": oid, "size": 7}]}
    _, _, body = ask(f"{endpoint.url}/me/model.git/info/lfs/objects/batch", batch, token="any")
    upload = json.loads(body)["objects"][0]["actions"]["upload"]["href"]

    assert ask(upload, b"other", method="PUT")[:2] == (400, "BadDigest")
    assert ask(upload.split("?")[0], b"weights", method="PUT")[:2] == (403, "AccessDenied")
    assert endpoint.objects == {}
    assert ask(upload, b"weights", method="PUT")[0] == 200
    assert endpoint.objects == {oid: b"weights"}


def test_a_commit_is_all_or_nothing(endpoint):
    model = endpoint.repositories["model", "me/model"]
    lines = [
        {"key": "header", "value": {"summary": "half"}},
        {"key": "deletedFile", "value": {"path": "folder/letters.txt"}},
        {"key": "lfsFile", "value": {"path": "model.safetensors", "oid": "0" * 64}},
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)

    assert ask(f"{endpoint.url}/api/models/me/model/commit/main", body, token="any")[:2] == (400, "ObjectNotFound")
    assert "folder/letters.txt" in model.files

    lines[0]["value"]["parentCommit"] = model.commits[0].oid
    stale = b"\n".join(json.dumps(line).encode() for line in lines[:2])
    assert ask(f"{endpoint.url}/api/models/me/model/commit/main", stale, token="any")[0] == 412
    whole = b"\n".join(json.dumps(line).encode() for line in ({"key": "header", "value": {"summary": "x"}}, lines[1]))
    assert ask(f"{endpoint.url}/api/models/me/model/commit/main", whole, token="any")[0] == 200
    assert list(model.files) == []
