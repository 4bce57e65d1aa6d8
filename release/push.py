"""A release in one command: assemble the repositories, check them, show what would change on the Hub, push.

`python -m speecheq.release.push --model-repo me/speecheq` writes and checks, and asks nobody. `--diff` shows what differs
from the Hub; `--push` sends it, one commit for each repository. The exit status is 0 if all went well, 1 if a check or
the Hub refused, 2 for wrong arguments.
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
from speecheq.dataset_scripts.build.manifest import file_sha256
from speecheq.dataset_scripts.corpora.records import CorpusError
from speecheq.release.assemble import ReleaseError, Repository, assemble_dataset, assemble_model, assemble_space
from speecheq.release.check import TEXT, check

KEPT = (".gitattributes",)  # the Hub's own, made with the repository
SHOWN = 64 * 2**10  # bytes; of larger texts the size alone is shown


class Change(NamedTuple):
    """A file that differs from the Hub's; sizes in bytes, `None` where there is none."""

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
    """What a push changes, and the commit that it was compared with, `None` where there is no repository."""

    changes: list[Change]
    commit: str | None


def compare(repository: Repository, api: HfApi) -> Difference:
    """Compare a folder with the repository on the Hub, by hashes; nothing is downloaded.

    Args:
        repository ([`Repository`]): the folder.
        api (`HfApi`): client of the Hub.
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
    """One line for each change, and the changed lines of small texts.

    Args:
        repository ([`Repository`]): the folder.
        difference ([`Difference`]): as [`compare`] gives it.
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
    """Make the repository on the Hub where there is none.

    Args:
        repository ([`Repository`]): what will be pushed.
        api (`HfApi`): client of the Hub.
        public (`bool`, *optional*, defaults to `False`): whether a new repository is public. One that is there stays as it is.

    Raises:
        ReleaseError: if it is public and should be private.
    """
    sdk = "gradio" if repository.kind == "space" else None
    api.create_repo(repository.id, repo_type=repository.kind, private=not public, exist_ok=True, space_sdk=sdk)
    if not public and not api.repo_info(repository.id, repo_type=repository.kind).private:
        raise ReleaseError(
            f"release: repository must be private; got public {repository}. Make it private in its settings, choose "
            "another name, or give --public."
        )


def upload(repository: Repository, difference: Difference, api: HfApi, message: str) -> str | None:
    """Make the repository on the Hub the same as the folder, in one commit. Files that the folder has not are deleted there.

    Args:
        repository ([`Repository`]): the folder.
        difference ([`Difference`]): as [`compare`] gives it. A commit since then makes the Hub refuse this one.
        api (`HfApi`): client of the Hub.
        message (`str`): of the commit.

    Returns:
        `str` or `None`: the address of the commit; `None` if nothing differs, when there is none.
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
    """Whether a file has the hash that the Hub names: SHA-256 of a large file, git's own of others."""
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
    """Write the repositories that the arguments name into folders of `out`; the Space last, since it needs the others."""
    repositories = [assemble_model(given.root, given.model_repo, out / "model")]
    if given.dataset:
        name = given.dataset_repo or given.model_repo
        repositories.append(assemble_dataset(given.dataset, name, out / "dataset", given.metadata_only))
    space = assemble_space(given.root, given.space_repo or given.model_repo, given.model_repo, out / "space")
    return [*repositories, space]


def release(given: argparse.Namespace, out: Path) -> bool:
    """Do what the arguments say, and print it. Returns whether all repositories are fit to be pushed."""
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
        print("Dry run: the Hub was not asked. --diff shows what differs there, --push sends it.")
        return True
    try:
        _to_hub(repositories, given, HfApi())
    except UNREACHABLE as error:
        if given.push:
            raise
        print(f"The Hub could not be asked: {error}")
    return True


def _to_hub(repositories: list[Repository], given: argparse.Namespace, api: HfApi):
    """Print what differs, and push it if that is asked."""
    for repository in repositories if given.push else []:  # all are there before the first commit
        prepare(repository, api, given.public)
    for repository in repositories:
        difference = compare(repository, api)
        print(describe(repository, difference, api))
        if given.push:
            print(f"{repository}: {upload(repository, difference, api, given.message) or 'nothing to push'}")


def repo_id(text: str) -> str:
    """A name on the Hub, from the command line.

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
    """Command line: `python -m speecheq.release.push`."""
    parser = argparse.ArgumentParser(
        prog="python -m speecheq.release.push",
        description="Release to the Hub: assemble and check; with --diff compare, with --push send.",
    )
    add = parser.add_argument
    add("--model-repo", type=repo_id, required=True, metavar="USER/NAME", help="the model repository")
    add("--space-repo", type=repo_id, metavar="USER/NAME", help="the Space (default: the name of the model)")
    add("--dataset", type=Path, metavar="FOLDER", help="a built SEQD to release too")
    add("--dataset-repo", type=repo_id, metavar="USER/NAME", help="its repository (default: the name of the model)")
    add("--metadata-only", action="store_true", help="leave out audio and text of corpora that may not be passed on")
    add(
        "--root", type=Path, default=Path(__file__).parents[1], help="folder of code and checkpoint (default: its own)"
    )
    add("--out", type=Path, help="a new folder for the repositories (default: a temporary one)")
    add("--diff", action="store_true", help="show what differs from the Hub")
    add("--push", action="store_true", help="show it, and send it")
    add("--public", action="store_true", help="make new repositories public (default: private)")
    add("--message", default="Release", help="of the commits (default: Release)")
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
        parser.exit(130, "Interrupted. Give the same command again.\n")
    parser.exit(0 if fit else 1)


if __name__ == "__main__":
    main()
