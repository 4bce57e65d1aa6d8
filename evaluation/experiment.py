"""Evaluate a way of training by a protocol, fold by fold: `python -m speecheq.evaluation.experiment recipe.yaml`.

Heads on a frozen encoder, whose statistics are taken once; the linear probe of it; or, with `finetune`, a recipe of train.py.

Each fold and seed is a file in `output_dir`, with the answer to every test utterance: a run that was killed goes on behind
the last of them, and two runs are compared utterance by utterance: `python -m speecheq.evaluation.experiment --compare A B`.
Nothing is chosen in a fold, neither a layer by its test speakers nor an epoch: the recipe fixes all, and the linear probe
chooses its layer by speakers of its training part. Every result names the test speakers that training has heard, but for
those of the checkpoint that a fine-tuning goes on from: they are not known.
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

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.dataset_scripts.build.manifest import write_text
from speecheq.evaluation.probe import fit_probe
from speecheq.evaluation.protocols import Fold, audit, choose, class_of, folds, hold_out_texts, share_training
from speecheq.evaluation.results import compare, comparison_table, read_results, summarise, summary_table
from speecheq.labels_speecheq import ESC_LABELS, GENDER_LABELS
from speecheq.metrics.scores import fold as fold_probabilities
from speecheq.metrics.scores import native_classes
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
from speecheq.training.frozen import HeadArguments, KnownUtterances, score_heads, train_heads
from speecheq.training.recipes import check_same_recipe, public_name, read_recipe
from speecheq.training.seqd import load_seqd
from speecheq.training.speakers import speakers_to_know
from speecheq.training.states import answer_rows, utterance_statistics

KNOWN_OF = {"speaker": "speaker_id", "corpus": "corpus"}  # the column that says whose utterances are known


@dataclass
class ExperimentArguments:
    """What is asked: a protocol, over corpora, from what training data, how often."""

    dataset: str | None = field(default=None, metadata={"help": "Folder of a built SEQD, or its Hub repository."})
    output_dir: str = field(default="runs/experiment", metadata={"help": "Where the folds' results go."})
    cache: str = field(default="runs/features", metadata={"help": "Where the encoder's statistics are kept."})
    protocol: str = field(default="loso", metadata={"help": "See speecheq/evaluation/protocols.py."})
    corpora: list[str] = field(default_factory=list, metadata={"help": "The tested corpora, each by itself."})
    train_corpora: list[str] | None = field(
        default=None, metadata={"help": "Corpora that train; all for all; by default the tested one."}
    )
    folds: int = field(default=5, metadata={"help": "Folds of speaker-kfold."})
    models: int = field(
        default=0,
        metadata={
            "help": "Let the folds share so many models, each trained on what all its folds allow; 0: one a fold."
        },
    )
    only_folds: list[str] | None = field(default=None, metadata={"help": "Run these folds only, by name."})
    unseen_texts: float = field(
        default=0.0,
        metadata={"help": "Share of the texts that are tested and never trained on; 0: texts do not matter."},
    )
    seeds: list[int] = field(default_factory=lambda: [0], metadata={"help": "Of the heads' training."})
    known_utterances: list[int] = field(
        default_factory=lambda: [0],
        metadata={"help": "Unlabelled utterances known of each test speaker; -1: all others."},
    )
    known_of: str = field(
        default="speaker",
        metadata={
            "help": "Whose utterances are known: the test speaker's, or, with corpus, anyone's of the tested corpus."
        },
    )

    def __post_init__(self):
        for name in ("dataset", "corpora"):
            if not getattr(self, name):
                raise ValueError(f"experiment: {name} must be given. See recipes/ for examples.")
        if self.known_of not in KNOWN_OF:
            raise ValueError(f"experiment: known_of must be one of {', '.join(KNOWN_OF)}; got {self.known_of!r}.")


@dataclass
class MethodArguments:
    """What is trained on the frozen encoder."""

    backbone: str | None = field(
        default=None,
        metadata={"help": "Pretrained encoder: Hub repository or folder; none where finetune names a checkpoint."},
    )
    method: str = field(
        default="heads",
        metadata={"help": "heads; probe: logistic regression on the best layer; finetune: a recipe of train.py."},
    )
    finetune: str | None = field(default=None, metadata={"help": "With finetune: the recipe of train.py."})
    head_hidden_size: int = field(default=512, metadata={"help": "Hidden layer of the utterance heads; 0: none."})
    head_dropout: float = field(default=0.3, metadata={"help": "Dropout before each layer of a head."})
    max_steps: int | None = field(default=None, metadata={"help": "With finetune: steps, instead of the recipe's."})
    loss_weights: dict | str | None = field(
        default=None, metadata={"help": "Of the tasks; with finetune, instead of the recipe's."}
    )
    speaker_prior: float = field(default=3.0, metadata={"help": "See SpeechEQConfig."})
    use_votes: bool = field(default=True, metadata={"help": "Learn the raters' votes where they are known."})
    corpus_balance: float = field(default=0.5, metadata={"help": "0: as the data are; 1: corpora equally often."})
    class_balance: float = field(default=0.5, metadata={"help": "The same for the classes of a corpus."})

    def __post_init__(self):
        read_mappings("experiment", self)
        if self.method not in ("heads", "probe", "finetune"):
            raise ValueError(f"experiment: method must be heads, probe or finetune; got {self.method!r}.")
        if (self.method == "finetune") != (self.finetune is not None):
            raise ValueError(f"experiment: finetune must be given with that method alone; got {self.finetune!r}.")
        if self.backbone is None and self.method != "finetune":
            raise ValueError("experiment: backbone must be given: a pretrained encoder's Hub repository or folder.")
        check_balance("experiment", self)

    @property
    def checkpoint(self) -> str | None:
        """The trained model that the recipe of train.py goes on from, if it names one."""
        return (yaml.safe_load(Path(self.finetune).read_text()) or {}).get("checkpoint") if self.finetune else None


OPTIONS = {option.name for group in (MethodArguments, HeadArguments) for option in fields(group)}
READ = {  # of these, by each method; the rest of a fine-tuning stands in its own recipe
    "heads": OPTIONS - {"finetune", "max_steps"},
    "probe": {"backbone", "method"},
    "finetune": {"backbone", "method", "finetune", "loss_weights", "max_steps"},
}


def main(arguments: list[str] | None = None) -> list[dict]:
    """Run what is missing of an experiment, and print its table; returns the summary. Or compare two."""
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
                f"experiment: {name} must not be given with method {method.method}, which does not read it; got it on the "
                f"command line.{' Give it in the recipe of train.py.' if method.finetune else ''}"
            )
        given.pop(name, None)  # a recipe may serve several methods
    folder = Path(experiment.output_dir)
    for name in ("seeds", "only_folds", "cache"):  # more of the same may be asked for later
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
    """Run the folds and seeds that have no file yet."""
    folder = Path(experiment.output_dir)
    rows, facts = load_rows(experiment.dataset)
    uncounted = {}
    if checkpoint := method.checkpoint:
        uncounted["not_counted"] = f"speakers that the checkpoint {public_name(checkpoint)} was trained on"
    missing = {}  # by seed and by what trains: such folds share a model
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
            result |= {"audit": audit(part, facts) | uncounted, "label_space": part.label_space}
            result |= describe_fold(part, facts)
            if statistics is None and method.method != "finetune":
                statistics = load_statistics(method.backbone, rows, Path(experiment.cache))
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
                model = model.cpu()  # the heads take no time
            if model is not None:
                numbers, speakers = experiment.known_utterances, facts[KNOWN_OF[experiment.known_of]].to_numpy()
                result["answers"] = answer_by_heads(model, part, speakers[part.test], answers, numbers, seed)
            write_text(file, json.dumps(result) + "\n")
        shutil.rmtree(checkpoints, ignore_errors=True)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def wanted_folds(experiment: ExperimentArguments, facts: pd.DataFrame) -> list[tuple[str, Fold]]:
    """The folds that are asked for, each with the corpus that it tests.

    Raises:
        ValueError: if `only_folds` names another one.
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


