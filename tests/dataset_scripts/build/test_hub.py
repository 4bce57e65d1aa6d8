import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from datasets import Features
from hub_repositories import File, Repository

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.build.builder import build
from speecheq.dataset_scripts.build.hub import join, main, push
from speecheq.dataset_scripts.build.prints import FILE
from speecheq.dataset_scripts.build.rows import FEATURES
from speecheq.dataset_scripts.build.withheld import withhold
from speecheq.dataset_scripts.corpora.records import CorpusError, UnknownLabelError

SPEAKERS = ["SM1", "SM2", "SF1", "SF2"]
URDU = [f"Angry/{speaker}_F1_A0{place}.wav" for place, speaker in enumerate(SPEAKERS)]
URDU += [f"Sad/{speaker}_F2_S0{place}.wav" for place, speaker in enumerate(SPEAKERS)]
RATERS = ",".join(f"a{rater}_{part}" for rater in (1, 2, 3) for part in ("A", "V", "D", "cat"))
CLIENT = """
import json, sys
from speecheq.dataset_scripts.build import hub
commands, places, output = json.loads(sys.argv[1])
for arguments in commands:
    try:
        hub.main(arguments)
    except SystemExit as end:
        print("exit", end.code)

from huggingface_hub import HfApi, snapshot_download
api = HfApi()
api.create_repo("me/model")
api.upload_file(path_or_fileobj=b"weights\\0", path_in_repo="model.safetensors", repo_id="me/model")
api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="me/model")
folder = snapshot_download("me/model")
print("model", [open(f"{folder}/{name}", "rb").read() for name in ("config.json", "model.safetensors")])

from datasets import Audio, load_dataset
loaded = []
for place, configs in places.items():
    for config in configs:
        for streaming in (False, True):
            for split, rows in load_dataset(place, config, streaming=streaming).items():
                undecoded = list(rows.cast_column("audio", Audio(decode=False)))
                loaded.append([[place, config, split, streaming], undecoded, rows.features.to_dict()])
with open(output, "w") as file:
    json.dump(loaded, file, default=bytes.hex)
"""


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file, without the fingerprints, which serve the next build of the publisher."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != FILE]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(folder: Path, corpus: str) -> dict[str, dict]:
    tables = [pq.read_table(path) for path in sorted((folder / corpus).glob("*.parquet"))]
    return {row["id"]: row for table in tables for row in table.to_pylist()}


def skips(folder: Path) -> list[list[str]]:
    with (folder / "report.csv").open() as file:
        return list(csv.reader(file))[1:]


def tone(path: Path, frequency: float, seconds: float = 0.2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * 16_000)) / 16_000)
    soundfile.write(path, samples, 16_000)
    return path


