"""Release in one command: assemble the repositories, check them, show the changes on the Hub, push.

`python -m speecheq.release.push --model-repo me/speecheq` writes and checks the folders offline. `--diff` shows the
differences from the Hub; `--push` uploads them, one commit per repository. The exit status is 0 on success, 1 if a check
fails or the Hub refuses, and 2 for invalid arguments.
"""

import argparse
import difflib
import hashlib
import tempfile
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import validate_repo_id

from speecheq.dataset_scripts.build.hub import UNREACHABLE, never_wait_for_ever
from speecheq.dataset_scripts.corpora.records import CorpusError
from speecheq.dataset_scripts.files import file_sha256
from speecheq.release.assemble import ReleaseError, Repository, assemble_dataset, assemble_model, assemble_space
from speecheq.release.check import TEXT, check

KEPT = (".gitattributes",)  # files that the Hub creates with a repository
SHOWN = 64 * 2**10  # bytes; for larger texts only the size is shown


class Change(NamedTuple):
    """File that differs from the Hub; sizes in bytes, `None` for a missing file."""

    path: str
    before: int | None
    after: int | None

    def __str__(self) -> str:
        if self.before is None:
            return f"added    {self.path}  {self.after:,} bytes"
        if self.after is None:
            return f"removed  {self.path}  {self.before:,} bytes"
        return f"changed  {self.path}  {self.before:,} -> {self.after:,} bytes"


class Difference(NamedTuple):
    """Changes of a push, and the commit on the Hub that they refer to, `None` without a repository."""

    changes: list[Change]
    commit: str | None


def compare(repository: Repository, api: HfApi) -> Difference:
    """Compare a folder with the repository on the Hub by hashes, without downloads.

    Args:
        repository ([`Repository`]): the folder.
        api (`HfApi`): client of the Hub.

    Returns:
        [`Difference`]: the changes.
    """
    try:
        info = api.repo_info(repository.id, repo_type=repository.kind, files_metadata=True)
    except RepositoryNotFoundError:
        sizes = [(name, (repository.folder / name).stat().st_size) for name in repository.files]
        return Difference([Change(name, None, size) for name, size in sizes], None)
    there = {file.rfilename: file for file in info.siblings if file.rfilename not in KEPT}
    changes = []
    for name in sorted({*there, *repository.files}):
        path, file = repository.folder / name, there.get(name)
        size = path.stat().st_size if path.is_file() else None
        if size is None or file is None or size != file.size or not _same(path, file):
            changes.append(Change(name, file.size if file else None, size))
    return Difference(changes, info.sha)


def describe(repository: Repository, difference: Difference, api: HfApi) -> str:
    """Format the changes, one line each, and the changed lines of small texts.

    Args:
        repository ([`Repository`]): the folder.
        difference ([`Difference`]): result of [`compare`].
        api (`HfApi`): client of the Hub.
    """
    where = "" if difference.commit else " (not on the Hub, or not visible without a token)"
    lines = [f"{repository}{where}: {len(difference.changes)} files to change"]
    for change in difference.changes:
        lines.append(f"  {change}")
        small = change.before is not None and change.after is not None and max(change[1:]) <= SHOWN
        if small and change.path.endswith(TEXT):
            lines += _changed_lines(repository, change.path, difference.commit, api)
    return "\n".join(lines)


def prepare(repository: Repository, api: HfApi, public: bool = False):
    """Create the repository on the Hub if it does not exist.

    Args:
        repository ([`Repository`]): the folder.
        api (`HfApi`): client of the Hub.
        public (`bool`, *optional*, defaults to `False`): whether a new repository is public. Existing ones do not change.

    Raises:
        ReleaseError: if the repository is public but `public` is `False`.
    """
    sdk = "gradio" if repository.kind == "space" else None
    api.create_repo(repository.id, repo_type=repository.kind, private=not public, exist_ok=True, space_sdk=sdk)
    if not public and not api.repo_info(repository.id, repo_type=repository.kind).private:
        raise ReleaseError(
            f"release: repository must be private; got public {repository}. Make it private in its settings, choose "
            "another name, or pass --public."
        )


def upload(repository: Repository, difference: Difference, api: HfApi, message: str) -> str | None:
    """Update the repository on the Hub to match the folder, in one commit. Files that are not in the folder are deleted.

    Args:
        repository ([`Repository`]): the folder.
        difference ([`Difference`]): result of [`compare`]. The Hub refuses the upload after a newer commit.
        api (`HfApi`): client of the Hub.
        message (`str`): commit message.

    Returns:
        `str` or `None`: URL of the commit; `None` without changes.
    """
    operations = [
        CommitOperationDelete(path_in_repo=change.path)
        if change.after is None
        else CommitOperationAdd(path_in_repo=change.path, path_or_fileobj=repository.folder / change.path)
        for change in difference.changes
    ]
    if not operations:
        return None
    done = api.create_commit(
        repository.id, operations, commit_message=message, repo_type=repository.kind, parent_commit=difference.commit
    )
    return done.commit_url


