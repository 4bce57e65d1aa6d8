import hashlib
import json

import pytest
import soundfile

from speecheq.dataset_scripts.build import manifest
from speecheq.dataset_scripts.corpora.records import CorpusError


def test_an_empty_folder_has_an_empty_manifest(tmp_path):
    assert manifest.read_manifest(tmp_path) == {"corpora": {}}


def test_a_broken_manifest_says_what_to_do(tmp_path):
    (tmp_path / "manifest.json").write_text("{")

    with pytest.raises(CorpusError, match=r"manifest.json must be JSON; .* Delete it and build again"):
        manifest.read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must have corpora; got none"),
        ('{"corpora": ["nemo"]}', "must have corpora; got none"),
        ('{"corpora": {"../up": {"files": {}}}}', r"names of letters, .*; got '../up' in .*Do not use this folder"),
        ('{"corpora": {"/../up": {"files": {}}}}', r"names of letters, .*; got '/../up' in"),
        ('{"corpora": {"": {"files": {}}}}', r"names of letters, .*; got '' in"),
        ('{"corpora": {"nemo": {}}}', r"files with their SHA-256; got 'nemo' in"),
        ('{"corpora": {"nemo": {"files": {"a": 1}}}}', r"files with their SHA-256; got 'nemo' in"),
        ("[" * 100_000, "must be JSON; got maximum recursion"),
    ],
)
def test_a_manifest_from_elsewhere_names_no_folder_but_its_own(tmp_path, text, message):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CorpusError, match=message):
        manifest.read_manifest(tmp_path)


def test_files_that_are_missing_or_changed_are_named(tmp_path):
    (tmp_path / "a").write_bytes(b"whole")
    (tmp_path / "b").write_bytes(b"changed")
    entry = {"source": "s", "files": {name: {"sha256": manifest.file_sha256(tmp_path / "a")} for name in "abc"}}

    assert manifest.file_sha256(tmp_path / "a") == hashlib.sha256(b"whole").hexdigest()
    assert manifest.damaged(entry, tmp_path) == ["b", "c"]
    assert not manifest.is_finished(entry, "s", tmp_path)
    entry["files"] = {"a": entry["files"]["a"]}
    assert manifest.is_finished(entry, "s", tmp_path)
    assert not manifest.is_finished(entry, "other", tmp_path)
    assert not manifest.is_finished({**entry, "metadata_only": True}, "s", tmp_path)
    assert not manifest.is_finished(None, "s", tmp_path)


def test_manifest_report_and_card_are_written_whole(tmp_path):
    found = {"corpora": {"c": {"skipped": [["a, b.wav", 'said "no"']]}}}

    manifest.write_files(tmp_path, found, lambda given: f"{len(given['corpora'])} corpus ñ\n")

    assert json.loads((tmp_path / "manifest.json").read_text()) == found
    assert (tmp_path / "report.csv").read_text() == 'corpus,path,reason\nc,"a, b.wav","said ""no"""\n'
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "1 corpus ñ\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "manifest.json", "report.csv"]


def test_versions_name_what_decodes_and_what_reads_phonemes():
    found = manifest.versions()

    assert found["libsndfile"] == soundfile.__libsndfile_version__
    assert {"pyarrow", "soundfile", "soxr"} <= set(found)