@pytest.fixture(scope="session")
def downloads(tmp_path_factory) -> dict[str, Path]:
    """nEMO, which is redistributable; URDU and EmoTale, which are not."""
    folder = tmp_path_factory.mktemp("downloads")
    lines = ["file_id\temotion\traw_text\tspeaker_id\tgender\tage"]
    for place, speaker in enumerate(["EB0", "KS0", "WR0"]):
        tone(folder / f"nemo/samples/{speaker}_anger_1.wav", 200 + 50 * place)
        lines.append(f"{speaker}_anger_1.wav\tanger\tAby użyć.\t{speaker}\tfemale\t27")
    (folder / "nemo/data.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for place, name in enumerate(URDU):
        tone(folder / "urdu" / name, 205 + 10 * place)
    tone(folder / "emotale/wav/DK_004_A_5.wav", 440)
    (folder / "emotale/annotations.csv").write_text(
        f"file,{RATERS},gt_emotion\nDK_004_A_5.wav,5.0,1.0,4.5,A,5.0,1.0,5.0,A,3.0,3.0,4.0,N,A\n"
    )
    (folder / "emotale/speaker_info.csv").write_text("speaker,gender,age\n004,M,24\n")
    return {corpus: folder / corpus for corpus in ("emotale", "nemo", "urdu")}


@pytest.fixture(scope="session")
def folders(downloads, tmp_path_factory) -> SimpleNamespace:
    """`whole`: a SEQD of all three; `open`: one of nEMO; `published`: a metadata-only copy of the first."""
    folder = tmp_path_factory.mktemp("folders")
    build(downloads, folder / "whole")
    build({"nemo": downloads["nemo"]}, folder / "open")
    (folder / "published").mkdir()
    withhold(folder / "whole", folder / "published", "me/seqd")
    (folder / "open/.hidden").write_text("mine")
    (folder / "open/.urdu.partial/audio").mkdir(parents=True)
    (folder / "open/.urdu.partial/audio/train-00000-of-00001.parquet").write_text("mine")
    (folder / "open/notes.txt").write_text("mine")
    return SimpleNamespace(whole=folder / "whole", open=folder / "open", published=folder / "published")


@pytest.fixture
def seqd(folders, tmp_path) -> Path:
    """A SEQD of nEMO that a test may damage."""
    return shutil.copytree(folders.open, tmp_path / "copy")


@pytest.fixture(scope="session")
def hub(hub_endpoint, folders, downloads, tmp_path_factory) -> SimpleNamespace:
    """Results of a process that uses the local Hub: the commands of hub.py, then `load_dataset`."""
    home = tmp_path_factory.mktemp("home")
    stale = Repository("dataset", "me/stale", private=False)
    stale.add_commit("before", {"nemo/train-00001-of-00002.parquet": File(b"old"), "LICENSE": File(b"mine")})
    hub_endpoint.repositories["dataset", "me/stale"] = stale
    joined = home / "joined"
    commands = [
        ["push", str(folders.open), "me/open", "--public"],
        ["push", str(folders.whole), "me/refused"],
        ["push", str(folders.whole), "me/seqd", "--metadata-only"],
        ["push", str(folders.open), "me/stale"],
        ["push", str(folders.open), "me/stale", "--public"],
        ["push", str(folders.open), "me/stale", "--public"],
        [
            "join",
            "me/seqd",
            "--out",
            str(joined),
            *(f"--corpus={name}={downloads[name]}" for name in ("urdu", "emotale")),
        ],
    ]
    one, all_three = ["nemo", "all"], ["nemo", "urdu", "emotale", "all"]
    places = {str(folders.open): one, "me/open": one, str(folders.whole): all_three, "me/seqd": all_three}
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps([commands, places, str(home / "loaded.json")])],
        env={**hub_endpoint.environment(home), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(
        repositories={name: found for (kind, name), found in hub_endpoint.repositories.items() if kind == "dataset"},
        models={name: found for (kind, name), found in hub_endpoint.repositories.items() if kind == "model"},
        printed=done.stdout,
        errors=done.stderr,
        loaded={
            tuple(key): (rows, Features.from_dict(features))
            for key, rows, features in json.loads((home / "loaded.json").read_text())
        },
        joined=joined,
        seen=hub_endpoint.seen,
    )


def test_a_push_uploads_what_the_manifest_names_and_nothing_hidden(hub, folders):
    files = hub.repositories["me/open"].files

    assert sorted(files) == [
        ".gitattributes",
        "README.md",
        "manifest.json",
        "nemo/test-00000-of-00001.parquet",
        "nemo/train-00000-of-00001.parquet",
        "nemo/validation-00000-of-00001.parquet",
        "report.csv",
    ]
    for name, file in files.items():
        if name != ".gitattributes":
            assert file.content == (folders.open / name).read_bytes()


def test_a_repository_is_private_unless_asked_otherwise(hub):
    assert hub.repositories["me/seqd"].private
    assert not hub.repositories["me/open"].private
    assert "/datasets/me/open\n" in hub.printed


def test_a_private_push_never_goes_to_a_public_repository(hub):
    assert (
        "push: repository must be private; got public 'me/stale'. Make it private in its settings, choose another name, "
        "or push with --public." in hub.errors
    )
    assert [commit.title for commit in hub.repositories["me/stale"].commits] == [
        "initial commit",
        "before",
        "SEQD: nemo",
    ]


def test_parquet_that_the_folder_has_no_more_is_deleted_on_the_hub(hub):
    files = hub.repositories["me/stale"].files

    assert "nemo/train-00001-of-00002.parquet" not in files
    assert files["LICENSE"].content == b"mine"
    assert sum(name.endswith(".parquet") for name in files) == 3


def test_a_push_refuses_corpora_whose_terms_forbid_redistribution(hub, folders):
    assert "me/refused" not in hub.repositories
    assert hub.printed.count("exit 2") == 2
    with pytest.raises(
        CorpusError,
        match=r"terms of every corpus must allow redistribution; got emotale \(copyright .*\), urdu \(research use only\) "
        r"in .*whole'. Push with --metadata-only, which omits their audio, text and phonemes",
    ):
        push(folders.whole, "me/refused")


def test_terms_that_nobody_wrote_down_forbid_redistribution(seqd):
    manifest = json.loads((seqd / "manifest.json").read_text())
    del manifest["corpora"]["nemo"]["redistributable"]
    (seqd / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(CorpusError, match=r"got nemo \(CC-BY-NC-SA-4.0\) in"):
        push(seqd, "me/refused")


def test_a_metadata_only_push_withholds_audio_text_and_phonemes_of_closed_corpora_alone(hub, folders, tmp_path):
    for name, file in hub.repositories["me/seqd"].files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(file.content)

    assert read(tmp_path, "nemo") == read(folders.whole, "nemo")
    for corpus, number in (("urdu", 8), ("emotale", 1)):
        pushed, whole = read(tmp_path, corpus), read(folders.whole, corpus)
        assert len(pushed) == number
        assert pushed == {name: {**row, "audio": None, "text": None, "phonemes": None} for name, row in whole.items()}
    assert read(folders.whole, "emotale")["emotale/DK_004_A_5"]["phonemes"]
    content = {name.split("/")[0]: file.content for name, file in hub.repositories["me/seqd"].files.items()}
    assert [b"fLaC" in content[corpus] for corpus in ("nemo", "urdu", "emotale")] == [True, False, False]
    assert b"Dugen" not in content["emotale"]  # its text, which the column statistics would contain


def test_the_card_of_a_metadata_only_push_says_so_and_how_to_join(hub):
    text = hub.repositories["me/seqd"].files["README.md"].content.decode()
    header = yaml.safe_load(text.split("---\n")[1])
    infos = {info["config_name"]: info for info in header["dataset_info"]}

    title, notice = text.index("# SEQD"), text.index("> **METADATA ONLY for emotale, urdu.**")
    assert title < notice < text.index("| corpus |")
    assert "hub join me/seqd --out seqd --corpus emotale=/path/to/emotale --corpus urdu=/path/to/urdu" in text[title:]
    assert [config["config_name"] for config in header["configs"]] == ["emotale", "nemo", "urdu", "all"]
    assert sum(split["num_examples"] for split in infos["urdu"]["splits"]) == 8
    manifest = json.loads(hub.repositories["me/seqd"].files["manifest.json"].content)
    assert [corpus for corpus, entry in manifest["corpora"].items() if entry.get("metadata_only")] == [
        "emotale",
        "urdu",
    ]
    assert manifest["corpora"]["emotale"]["splits"]["train"]["phonemised"] == 0
    assert "METADATA ONLY" not in hub.repositories["me/open"].files["README.md"].content.decode()


def test_the_counts_of_a_metadata_only_card_are_those_of_its_files(folders):
    header = yaml.safe_load((folders.published / "README.md").read_text().split("---\n")[1])
    info = next(info for info in header["dataset_info"] if info["config_name"] == "urdu")

    files = sorted((folders.published / "urdu").glob("*.parquet"))
    assert info["download_size"] == sum(path.stat().st_size for path in files)
    assert info["dataset_size"] == sum(pq.read_table(path).nbytes for path in files)


def test_every_config_loads_in_memory_and_streaming_from_the_folder_and_from_the_hub(hub, folders):
    numbers = Counter()
    for (place, config, split, streaming), (loaded, features) in hub.loaded.items():
        assert loaded == hub.loaded[place, config, split, False][0], (place, config, split, streaming)
        assert features == FEATURES
        numbers[place, config, streaming] += len(loaded)
    for streaming in (False, True):
        for place in (str(folders.whole), "me/seqd"):
            for config, number in {"nemo": 3, "urdu": 8, "emotale": 1, "all": 12}.items():
                assert numbers[place, config, streaming] == number
        for place in (str(folders.open), "me/open"):
            assert numbers[place, "nemo", streaming] == numbers[place, "all", streaming] == 3


def test_a_push_and_load_dataset_give_identical_rows(hub, folders):
    for split in ("train", "validation", "test"):
        for config in ("nemo", "all"):
            for streaming in (False, True):
                pushed, _ = hub.loaded["me/open", config, split, streaming]
                local, _ = hub.loaded[str(folders.open), config, split, False]
                assert pushed == local
                assert [bytes.fromhex(row["audio"]["bytes"])[:4] for row in pushed] == [b"fLaC"] * len(local)


def test_streaming_reads_byte_ranges_and_the_endpoint_knew_every_request(hub):
    assert {seen.status for seen in hub.seen if seen.range and seen.route == "download"} == {206}
    assert {seen.path for seen in hub.seen if seen.route == "unknown"} == set()


def test_a_model_goes_up_and_comes_down_through_the_same_endpoint(hub):
    files = hub.models["me/model"].files

    assert files["model.safetensors"] == File(b"weights\0", lfs=True)
    assert files["config.json"] == File(b"{}")
    assert "model [b'{}', b'weights\\x00']" in hub.printed


def test_joining_the_same_downloads_gives_the_publishers_folder_to_the_byte(hub, folders):
    assert tree(hub.joined) == tree(folders.whole)
    assert "IPA symbols in total" in hub.printed


def test_joined_rows_have_the_publishers_labels_and_splits(folders, downloads, tmp_path):
    mine = shutil.copytree(downloads["emotale"], tmp_path / "emotale")
    table = (mine / "annotations.csv").read_text().replace("A,3.0,3.0,4.0,N,A", "S,3.0,3.0,4.0,N,A")
    (mine / "annotations.csv").write_text(table)

    join(folders.published, {"emotale": mine}, tmp_path / "joined")

    assert read(tmp_path / "joined", "emotale") == read(folders.whole, "emotale")


def test_ids_without_a_usable_file_are_left_out_and_reported(folders, downloads, tmp_path):
    mine = shutil.copytree(downloads["urdu"], tmp_path / "urdu")
    (mine / "Angry/SM1_F1_A00.wav").unlink()
    (mine / "Angry/SM2_F1_A01.wav").write_text("hello")
    tone(mine / "Sad/SF1_F2_S02.wav", 500, seconds=0.5)
    tone(mine / "Sad/SF2_F2_S03.wav", 500, seconds=0.4)
    tone(mine / "Sad/SF9_F2_S99.wav", 500)

    manifest = join(folders.published, {"urdu": mine}, tmp_path / "joined")

    joined, whole = read(tmp_path / "joined", "urdu"), read(folders.whole, "urdu")
    lost = {"urdu/SM1_F1_A00", "urdu/SM2_F1_A01", "urdu/SF1_F2_S02"}
    assert joined == {name: {**row, **changed(joined, name)} for name, row in whole.items() if name not in lost}
    assert skips(tmp_path / "joined") == [
        ["urdu", "Angry/SM2_F1_A01.wav", "unreadable: Format not recognised."],
        ["urdu", "urdu/SF1_F2_S02", "join: duration must be the publisher's 0.20 s; got 0.50 s"],
        ["urdu", "urdu/SM1_F1_A00", "join: id must be in the download; got none. The row is skipped"],
    ]
    assert sum(counts["rows"] for counts in manifest["corpora"]["urdu"]["splits"].values()) == 5


def test_a_label_that_the_table_lists_no_more_costs_its_row_alone(folders, downloads, tmp_path, monkeypatch):
    describe = rows.describe

    def forget(corpus, record, terms):
        if record.path.name == "SM1_F1_A00.wav":
            raise UnknownLabelError("label must be one of S; got 'A'")
        return describe(corpus, record, terms)

    monkeypatch.setattr(rows, "describe", forget)

    join(folders.published, {"urdu": downloads["urdu"]}, tmp_path / "joined")

    assert len(read(tmp_path / "joined", "urdu")) == 7
    assert skips(tmp_path / "joined")[0] == [
        "urdu",
        "Angry/SM1_F1_A00.wav",
        "label must be one of S; got 'A'",
    ]


def test_a_corpus_without_a_download_is_left_out_and_joins_later(folders, downloads, tmp_path, capsys):
    out = tmp_path / "joined"
    main(["join", str(folders.published), "--out", str(out), "--corpus", f"urdu={downloads['urdu']}"])

    assert "skipped, because --corpus gives no download: emotale\n" in capsys.readouterr().out
    assert json.loads((out / "manifest.json").read_text())["left_out"] == ["emotale"]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["nemo", "urdu"]
    before = [(out / f"{corpus}/train-00000-of-00001.parquet").stat().st_mtime_ns for corpus in ("nemo", "urdu")]

    join(folders.published, {corpus: downloads[corpus] for corpus in ("urdu", "emotale")}, out)

    assert tree(out) == tree(folders.whole)
    after = [(out / f"{corpus}/train-00000-of-00001.parquet").stat().st_mtime_ns for corpus in ("nemo", "urdu")]
    assert after == before  # existing files are not written again


def test_wrong_joins_say_what_to_do(folders, downloads, tmp_path):
    with pytest.raises(
        CorpusError, match=r"--corpus must name one of emotale, urdu; got nemo. Only these have no audio"
    ):
        join(folders.published, {"nemo": downloads["nemo"]}, tmp_path / "out")
    with pytest.raises(CorpusError, match=r"--corpus must name one of emotale, urdu; got none"):
        join(folders.published, {}, tmp_path / "out")
    with pytest.raises(CorpusError, match=r"--out must be a new folder, .*; got a metadata-only SEQD in .*published'"):
        join(folders.published, {"urdu": downloads["urdu"]}, folders.published)
    tone(tmp_path / "urdu/Sad/SF9_F2_S99.wav", 500)
    with pytest.raises(
        CorpusError, match=r"urdu must have a file of a published id; got none in .*id must be in the download"
    ):
        join(folders.published, {"urdu": tmp_path / "urdu"}, tmp_path / "out")


def changed(joined: dict[str, dict], name: str) -> dict:
    """Return the fields that the replaced file changes."""
    return {field: joined[name][field] for field in ("audio", "duration")} if name == "urdu/SF2_F2_S03" else {}


def damage_manifest(folder: Path, old: str, new: str):
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda seqd: (seqd / "manifest.json").unlink(), r"folder must be a built SEQD; got no manifest.json in"),
        (lambda seqd: (seqd / "README.md").unlink(), r"got no README.md in .*Build one: python -m .*build --out"),
        (
            lambda seqd: (seqd / "nemo/test-00000-of-00001.parquet").unlink(),
            r"files must match manifest.json; got missing or changed nemo/test-00000-of-00001.parquet",
        ),
        (
            lambda seqd: (seqd / "nemo/train-00000-of-00001.parquet").open("ab").write(b"x"),
            r"got missing or changed nemo/train-00000-of-00001.parquet in .*Run the same build again",
        ),
        (
            lambda seqd: shutil.copy(
                seqd / "nemo/test-00000-of-00001.parquet", seqd / "nemo/test-00001-of-00002.parquet"
            ),
            r"Parquet files must be listed in manifest.json; got nemo/test-00001-of-00002.parquet in .*Delete them",
        ),
        (
            lambda seqd: (seqd / "README.md").write_text("---\nconfigs:\n- config_name: urdu\n---\n# SEQD\n"),
            r"configs of README.md must be nemo, all; got urdu in",
        ),
        (
            lambda seqd: damage_manifest(seqd, '"nemo/test', '"nemo/../../test'),
            r"file must be <corpus>/<name>.parquet; got nemo/../../test-00000-of-00001.parquet in manifest.json",
        ),
        (
            lambda seqd: damage_manifest(seqd, '"homepage"', '"home"'),
            r"manifest.json must come from a build; got KeyError 'homepage' in .*Do not use this folder",
        ),
    ],
)
def test_a_folder_that_is_no_finished_seqd_is_not_pushed(seqd, damage, message):
    damage(seqd)

    with pytest.raises(CorpusError, match=message):
        push(seqd, "me/never")


def test_joining_a_hostile_repository_deletes_nothing_outside(seqd, tmp_path):
    precious = tmp_path / "home" / "precious"
    precious.mkdir(parents=True)
    (precious / "thesis.txt").write_text("years of work")
    named = "/" + "../" * 30 + str(precious).lstrip("/")
    empty = {"source": "", "files": {}, "skipped": []}
    damage_manifest(seqd, '"corpora": {', f'"corpora": {{"{named}": {json.dumps(empty)},')
    card = (seqd / "README.md").read_text()
    (seqd / "README.md").write_text(card.replace("configs:\n", f"configs:\n- config_name: {named}\n"))

    with pytest.raises(CorpusError, match=r"must have names of letters, digits, _ and -.*Do not use this folder"):
        join(seqd, {}, tmp_path / "out")

    assert (precious / "thesis.txt").read_text() == "years of work"


def test_the_command_line_ends_with_one_line_on_a_wrong_folder(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["push", str(tmp_path), "me/never"])

    assert capsys.readouterr().err.startswith("hub: folder must be a built SEQD; got no manifest.json, README.md")
