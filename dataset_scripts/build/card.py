"""Dataset card of a built SEQD: YAML for `load_dataset`, and text for readers."""

import hashlib
from collections.abc import Callable

from datasets import DatasetInfo, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData

from speecheq.dataset_scripts.build.rows import FEATURES
from speecheq.dataset_scripts.build.splits import SPLITS

ALL = "all"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LARGEST_SIZE = "1M<n<10M"
SYNTHETIC_WARNING = """> **WARNING: SYNTHETIC SPEECH.** The corpus `synthetic` was made by a speech synthesiser.
> It contains no human voice and no human emotion. It shows that the software runs; scores on it say nothing about emotion.

"""
TEMPLATE = """---
{yaml}
---

# SEQD: emotional speech under one metric

{warning}Each row is one utterance with its emotion category (`esc`: a set of fine classes), its emotion intensity
(`eis_low`, `eis_high`: an interval in [0, 1]), its phonemes (IPA) and the speaker's gender. Values that the corpus does not
document are `None`. The dataset follows SpeechEQ (https://arxiv.org/abs/2206.13101), whose SEQD is not public, with an open
recipe.

```python
from datasets import Audio, load_dataset

stream = load_dataset("path/to/this/folder", "{example}", split="train", streaming=True)
for row in stream.cast_column("audio", Audio(decode=False)):  # FLAC bytes; decoding needs torchcodec
    print(row["id"], row["esc"], row["audio"]["bytes"][:4])
```

The terms of each corpus apply to its rows and to models trained on them; the column `license` repeats them. If the terms
forbid redistribution, `python -m speecheq.dataset_scripts.build.hub push` refuses the corpus, or omits its audio.

| corpus | language | source | terms | redistribution of audio | cite |
|---|---|---|---|---|---|
{sources}

Splits are speaker-disjoint: no speaker is in two of them.

| corpus | split | utterances | hours | speakers | with phonemes | with intensity | labels |
|---|---|---|---|---|---|---|---|
{counts}

| corpus | native label | fine classes |
|---|---|---|
{labels}

{skipped}

{symbols} IPA symbols in total. `manifest.json` lists their counts, the audit, and the library versions of the build.
"""


def card_text(manifest: dict) -> str:
    """Make the text of the dataset card.

    Args:
        manifest (`dict`): from [`build`].
    """
    corpora = manifest["corpora"]
    return TEMPLATE.format(
        yaml=card_data(corpora).to_yaml(),
        warning=SYNTHETIC_WARNING if "synthetic" in corpora else "",
        example=next(iter(corpora), ALL),
        sources=_lines(_source, corpora),
        counts=_lines(_counts, corpora),
        labels=_lines(_labels, corpora),
        skipped=_lines(_skipped, corpora),
        symbols=len({symbol for entry in corpora.values() for symbol in entry["phonemes"]}),
    )


def card_data(corpora: dict[str, dict]) -> DatasetCardData:
    """Make the YAML of the card: a config per corpus, and `all` with the same files."""
    configs = []
    for corpus, entry in corpora.items():
        files = [
            {"split": split, "path": f"{corpus}/{split}-*.parquet"} for split in SPLITS if split in entry["splits"]
        ]
        configs.append({"config_name": corpus, "data_files": files, "description": _digest([entry])})
    present = [split for split in SPLITS if any(split in entry["splits"] for entry in corpora.values())]
    files = [{"split": split, "path": f"*/{split}-*.parquet"} for split in present]
    description = _digest(list(corpora.values()))
    configs.append({"config_name": ALL, "data_files": files, "description": description, "default": True})

    total = sum(split["rows"] for entry in corpora.values() for split in entry["splits"].values())
    data = DatasetCardData(
        license="other",
        license_name="terms-of-each-corpus",
        license_link="README.md",
        language=sorted({language for entry in corpora.values() for language in entry["languages"]}),
        pretty_name="SEQD",
        task_categories=["audio-classification", "automatic-speech-recognition"],
        tags=["speech-emotion-recognition", "emotion", "speech"] + ["synthetic"] * ("synthetic" in corpora),
        size_categories=[next((name for limit, name in SIZES if total < limit), LARGEST_SIZE)],
        configs=configs,
    )
    infos = {corpus: _info([entry]) for corpus, entry in corpora.items()} | {ALL: _info(list(corpora.values()))}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    return data


def _digest(entries: list[dict]) -> str:
    """Identify the files: the cache of `datasets` goes by the YAML, and a new build must not get the rows of the old one."""
    sums = [file["sha256"] for entry in entries for _, file in sorted(entry["files"].items())]
    return f"SHA-256 of the files {hashlib.sha256(' '.join(sums).encode()).hexdigest()[:16]}"


def _info(entries: list[dict]) -> DatasetInfo:
    splits = SplitDict()
    for split in SPLITS:
        counts = [entry["splits"][split] for entry in entries if split in entry["splits"]]
        if counts:
            num_bytes = sum(count["arrow_bytes"] for count in counts)
            splits.add(SplitInfo(split, num_bytes=num_bytes, num_examples=sum(count["rows"] for count in counts)))
    return DatasetInfo(
        features=FEATURES,
        splits=splits,
        download_size=sum(file["bytes"] for entry in entries for file in entry["files"].values()),
        dataset_size=sum(split.num_bytes for split in splits.values()),
    )


def _lines(describe: Callable[[str, dict], str], corpora: dict[str, dict]) -> str:
    return "\n".join(describe(corpus, entry) for corpus, entry in corpora.items())


def _source(corpus: str, entry: dict) -> str:
    name = "synthetic (SYNTHETIC SPEECH)" if corpus == "synthetic" else corpus
    redistribution = "yes" if entry.get("redistributable") else "no"  # unknown terms count as forbidding it
    terms = entry.get("license", "unknown terms")
    return (
        f"| {name} | {', '.join(entry['languages'])} | {entry['homepage']} | {terms} | {redistribution} "
        f"| {entry['citation']} |"
    )


def _counts(corpus: str, entry: dict) -> str:
    lines = []
    for split, count in entry["splits"].items():
        genders = ", ".join(f"{number} {gender}" for gender, number in count["speaker_genders"].items())
        labels = ", ".join(f"{label} {number}" for label, number in count["labels"].items())
        lines.append(
            f"| {corpus} | {split} | {count['rows']} | {count['hours']:.2f} | {count['speakers']} ({genders}) "
            f"| {count['phonemised']} | {count['with_intensity']} | {labels} |"
        )
    return "\n".join(lines)


def _labels(corpus: str, entry: dict) -> str:
    return "\n".join(f"| {corpus} | {label} | {' or '.join(esc)} |" for label, esc in entry["classes"].items())


def _skipped(corpus: str, entry: dict) -> str:
    audit = entry["audit"]
    line = (
        f"- {corpus}: {len(entry['skipped'])} files skipped (reasons in report.csv); in more than one split: "
        f"{len(audit['speakers'])} speakers, {audit['texts']} texts, {len(audit['audio'])} recordings, "
        f"{len(audit['near_duplicates'])} near duplicates. Phonemes: {len(entry['phonemes'])} IPA symbols."
    )
    if entry["preparation"]["trim"]:
        line += " Silence at both ends was cut."
    if entry["preparation"]["loudness"] is not None:
        line += f" Loudness was set to {entry['preparation']['loudness']:g} LUFS."
    return f"{line} Note: {entry['note']}." if entry["note"] else line