def _same(path: Path, file: RepoSibling) -> bool:
    """Return whether a file matches its hash on the Hub: SHA-256 for LFS files, the git blob hash for others."""
    if file.lfs:
        return file_sha256(path) == file.lfs.sha256
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file.blob_id


def _changed_lines(repository: Repository, name: str, commit: str, api: HfApi) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        file = api.hf_hub_download(repository.id, name, repo_type=repository.kind, revision=commit, local_dir=folder)
        before = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    after = (repository.folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
    return [f"    {line}" for line in difflib.unified_diff(before, after, "on the Hub", "here", lineterm="")]


def assemble(given: argparse.Namespace, out: Path) -> list[Repository]:
    """Write the repositories of the arguments to folders in `out`; the Space is last because it needs the others."""
    repositories = [assemble_model(given.root, given.model_repo, out / "model")]
    if given.dataset:
        name = given.dataset_repo or given.model_repo
        repositories.append(assemble_dataset(given.dataset, name, out / "dataset", given.metadata_only))
    space = assemble_space(given.root, given.space_repo or given.model_repo, given.model_repo, out / "space")
    return [*repositories, space]


def release(given: argparse.Namespace, out: Path) -> bool:
    """Run the steps of the arguments and print the results; return whether all repositories pass the checks."""
    repositories, faults = assemble(given, out), []
    for repository in repositories:
        found = check(repository, model=repositories[0])
        size = sum((repository.folder / name).stat().st_size for name in repository.files)
        print(f"{repository}: {len(repository.files)} files, {size:,} bytes, {'refused' if found else 'checked'}")
        faults += found
    if faults:
        print(*faults, sep="\n")
        return False
    if not (given.push or given.diff):
        print("Dry run without access to the Hub. --diff shows the differences, --push uploads them.")
        return True
    try:
        _to_hub(repositories, given, HfApi())
    except UNREACHABLE as error:
        if given.push:
            raise
        print(f"The Hub is not reachable: {error}")
    return True


def _to_hub(repositories: list[Repository], given: argparse.Namespace, api: HfApi):
    """Print the differences, and push them with `--push`."""
    for repository in repositories if given.push else []:  # create all repositories before the first commit
        prepare(repository, api, given.public)
    for repository in repositories:
        difference = compare(repository, api)
        print(describe(repository, difference, api))
        if given.push:
            print(f"{repository}: {upload(repository, difference, api, given.message) or 'nothing to push'}")


def repo_id(text: str) -> str:
    """Parse a repository name from the command line.

    Raises:
        ArgumentTypeError: if it is not `user/name`.
    """
    try:
        validate_repo_id(text)
        _user, _name = text.split("/")
    except (HFValidationError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"must be user/name; got {text!r}") from error
    return text


def main(arguments: list[str] | None = None):
    """Run the command line, `python -m speecheq.release.push`, and exit."""
    parser = argparse.ArgumentParser(
        prog="python -m speecheq.release.push",
        description="Release to the Hub: assemble and check; --diff compares, --push uploads.",
    )
    add = parser.add_argument
    add("--model-repo", type=repo_id, required=True, metavar="USER/NAME", help="the model repository")
    add("--space-repo", type=repo_id, metavar="USER/NAME", help="the Space (default: the name of the model)")
    add("--dataset", type=Path, metavar="FOLDER", help="folder of a SEQD to release")
    add("--dataset-repo", type=repo_id, metavar="USER/NAME", help="the dataset (default: the name of the model)")
    add(
        "--metadata-only",
        action="store_true",
        help="leave out audio and text of corpora without redistribution rights",
    )
    add(
        "--root",
        type=Path,
        default=Path(__file__).parents[1],
        help="folder of code and checkpoint (default: this one)",
    )
    add("--out", type=Path, help="a new folder for the repositories (default: a temporary one)")
    add("--diff", action="store_true", help="show the differences from the Hub")
    add("--push", action="store_true", help="show the differences and upload them")
    add("--public", action="store_true", help="make new repositories public (default: private)")
    add("--message", default="Release", help="commit message (default: Release)")
    given = parser.parse_args(arguments)
    if not given.root.is_dir():
        parser.error(f"--root must be a folder; got {str(given.root)!r}")
    if given.out and given.out.exists() and (not given.out.is_dir() or any(given.out.iterdir())):
        parser.error(f"--out must be a new or an empty folder; got {str(given.out)!r}")
    never_wait_for_ever()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            fit = release(given, given.out or Path(temporary))
    except (CorpusError, ReleaseError, *UNREACHABLE) as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Interrupted. Repeat the command.\n")
    parser.exit(0 if fit else 1)


if __name__ == "__main__":
    main()
