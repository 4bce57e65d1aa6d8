"""Evaluate a training method with a protocol, fold by fold: `python -m speecheq.evaluation.experiment recipe.yaml`.

The method trains heads on a frozen encoder, whose statistics are computed once, or a linear probe, or fine-tunes with a
recipe of train.py.

Each fold and seed is a file in `output_dir` with the prediction of every test utterance. A killed run resumes after the last
file, and `python -m speecheq.evaluation.experiment --compare A B` compares two runs utterance by utterance.
Test speakers never select a layer or an epoch: the recipe fixes everything, and the linear probe selects its layer on
training speakers. Every result names the test speakers that are in the training data, with that of the checkpoint that
fine-tuning starts from. If the checkpoint has no record of its training data, the result says so.
"""

import json
import shutil
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from datasets import Dataset, concatenate_datasets
from peft import PeftModel

from speecheq.backbones_speecheq import keep_layers
from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.dataset_scripts.files import write_text
from speecheq.evaluation.probe import fit_probe
from speecheq.evaluation.protocols import Fold, audit, choose, class_of, folds, hold_out_texts, share_training
from speecheq.evaluation.results import compare, comparison_table, read_results, summarise, summary_table
from speecheq.labels_speecheq import BASIC_CLASSES, ESC_LABELS, GENDER_LABELS
from speecheq.metrics.scores import fold as fold_probabilities
from speecheq.metrics.scores import native_classes, rendition
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.arguments import (
    DataArguments,
    ModelArguments,
    SpeechEQTrainingArguments,
    check_balance,
    read_mappings,
)
from speecheq.training.batches import Collator, sampling_weights
from speecheq.training.fit import fit
from speecheq.training.frozen import KNOWN_OF, HeadArguments, KnownUtterances, score_heads, train_heads
from speecheq.training.provenance import speakers_of_earlier_stages
from speecheq.training.recipes import check_same_recipe, public_name, read_recipe
from speecheq.training.seqd import load_seqd
from speecheq.training.speakers import speakers_to_know
from speecheq.training.states import answer_rows, utterance_statistics

BASIC_SETS = [frozenset(members) for members in BASIC_CLASSES.values()]


@dataclass
class ExperimentArguments:
    """Arguments of an experiment: protocol, test corpora, training corpora and seeds."""

    dataset: str | None = field(default=None, metadata={"help": "SEQD: folder or Hub repository."})
    output_dir: str = field(default="runs/experiment", metadata={"help": "Folder of the folds' results."})
    cache: str = field(default="runs/features", metadata={"help": "Folder of the encoder's statistics."})
    protocol: str = field(default="loso", metadata={"help": "See speecheq/evaluation/protocols.py."})
    corpora: list[str] = field(default_factory=list, metadata={"help": "Test corpora, each tested separately."})
    train_corpora: list[str] | None = field(
        default=None, metadata={"help": "Training corpora, or all; by default the test corpus."}
    )
    folds: int = field(default=5, metadata={"help": "Folds of speaker-kfold."})
    models: int = field(
        default=0,
        metadata={
            "help": "Models shared by the folds, each trained on the common training rows of its folds; 0: one per fold."
        },
    )
    only_folds: list[str] | None = field(default=None, metadata={"help": "Run only these folds."})
    unseen_texts: float = field(
        default=0.0, metadata={"help": "Share of the texts to test on and exclude from training; 0: no restriction."}
    )
    seeds: list[int] = field(default_factory=lambda: [0], metadata={"help": "Seeds of the training."})
    known_utterances: list[int] = field(
        default_factory=lambda: [0],
        metadata={"help": "Numbers of unlabelled enrolment utterances per test speaker; -1: all others."},
    )
    known_of: str = field(
        default="speaker",
        metadata={
            "help": "Source of the enrolment utterances: speaker (the test speaker) or corpus (the whole test corpus)."
        },
    )

    def __post_init__(self):
        for name in ("dataset", "corpora"):
            if not getattr(self, name):
                raise ValueError(f"experiment: {name} must be given; got none. See recipes/ for examples.")
        if self.known_of not in KNOWN_OF:
            raise ValueError(f"experiment: known_of must be one of {', '.join(KNOWN_OF)}; got {self.known_of!r}.")


