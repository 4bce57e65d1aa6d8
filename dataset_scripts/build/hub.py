"""SEQD on the Hub: push a built folder, or add local audio to a SEQD that was pushed without it.

`python -m speecheq.dataset_scripts.build.hub push seqd me/seqd`
`python -m speecheq.dataset_scripts.build.hub join me/seqd --out seqd --corpus urdu=/data/URDU-Dataset`

A corpus whose terms forbid redistribution is never uploaded completely. `--metadata-only` uploads its rows without
audio, text and phonemes, see [`~speecheq.dataset_scripts.build.withheld`].
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
# Errors of huggingface_hub if a request fails or the Hub does not answer: `OSError` and the error of its HTTP library.
UNREACHABLE = HfHubHTTPError.__bases__
PATIENCE = 60.0  # s without a byte from the Hub; huggingface_hub would wait forever
PARQUET = re.compile(r"([A-Za-z0-9][\w-]*)/[\w-]+\.parquet")


def never_wait_for_ever():
    """Give every request to the Hub a timeout; most requests of huggingface_hub explicitly have none."""

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
    """Upload a built SEQD folder to the Hub, or to the endpoint in `HF_ENDPOINT`.

    Parquet files of an earlier push that are not in the folder are deleted from the repository.

    Args:
        folder (`Path`): the SEQD folder.
        repo_id (`str`): `"user/name"`; created if it does not exist.
        private (`bool`, *optional*, defaults to `True`): whether the repository must be private.
        metadata_only (`bool`, *optional*, defaults to `False`): omit audio, text and phonemes of the corpora whose terms
            forbid redistribution.
        token (`str`, *optional*): by default the token that huggingface_hub finds.

    Returns:
        `str`: the address of the repository.

    Raises:
        CorpusError: if the folder is not a finished SEQD, the terms of a corpus forbid redistribution (unless
            `metadata_only`), or the repository is public although `private` is set.
    """
    folder = Path(folder)
    corpora = check(folder)["corpora"]
    closed = closed_terms(corpora)
    if closed and not metadata_only:
        terms = options(f"{corpus} ({found})" for corpus, found in closed.items())
        raise CorpusError(
            f"push: terms of every corpus must allow redistribution; got {terms} in {str(folder)!r}. Push with "
            "--metadata-only, which omits their audio, text and phonemes, or build a SEQD without them."
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
    """Check a finished SEQD folder and return its manifest.

    Raises:
        CorpusError: if manifest, card or report is missing, a file is missing or changed, the manifest is incomplete,
            lists a file outside its corpus or does not list a Parquet file, or the configs of the card are not the corpora
            of the manifest.
    """
    again = "Run the same build again; it replaces damaged files."
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
    if unsafe:  # an untrusted manifest must not reach files outside its folder
        raise CorpusError(
            f"hub: file must be <corpus>/<name>.parquet; got {options(unsafe)} in {MANIFEST} of {str(folder)!r}. "
            "Do not use this folder."
        )
    try:
        card_text(manifest)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorpusError(
            f"hub: {MANIFEST} must come from a build; got {type(error).__name__} {error} in {str(folder)!r}. "
            "Do not use this folder."
        ) from error
    broken = [name for entry in manifest["corpora"].values() for name in damaged(entry, folder)]
    if broken:
        raise CorpusError(
            f"hub: files must match {MANIFEST}; got missing or changed {options(broken)} in {str(folder)!r}. {again}"
        )
    known = {name for entry in manifest["corpora"].values() for name in entry["files"]}
    found = {path.relative_to(folder) for path in folder.rglob("*.parquet")}
    stray = sorted({path.as_posix() for path in found if not path.parts[0].startswith(".")} - known)
    if stray:
        raise CorpusError(
            f"hub: Parquet files must be listed in {MANIFEST}; got {options(stray)} in {str(folder)!r}. Delete them."
        )
    configs = {config["config_name"] for config in DatasetCard.load(folder / CARD).data.to_dict().get("configs", [])}
    if configs != {*manifest["corpora"], ALL}:
        raise CorpusError(
            f"hub: configs of {CARD} must be {options([*manifest['corpora'], ALL])}; got {options(sorted(configs))} "
            f"in {str(folder)!r}. {again}"
        )
    return manifest


def join(source: str | Path, corpora: dict[str, Path], out: Path, num_proc: int = 1) -> dict:
    """Make a complete SEQD from a metadata-only SEQD and local downloads of its corpora.

    Ids, labels and splits are those of the published SEQD; audio, text and phonemes come from the download, by id. A row
    without a usable file is skipped and listed in report.csv. A corpus without a download is skipped and listed in
    `left_out` of the manifest; a later call can add it.

    Args:
        source (`str` or `Path`): folder, or id on the Hub.
        corpora (`dict[str, Path]`): corpus name -> folder of its download, or YAML file that describes it.
        out (`Path`): the SEQD folder to write.
        num_proc (`int`, *optional*, defaults to 1): processes that convert audio.

    Returns:
        `dict`: the manifest.

    Raises:
        CorpusError: if the source is not a finished SEQD, a given corpus is not metadata-only there, no corpus is given
            although one is metadata-only, no id has a file, or `out` is metadata-only itself.
    """
    out = Path(out)
    source = Path(source) if Path(source).is_dir() else Path(snapshot_download(str(source), repo_type="dataset"))
    present = read_manifest(out)["corpora"]
    if any(entry.get("metadata_only") for entry in present.values()):
        raise CorpusError(
            f"join: --out must be a new folder, or one that `join` wrote; got a metadata-only SEQD in {str(out)!r}. "
            "Choose another."
        )
    published = check(source)
    withheld = [corpus for corpus, entry in published["corpora"].items() if entry.get("metadata_only")]
    wrong = [corpus for corpus in corpora if corpus not in withheld]
    if wrong or (withheld and not corpora):
        raise CorpusError(
            f"join: --corpus must name one of {options(withheld) or 'none'}; got {options(wrong) or 'none'}. "
            f"Only these have no audio in {str(source)!r}."
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
    """Run the command line, `python -m speecheq.dataset_scripts.build.hub push` or `join`."""
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
        help="omit audio, text and phonemes of corpora whose terms forbid redistribution",
    )
    add = commands.add_parser("join", help="add the audio of your own downloads").add_argument
    add("source", help="folder, or user/name on the Hub")
    add("--out", type=Path, required=True, help="the SEQD folder to write")
    add("--corpus", action="append", default=[], metavar="NAME=FOLDER", help="your download of a corpus; repeatable")
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
        parser.exit(130, "Interrupted. Run the same command again to resume.\n")
    print(describe_build(manifest))
    if manifest.get("left_out"):
        print(f"skipped, because --corpus gives no download: {', '.join(manifest['left_out'])}")


if __name__ == "__main__":
    main()
