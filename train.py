"""Train the four heads of SpeechEQ on a SEQD: `python train.py recipes/quickstart.yaml [--learning_rate 1e-4 ...]`.

A recipe is a YAML file of the arguments below; the command line overrides it. Repeat the command to resume an interrupted
run from its last complete checkpoint, if the data is the same. The files in `output_dir` are ready for the Hub.
"""

import json
import sys
from pathlib import Path

from speecheq.dataset_scripts.build.builder import build, parse_corpora
from speecheq.metrics.scores import table
from speecheq.training.arguments import DataArguments, ModelArguments, SpeechEQTrainingArguments
from speecheq.training.fit import find_checkpoint, fit
from speecheq.training.provenance import read_record, seen_speakers, write_record
from speecheq.training.recipes import check_same_recipe, public_name, read_recipe
from speecheq.training.saving import save_for_hub, started_from, write_card
from speecheq.training.seqd import describe_labels, load_seqd


def parse(arguments: list[str]) -> tuple[ModelArguments, DataArguments, SpeechEQTrainingArguments, dict]:
    """Read a recipe and its overrides; see `read_recipe`."""
    return read_recipe("train.py", (ModelArguments, DataArguments, SpeechEQTrainingArguments), arguments)


def facts_of(
    splits: dict, model_arguments: ModelArguments, data_arguments: DataArguments, folder: Path, record: dict
) -> dict:
    """Collect the facts of a run for the model card, without scores; `record` is from `training_record`."""
    train = splits["train"].remove_columns("audio").to_pandas()
    corpora = {
        name: {
            "language": "/".join(sorted(rows["language"].unique())) if "language" in rows else "und",
            "license": rows["license"].iloc[0] if "license" in rows else "unknown",
            "utterances": len(rows),
            "speakers": rows["speaker_id"].nunique(),
        }
        for name, rows in train.groupby("corpus")
    }
    kept = data_arguments.corpora or []
    return {
        "corpora": corpora,
        "backbone": f"{model_arguments.backbone_config['model_type']}, random weights"
        if model_arguments.backbone_config
        else model_arguments.backbone and public_name(model_arguments.backbone),
        "tuning": model_arguments.tuning,
        "dataset": f"{Path(data_arguments.dataset).name} ({', '.join(kept) or data_arguments.dataset_config})"
        + ("" if "test" in splits else ", which has none"),
        "synthetic": "synthetic" in corpora,
        "shared_speakers": seen_speakers(record, splits["test"]) if "test" in splits else {},
        "unknown_stages": record["unknown"],
        "started_from": model_arguments.checkpoint and started_from(model_arguments.checkpoint),
        "command": f"python -m speecheq.evaluation.evaluate {folder} --dataset {data_arguments.dataset} "
        + " ".join([f"--dataset_config {data_arguments.dataset_config}", *(["--corpora", *kept] if kept else [])]),
    }


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train, evaluate on the test split and save; return the test scores, empty without a test split."""
    model_arguments, data_arguments, training_arguments, given = parse(list(arguments or sys.argv[1:]))
    folder = Path(training_arguments.output_dir)
    check_same_recipe("train.py", folder, given, begun=find_checkpoint(folder / "checkpoints") is not None)
    training_arguments.output_dir = str(folder / "checkpoints")
    if data_arguments.build:
        data_arguments.dataset = data_arguments.dataset or str(folder / "seqd")
        with training_arguments.main_process_first(desc="build"):
            build(parse_corpora(data_arguments.build), Path(data_arguments.dataset))
    splits = load_seqd(
        data_arguments.dataset, data_arguments.dataset_config, data_arguments.max_seconds, data_arguments.corpora
    )
    print(", ".join(f"{split}: {len(rows)} utterances" for split, rows in splits.items()))
    for note in describe_labels(splits):
        print(f"note: {note}")
    trainer = fit(splits, model_arguments, data_arguments, training_arguments)

    scores = trainer.score_rows(splits["test"]) if "test" in splits else {}
    if trainer.is_world_process_zero():
        trained = trainer.accelerator.unwrap_model(trainer.model)
        save_for_hub(trained, trainer.processor, folder, training_arguments.int8_weights)
        record = read_record(training_arguments.output_dir)
        write_record(folder, record)
        write_card(folder, scores, facts := facts_of(splits, model_arguments, data_arguments, folder, record))
        (folder / "results.json").write_text(json.dumps(scores, indent=2, sort_keys=True) + "\n")
        seen = ", ".join(speaker for names in facts["shared_speakers"].values() for speaker in names) or "none"
        if record["unknown"]:
            seen += (
                f" (not counted: the speakers of {', '.join(record['unknown'])}, whose training data is not recorded)"
            )
        tested = f"Test split; its speakers seen in training: {seen}.\n\n{table(scores)}"
        print(f"\n{tested if 'test' in splits else 'No test split, no scores.'}\n\nSaved in {folder}.")
    return scores


if __name__ == "__main__":
    main()
