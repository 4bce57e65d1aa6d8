"""State of the local Hub: repositories, commits and files. [`hub_endpoint`] serves it."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

LFS_SUFFIXES = (".parquet", ".arrow", ".safetensors", ".bin", ".pt", ".npy", ".npz", ".flac", ".wav", ".mp3", ".zip")
GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()
POINTER_SIZE = 130


class HubError(Exception):
    """Error response with its status and the error code of the Hub, for example `EntryNotFound`."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True)
class File:
    """One file of a commit."""

    content: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_oid(self) -> str:
        """The git blob id: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects."""
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_oid

    def describe(self, path: str) -> dict:
        """Entry in the routes `tree` and `paths-info`."""
        size = len(self.content)
        entry = {"type": "file", "path": path, "oid": self.git_oid, "size": size}
        return entry | ({"lfs": {"oid": self.sha256, "size": size, "pointerSize": POINTER_SIZE}} if self.lfs else {})

    def sibling(self, path: str, blobs: bool) -> dict:
        """Entry in the route `info`."""
        if not blobs:
            return {"rfilename": path}
        size = len(self.content)
        entry = {"rfilename": path, "size": size, "blobId": self.git_oid}
        lfs = {"sha256": self.sha256, "size": size, "pointerSize": POINTER_SIZE}
        return entry | ({"lfs": lfs} if self.lfs else {})


class Commit(NamedTuple):
    """One state of a repository."""

    oid: str
    title: str
    files: dict[str, File]

    def entries(self) -> dict[PurePosixPath, dict]:
        """All files and folders."""
        entries = {}
        for name, file in self.files.items():
            for folder in PurePosixPath(name).parents[:-1]:
                oid = hashlib.sha1(str(folder).encode()).hexdigest()
                entries[folder] = {"type": "directory", "path": str(folder), "oid": oid, "size": 0}
            entries[PurePosixPath(name)] = file.describe(name)
        return entries


@dataclass
class Repository:
    """Model, dataset or Space with its commits; the last commit is `main`."""

    kind: str
    id: str
    private: bool
    commits: list[Commit] = field(default_factory=list)

    def __post_init__(self):
        self.add_commit("initial commit", {".gitattributes": File(GITATTRIBUTES)})

    @property
    def files(self) -> dict[str, File]:
        return self.commits[-1].files

    @property
    def address(self) -> str:
        """The id, with the prefix of its kind in URLs outside the API."""
        return self.id if self.kind == "model" else f"{self.kind}s/{self.id}"

    def at(self, revision: str) -> Commit:
        """Return the commit of `main` or of a full hash."""
        if revision in ("main", "refs/heads/main"):
            return self.commits[-1]
        for commit in self.commits:
            if commit.oid == revision:
                return commit
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def add_commit(self, title: str, files: dict[str, File]) -> Commit:
        parent = self.commits[-1].oid if self.commits else ""
        content = json.dumps([parent, title, sorted((path, file.etag) for path, file in files.items())])
        self.commits.append(Commit(hashlib.sha1(content.encode()).hexdigest(), title, files))
        return self.commits[-1]

    def apply(self, title: str, operations: list[dict], objects: dict[str, bytes]) -> Commit:
        """Apply the operations of the route `commit` as one atomic commit.

        Args:
            title (`str`): commit message.
            operations (`list[dict]`): `{"key": "file" | "lfsFile" | "deletedFile" | "deletedFolder", "value": {...}}`.
            objects (`dict[str, bytes]`): uploaded LFS objects by their SHA-256.
        """
        files = dict(self.files)
        for operation in operations:
            key, value = operation["key"], operation["value"]
            path = value["path"]
            if key == "file":
                files[path] = File(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                if value["oid"] not in objects:
                    raise HubError(400, "ObjectNotFound", f"LFS object {value['oid']} of {path} was not uploaded")
                files[path] = File(objects[value["oid"]], lfs=True)
            elif key in ("deletedFile", "deletedFolder"):
                gone = [name for name in files if name == path or name.startswith(path.rstrip("/") + "/")]
                if not gone:
                    raise HubError(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
                for name in gone:
                    del files[name]
            else:
                raise HubError(400, "BadRequest", f"operation {key} is not supported here")
        return self.add_commit(title, files)