def load_rows(dataset: str) -> tuple[Dataset, pd.DataFrame]:
    """All splits of a SEQD as one, with audio and without."""
    rows = concatenate_datasets(list(load_seqd(dataset, max_seconds=30).values()))
    return rows, rows.remove_columns("audio").to_pandas()


def load_statistics(backbone: str, rows: Dataset, cache: Path):
    """The frozen encoder's statistics of all rows, and its configuration."""
    model = SpeechEQModel.from_backbone(backbone).eval().to(_device())
    return utterance_statistics(model.backbone, model.pooling, rows, cache), model.config.backbone_config


def describe_fold(part: Fold, facts: pd.DataFrame) -> dict:
    """The test utterances of a fold and what is true of them."""
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
        "eis_low": [None if pd.isna(value) else value for value in tested["eis_low"]],
        "eis_high": [None if pd.isna(value) else value for value in tested["eis_high"]],
        "gender": [GENDER_LABELS.index(name) if name in GENDER_LABELS else None for name in tested["gender"]],
        "phonemes": [None if symbols is None or not len(symbols) else list(symbols) for symbols in tested["phonemes"]],
    }


def answer_by_probe(part: Fold, facts: pd.DataFrame, features: torch.Tensor) -> dict:
    """Fit a linear probe on one side of a fold and answer the other."""
    sets, _ = _classes(part)
    trained = [_class_index(esc, sets) for esc in facts["esc"].iloc[part.train]]
    probe = fit_probe(features[part.train].numpy(), trained, facts["speaker_id"].to_numpy()[part.train])
    return {"esc": probe.predict(features[part.test].numpy()).tolist(), "layer": probe.layer}


