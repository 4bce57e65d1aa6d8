"""SEQD on the Hub: push a built folder, and join the audio of one that was pushed without.

`python -m speecheq.dataset_scripts.build.hub push seqd me/seqd`
`python -m speecheq.dataset_scripts.build.hub join me/seqd --out seqd --corpus urdu=/data/URDU-Dataset`

Terms decide. A corpus whose terms forbid redistribution is never uploaded whole. With `--metadata-only` its rows are,
without what [`~speecheq.dataset_scripts.build.withheld`] withholds.
"""

import argparse
import re
import tempfile
from pathlib import Path

from huggingface_hub import DatasetCard, HfApi, get_session, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from speecheq.dataset_scripts.build import splits
from speecheq.dataset_scripts.build.builder import describe_build, open_corpus, parse_corpora
from speecheq.dataset_scripts.build.card import ALL, card_text
from speecheq.dataset_scripts.build.manifest import MANIFEST, REPORT, damaged, is_finished, read_manifest, write_files
from speecheq.dataset_scripts.build.withheld import closed_terms, copy_corpus, join_corpus, withhold
from speecheq.dataset_scripts.corpora.records import CorpusError, options

CARD = "README.md"
# What huggingface_hub raises when the Hub says no, or nothing: `OSError`, and the error of the HTTP library that it uses.
UNREACHABLE = HfHubHTTPError.__bases__
PATIENCE = 60.0  # s without a byte from the Hub; huggingface_hub would wait for ever
PARQUET = re.compile(r"([A-Za-z0-9][\w-]*)/[\w-]+\.parquet")


def never_wait_for_ever():
    """Give every request to the Hub a timeout; most of huggingface_hub's have none, and say so explicitly."""

    def limit(request):
        given = request.extensions.get("timeout") or {}
        request.extensions["timeout"] = {
            part: given.get(part) or PATIENCE for part in ("connect", "read", "write", "pool")
        }

    session = get_session()
    session.event_hooks = session.event_hooks | {"request": [*session.event_hooks["request"], limit]}


def push(
    folder: Path,
    repo_id: str,
    *,
    private: bool = True,
    metadata_only: bool = False,
    token: str | None = None,
) -> str:
    """Upload a built SEQD folder to the Hub, or to the endpoint that `HF_ENDPOINT` names.

    Parquet files that an earlier push left in the repository and the folder has no more are deleted there.

    Args:
        folder (`Path`): the SEQD folder.
        repo_id (`str`): `"user/name"`; made where there is none.
        private (`bool`, *optional*, defaults to `True`): whether the repository must be private.
        metadata_only (`bool`, *optional*, defaults to `False`): leave out audio, text and phonemes of the corpora whose
            terms forbid redistribution.
        token (`str`, *optional*): defaults to the one that huggingface_hub finds.

    Returns:
        `str`: the address of the repository.

    Raises:
        CorpusError: if the folder is not a finished SEQD, holds a corpus that may not be passed on (unless
            `metadata_only`), or the repository is public and should be private.
    """
    folder = Path(folder)
    corpora = check(folder)["corpora"]
    closed = closed_terms(corpora)
    if closed and not metadata_only:
        terms = options(f"{corpus} ({found})" for corpus, found in closed.items())
        raise CorpusError(
            f"push: terms of every corpus must allow redistribution; got {terms} in {str(folder)!r}. Push with "
            "--metadata-only, which leaves out their audio, text and phonemes, or build a SEQD without them."
        )
    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as temporary:
        if closed:
            folder = withhold(folder, Path(temporary), repo_id)
        url = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        if private and not api.repo_info(repo_id, repo_type="dataset").private:
            raise CorpusError(
                f"push: repository must be private; got public {repo_id!r}. Make it private in its settings, choose "
                "another name, or push with --public."
            )
        api.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=folder,
            allow_patterns=[name for entry in corpora.values() for name in entry["files"]] + [CARD, MANIFEST, REPORT],
            delete_patterns=[f"*/{split}-*.parquet" for split in splits.SPLITS],
            commit_message=f"SEQD: {', '.join(corpora)}",
        )
    return str(url)


def check(folder: Path) -> dict:
    """The manifest of a finished SEQD folder.

    Raises:
        CorpusError: if the folder has no manifest, card or report, a file is missing or not as the manifest says, the
            manifest lacks something, names a file outside its corpus or does not know a Parquet file, or the card has other
            configs than the manifest has corpora.
    """
    again = "Run the same build again; it repairs what is not whole."
    manifest = read_manifest(folder)
    missing = [name for name in (MANIFEST, CARD, REPORT) if not (folder / name).is_file()]
    if missing or not manifest["corpora"]:
        raise CorpusError(
            f"hub: folder must be a built SEQD; got no {options(missing) or 'corpus'} in {str(folder)!r}. "
            f"Build one: python -m speecheq.dataset_scripts.build --out {folder} --corpus NAME=FOLDER."
        )
    unsafe = [
        name
        for corpus, entry in manifest["corpora"].items()
        for name in entry["files"]
        if not (match := PARQUET.fullmatch(name)) or match[1] != corpus
    ]
    if unsafe:  # a manifest from elsewhere must not point out of its folder
        raise CorpusError(
            f"hub: file must be <corpus>/<name>.parquet; got {options(unsafe)} in {MANIFEST} of {str(folder)!r}. "
            "Do not use this folder."
        )
    try:
        card_text(manifest)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorpusError(
            f"hub: {MANIFEST} must be one that a build wrote; got {type(error).__name__} {error} in {str(folder)!r}. "
            "Do not use this folder."
        ) from error
    broken = [name for entry in manifest["corpora"].values() for name in damaged(entry, folder)]
    if broken:
        raise CorpusError(
            f"hub: file must be as {MANIFEST} says; got a missing or changed {options(broken)} in {str(folder)!r}. {again}"
        )
    known = {name for entry in manifest["corpora"].values() for name in entry["files"]}
    found = {path.relative_to(folder) for path in folder.rglob("*.parquet")}
    stray = sorted({path.as_posix() for path in found if not path.parts[0].startswith(".")} - known)
    if stray:
        raise CorpusError(
            f"hub: Parquet file must be named in {MANIFEST}; got {options(stray)} in {str(folder)!r}. Delete it."
        )
    configs = {config["config_name"] for config in DatasetCard.load(folder / CARD).data.to_dict().get("configs", [])}
    if configs != {*manifest["corpora"], ALL}:
        raise CorpusError(
            f"hub: configs of {CARD} must be {options([*manifest['corpora'], ALL])}; got {options(sorted(configs))} "
            f"in {str(folder)!r}. {again}"
        )
    return manifest