@dataclass
class MethodArguments:
    """Arguments of the training method."""

    backbone: str | None = field(
        default=None,
        metadata={
            "help": "Pretrained encoder: Hub repository or folder; not used if finetune starts from a checkpoint."
        },
    )
    method: str = field(
        default="heads",
        metadata={"help": "heads; probe: logistic regression on the best layer; finetune: a recipe of train.py."},
    )
    finetune: str | None = field(default=None, metadata={"help": "With finetune: the recipe of train.py."})
    states: int | None = field(
        default=None, metadata={"help": "Read only this number of first hidden states of the encoder; by default all."}
    )
    head_hidden_size: int = field(
        default=512, metadata={"help": "Size of the utterance heads' hidden layer; 0: no layer."}
    )
    head_dropout: float = field(default=0.3, metadata={"help": "Dropout before each layer of a head."})
    max_steps: int | None = field(
        default=None, metadata={"help": "With finetune: training steps; override the recipe's."}
    )
    loss_weights: dict | str | None = field(
        default=None, metadata={"help": "Loss weights of the tasks; with finetune, they override the recipe's."}
    )
    speaker_prior: float = field(default=3.0, metadata={"help": "See SpeechEQConfig."})
    use_votes: bool = field(default=True, metadata={"help": "Train on the raters' votes where a corpus has them."})
    prior_smoothing: float = field(
        default=0.1, metadata={"help": "See corpus_priors: 0 compares only the classes of a corpus; 1: no correction."}
    )
    corpus_balance: float = field(
        default=0.5, metadata={"help": "0: original corpus frequencies; 1: equally frequent corpora."}
    )
    class_balance: float = field(default=0.5, metadata={"help": "The same for the classes of a corpus."})
    corpus_shares: dict | str | None = field(default=None, metadata={"help": "See sampling_weights."})

    def __post_init__(self):
        read_mappings("experiment", self)
        if self.method not in ("heads", "probe", "finetune"):
            raise ValueError(f"experiment: method must be heads, probe or finetune; got {self.method!r}.")
        if (self.method == "finetune") != (self.finetune is not None):
            raise ValueError(
                f"experiment: finetune must be given with method finetune, and with no other; got {self.finetune!r} with "
                f"method {self.method}."
            )
        if self.backbone is None and self.method != "finetune":
            raise ValueError("experiment: backbone must be the Hub repository or folder of an encoder; got none.")
        check_balance("experiment", self)

    @property
    def checkpoint(self) -> str | None:
        """Trained model that the recipe of train.py starts from, or `None`."""
        return (yaml.safe_load(Path(self.finetune).read_text()) or {}).get("checkpoint") if self.finetune else None


OPTIONS = {option.name for group in (MethodArguments, HeadArguments) for option in fields(group)}
READ = {  # options of each method; the recipe of train.py has the other options of finetune
    "heads": OPTIONS - {"finetune", "max_steps"},
    "probe": {"backbone", "method", "states"},
    "finetune": {"backbone", "method", "finetune", "loss_weights", "max_steps"},
}