def train_on_statistics(part: Fold, facts: pd.DataFrame, features, backbone_config, method, heads, seed):
    """Train heads on one side of a fold."""
    names = ("head_hidden_size", "head_dropout", "loss_weights", "speaker_prior")
    config = SpeechEQConfig(backbone_config=backbone_config, **{name: getattr(method, name) for name in names})
    train = Dataset.from_pandas(facts.iloc[part.train], preserve_index=False)
    known = KnownUtterances(
        features[part.train],
        Collator(None, config, method.use_votes).utterance_labels(train.to_list()),
        np.array(train["speaker_id"]),
        sampling_weights(train, method.corpus_balance, method.class_balance),
        speakers_to_know(train),
    )
    torch.manual_seed(seed)  # of the new heads' weights; train_heads seeds what it draws
    return train_heads(SpeechEQModel(config), known, heads, seed)


def finetune_fold(part: Fold, rows: Dataset, method, folder: Path, seed: int) -> SpeechEQModel:
    """Fine-tune by a recipe on one side of a fold; a killed run goes on from its checkpoints in `folder`."""
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
    """The utterance heads' answers, for each number of utterances known of a test speaker, or of whom `speakers` names."""
    sets, _ = _classes(part)
    found = {}
    for number in numbers:
        output = score_heads(model, statistics, speakers, number, seed)
        probabilities = output.esc_logits.softmax(dim=-1).numpy()
        found[str(number)] = {
            "esc": fold_probabilities(probabilities, [sorted(fine) for fine in sets], ESC_LABELS)
            .argmax(axis=1)
            .tolist(),
            "eis": output.eis.numpy().round(4).tolist(),
            "gender": output.gender_logits.argmax(dim=-1).tolist(),
        }
    return found


def _device() -> torch.device:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")


def _classes(part: Fold) -> tuple[list[frozenset[str]], list[str]]:
    """The classes to decide between, and their names: of labels with the same set, the last."""
    sets, classes = native_classes(part.label_space)
    named = {fine: label for label, fine in sets.items()}
    return classes, [named[fine] for fine in classes]


def _class_index(esc, sets: list[frozenset[str]]) -> int | None:
    """The smallest class that holds all fine classes of a row; `None` if it has none, or they lie across classes."""
    if esc is None or not len(esc):
        return None
    holding = [index for index, fine in enumerate(sets) if fine.issuperset(esc)]
    return min(holding, key=lambda index: len(sets[index]), default=None)


if __name__ == "__main__":
    main()