def join(source: str | Path, corpora: dict[str, Path], out: Path, num_proc: int = 1) -> dict:
    """Make a whole SEQD of one that was pushed without the audio of some corpora, and of your own downloads of them.

    Ids, labels and splits are the publisher's; audio, text and phonemes come from the download, by id. An id without a
    usable file is left out and stands in report.csv. A corpus without a download is left out and stands under `left_out`
    in the manifest; a later call can add it.

    Args:
        source (`str` or `Path`): folder, or id on the Hub.
        corpora (`dict[str, Path]`): corpus name -> folder of its download, or YAML file that describes it.
        out (`Path`): the SEQD folder to write.
        num_proc (`int`, *optional*, defaults to 1): processes that convert audio.

    Returns:
        `dict`: the manifest.

    Raises:
        CorpusError: if the source is not a finished SEQD, a corpus has nothing to join there, none was given though
            there is something to join, no id has a file, or `out` lacks audio itself.
    """
    out = Path(out)
    source = Path(source) if Path(source).is_dir() else Path(snapshot_download(str(source), repo_type="dataset"))
    present = read_manifest(out)["corpora"]
    if any(entry.get("metadata_only") for entry in present.values()):
        raise CorpusError(
            f"join: --out must be a new folder, or one that `join` began; got a metadata-only SEQD in {str(out)!r}. "
            "Name another."
        )
    published = check(source)
    withheld = [corpus for corpus, entry in published["corpora"].items() if entry.get("metadata_only")]
    wrong = [corpus for corpus in corpora if corpus not in withheld]
    if wrong or (withheld and not corpora):
        raise CorpusError(
            f"join: --corpus must name one of {options(withheld) or 'none'}; got {options(wrong) or 'none'}. "
            f"Only these lack their audio in {str(source)!r}."
        )
    opened = {corpus: open_corpus(corpus, Path(corpora[corpus])) for corpus in sorted(corpora)}
    out.mkdir(parents=True, exist_ok=True)
    manifest = {**published, "corpora": present}
    for corpus, entry in published["corpora"].items():
        if is_finished(present.get(corpus), entry["source"], out):
            continue
        if corpus in opened:
            entry = join_corpus(*opened[corpus], entry, source, out, num_proc)
        elif corpus in withheld:
            continue
        else:
            copy_corpus(corpus, entry, source, out)
        manifest["corpora"] = dict(sorted({**manifest["corpora"], corpus: entry}.items()))
        write_files(out, manifest, card_text)
    left_out = [corpus for corpus in withheld if corpus not in manifest["corpora"]]
    write_files(out, {**manifest, "left_out": left_out} if left_out else manifest, card_text)
    return read_manifest(out)


def main(arguments: list[str] | None = None):
    """Command line: `python -m speecheq.dataset_scripts.build.hub push` or `join`."""
    parser = argparse.ArgumentParser(
        prog="python -m speecheq.dataset_scripts.build.hub", description="SEQD on the Hub."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("push", help="upload a built SEQD folder").add_argument
    add("folder", type=Path, help="the SEQD folder")
    add("repo_id", help="user/name")
    add("--public", action="store_true", help="make the repository public (default: private)")
    add(
        "--metadata-only",
        action="store_true",
        help="leave out audio, text and phonemes of corpora whose terms forbid redistribution",
    )
    add = commands.add_parser("join", help="add the audio of your own downloads").add_argument
    add("source", help="folder, or user/name on the Hub")
    add("--out", type=Path, required=True, help="the SEQD folder to write")
    add("--corpus", action="append", default=[], metavar="NAME=FOLDER", help="your download of it; repeatable")
    add("--num-proc", type=int, default=1, help="processes that convert audio (default 1)")
    given = parser.parse_args(arguments)
    never_wait_for_ever()
    try:
        if given.command == "push":
            print(push(given.folder, given.repo_id, private=not given.public, metadata_only=given.metadata_only))
            return
        manifest = join(given.source, parse_corpora(given.corpus), given.out, given.num_proc)
    except (CorpusError, HFValidationError, *UNREACHABLE) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Interrupted. Run the same command again to go on.\n")
    print(describe_build(manifest))
    if manifest.get("left_out"):
        print(f"left out, since no --corpus names a download: {', '.join(manifest['left_out'])}")


if __name__ == "__main__":
    main()