def main(arguments: list[str] | None = None) -> list[dict]:
    """Run the missing folds of an experiment, or compare two; print the table and return its rows."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["--compare"]:
        if len(arguments) != 3:
            raise ValueError(f"experiment: --compare must have two folders; got {', '.join(arguments[1:]) or 'none'}.")
        first, second = (read_results(Path(folder)) for folder in arguments[1:])
        print(comparison_table(differences := compare(first, second)))
        return differences
    groups = (ExperimentArguments, MethodArguments, HeadArguments)
    experiment, method, heads, given = read_recipe("experiment", groups, arguments)
    overrides = {argument.split("=")[0].replace("-", "_").removeprefix("__no") for argument in arguments}
    for name in sorted(OPTIONS - READ[method.method] | ({"backbone"} if method.checkpoint else set())):
        if overrides & {f"__{name}", f"_{name}"}:  # --name, or --no_name
            raise ValueError(
                f"experiment: {name} must not be given with method {method.method}, which does not use it; got it on the "
                f"command line.{' Set it in the recipe of train.py.' if method.finetune else ''}"
            )
        given.pop(name, None)  # a recipe may serve several methods
    folder = Path(experiment.output_dir)
    for name in ("seeds", "only_folds", "cache"):  # a later run may change them
        given.pop(name, None)
    if method.finetune:
        given["finetune"] = Path(method.finetune).read_text()
    check_same_recipe("experiment", folder, given, begun=any(folder.glob("*-seed*.json")))
    run(experiment, method, heads)
    summary = summarise(read_results(folder))
    (folder / "results.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(summary_table(summary))
    return summary


def run(experiment: ExperimentArguments, method: MethodArguments, heads: HeadArguments):
    """Run the folds and seeds that do not have a file yet."""
    folder = Path(experiment.output_dir)
    rows, facts = load_rows(experiment.dataset)
    missing = {}  # by seed and training rows: these folds share a model
    for seed in experiment.seeds:
        for corpus, part in wanted_folds(experiment, facts):
            together = missing.setdefault((seed, part.train.tobytes()), [])
            together.append((corpus, part, folder / f"{part.name}-seed{seed}.json"))
    statistics = None
    for (seed, _), parts in missing.items():
        checkpoints = folder / "checkpoints" / parts[0][2].stem
        model = None
        for corpus, part, file in parts:
            if file.is_file():
                continue
            result = {"corpus": corpus, "protocol": experiment.protocol, "seed": seed, "fold": part.name}
            result |= {"audit": audit_fold(part, rows, facts, method.checkpoint), "label_space": part.label_space}
            result |= describe_fold(part, facts)
            if statistics is None and method.method != "finetune":
                statistics = load_statistics(method.backbone, rows, Path(experiment.cache), method.states)
            if method.method == "probe":
                result["answers"] = {"0": answer_by_probe(part, facts, statistics[0])}
            elif method.method == "heads":
                model = model or train_on_statistics(part, facts, *statistics, method, heads, seed)
                answers = statistics[0][part.test]
            else:
                model = model or finetune_fold(part, rows, method, checkpoints, seed)
                processor = SpeechEQProcessor.for_config(model.config)
                found = answer_rows(model.to(_device()), processor, rows.select(part.test))
                answers, result["heard_phonemes"] = found["statistics"], found["phonemes"]
                model = model.cpu()  # the heads are fast
            if model is not None:
                numbers, speakers = experiment.known_utterances, facts[KNOWN_OF[experiment.known_of]].to_numpy()
                result["answers"] = answer_by_heads(model, part, speakers[part.test], answers, numbers, seed)
            write_text(file, json.dumps(result) + "\n")
        shutil.rmtree(checkpoints, ignore_errors=True)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def wanted_folds(experiment: ExperimentArguments, facts: pd.DataFrame) -> list[tuple[str, Fold]]:
    """Return the requested folds, each with its test corpus.

    Raises:
        ValueError: if `only_folds` has an unknown name.
    """
    of_corpus = {
        corpus: [
            hold_out_texts(part, facts, experiment.unseen_texts)
            for part in folds(experiment.protocol, facts, corpus, experiment.train_corpora, experiment.folds)
        ]
        for corpus in experiment.corpora
    }
    of_corpus = share_training(of_corpus, facts, experiment.models)
    found = [(corpus, part) for corpus, parts in of_corpus.items() for part in parts]
    if (chosen := experiment.only_folds) is None:
        return found
    choose("only_folds", chosen, [part.name for _, part in found])
    return [(corpus, part) for corpus, part in found if part.name in chosen]


def audit_fold(part: Fold, rows: Dataset, facts: pd.DataFrame, checkpoint: str | None) -> dict:
    """Audit a fold, and add the test speakers that the checkpoint was trained on, or `not_counted` without its record."""
    found = audit(part, facts)
    if checkpoint is not None:
        tested = rows.select_columns(["corpus", "speaker_id"]).select(part.test)
        seen, unknown = speakers_of_earlier_stages(checkpoint, tested)
        found["shared_speakers"] = sorted({*found["shared_speakers"], *seen})
        if unknown:
            found["not_counted"] = f"speakers that the checkpoint {', '.join(unknown)} was trained on"
    return found


def load_rows(dataset: str) -> tuple[Dataset, pd.DataFrame]:
    """Load all splits of a SEQD as one dataset, and as a table without audio."""
    rows = concatenate_datasets(list(load_seqd(dataset, max_seconds=30).values()))
    return rows, rows.remove_columns("audio").to_pandas()


def load_statistics(backbone: str, rows: Dataset, cache: Path, states: int | None = None):
    """Compute or read the utterance statistics of a frozen encoder, and return them with its configuration.

    With `states`, only the layers up to the last of these states and the next one run: the output of the last layer of an
    encoder is normalised, and the others are not.

    Raises:
        ValueError: if the encoder has fewer states.
    """
    model = SpeechEQModel.from_backbone(backbone).eval().to(_device())
    config, number = model.config.backbone_config, model.config.num_encoder_states
    if states is not None and not 2 <= states <= number:
        raise ValueError(f"experiment: states must lie in [2, {number}] for {public_name(backbone)}; got {states}.")
    if states is not None and states < number:
        keep_layers(model.backbone, states)
    statistics = utterance_statistics(model.backbone, model.pooling, rows, cache)[:, :states]
    config.num_hidden_layers = statistics.shape[1] - 1
    return statistics, config


def describe_fold(part: Fold, facts: pd.DataFrame) -> dict:
    """Return the classes of a fold, and the ids, speakers and labels of its test utterances."""
    tested = facts.iloc[part.test]
    sets, names = _classes(part)
    pairs = zip(tested["esc"], tested["native_label"], strict=True)
    found = [class_of(esc, label, part.label_space) for esc, label in pairs]
    references = [sets.index(frozenset(part.label_space[label])) for label in found]
    return {
        "classes": names,
        "ids": tested["id"].tolist(),
        "speakers": tested["speaker_id"].tolist(),
        "references": references,
        "basic": [_class_index(esc, BASIC_SETS) for esc in tested["esc"]],
        "renditions": [rendition(row) for row in tested.to_dict("records")],
        "eis_low": [None if pd.isna(value) else value for value in tested["eis_low"]],
        "eis_high": [None if pd.isna(value) else value for value in tested["eis_high"]],
        "gender": [GENDER_LABELS.index(name) if name in GENDER_LABELS else None for name in tested["gender"]],
        "phonemes": [None if symbols is None or not len(symbols) else list(symbols) for symbols in tested["phonemes"]],
    }


def answer_by_probe(part: Fold, facts: pd.DataFrame, features: torch.Tensor) -> dict:
    """Fit a linear probe on the training part of a fold and predict the test part."""
    sets, _ = _classes(part)
    trained = [_class_index(esc, sets) for esc in facts["esc"].iloc[part.train]]
    probe = fit_probe(features[part.train].numpy(), trained, facts["speaker_id"].to_numpy()[part.train])
    return {"esc": probe.predict(features[part.test].numpy()).tolist(), "layer": probe.layer}


def train_on_statistics(part: Fold, facts: pd.DataFrame, features, backbone_config, method, heads, seed):
    """Train heads on the training part of a fold."""
    names = ("head_hidden_size", "head_dropout", "loss_weights", "speaker_prior")
    config = SpeechEQConfig(backbone_config=backbone_config, **{name: getattr(method, name) for name in names})
    train = Dataset.from_pandas(facts.iloc[part.train], preserve_index=False)
    weights = sampling_weights(train, method.corpus_balance, method.class_balance, method.corpus_shares)
    collator = Collator(None, config, method.use_votes)
    if method.prior_smoothing < 1:
        collator.learn_priors(train, weights, method.prior_smoothing)
    known = KnownUtterances(
        features[part.train],
        collator.utterance_labels(train.to_list()),
        np.array(train["speaker_id"]),
        weights,
        speakers_to_know(train),
    )
    torch.manual_seed(seed)  # for the weights of the new heads; train_heads sets its own seed
    return train_heads(SpeechEQModel(config), known, heads, seed)


def finetune_fold(part: Fold, rows: Dataset, method, folder: Path, seed: int) -> SpeechEQModel:
    """Fine-tune with a recipe on the training part of a fold; a killed run resumes from its checkpoints in `folder`."""
    groups = (ModelArguments, DataArguments, SpeechEQTrainingArguments)
    options = ["--dataset", "given", "--output_dir", str(folder), "--seed", str(seed)]
    if method.backbone is not None and method.checkpoint is None:
        options += ["--backbone", method.backbone]
    if method.loss_weights is not None:
        options += ["--loss_weights", json.dumps(method.loss_weights)]
    if method.max_steps is not None:
        options += ["--max_steps", str(method.max_steps)]
    model_arguments, data_arguments, arguments, _ = read_recipe("experiment", groups, [method.finetune, *options])
    trainer = fit({"train": rows.select(part.train)}, model_arguments, data_arguments, arguments)
    model = trainer.accelerator.unwrap_model(trainer.model)
    return (model.merge_and_unload() if isinstance(model, PeftModel) else model).eval()


def answer_by_heads(
    model: SpeechEQModel, part: Fold, speakers: np.ndarray, statistics: torch.Tensor, numbers: list[int], seed: int
) -> dict:
    """Predict with the utterance heads, for each number of enrolment utterances; `speakers` groups the utterances."""
    sets, _ = _classes(part)
    found = {}
    for number in numbers:
        output = score_heads(model, statistics, speakers, number, seed)
        probabilities = output.esc_logits.softmax(dim=-1).numpy()
        native = fold_probabilities(probabilities, [sorted(fine) for fine in sets], ESC_LABELS)
        basic = fold_probabilities(probabilities, list(BASIC_CLASSES.values()), ESC_LABELS)
        found[str(number)] = {
            "esc": native.argmax(axis=1).tolist(),
            "basic": basic.argmax(axis=1).tolist(),
            "logits": output.esc_logits.numpy().round(3).tolist(),
            "eis": output.eis.numpy().round(4).tolist(),
            "gender": output.gender_logits.argmax(dim=-1).tolist(),
        }
    return found


def _device() -> torch.device:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")


def _classes(part: Fold) -> tuple[list[frozenset[str]], list[str]]:
    """Return the classes of a fold and their names; the name is the last native label with that set."""
    sets, classes = native_classes(part.label_space)
    named = {fine: label for label, fine in sets.items()}
    return classes, [named[fine] for fine in classes]


def _class_index(esc, sets: list[frozenset[str]]) -> int | None:
    """Return the smallest class that contains all fine classes of a row; `None` if the label is missing or none does."""
    if esc is None or not len(esc):
        return None
    containing = [index for index, fine in enumerate(sets) if fine.issuperset(esc)]
    return min(containing, key=lambda index: len(sets[index]), default=None)


if __name__ == "__main__":
    main()
