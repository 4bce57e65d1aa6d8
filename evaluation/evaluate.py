"""Score a saved model on a SEQD: `python -m speecheq.evaluation.evaluate runs/speecheq --dataset seqd`.

`--floor ENCODER` also scores a linear probe of that frozen encoder on the test split.
"""

import argparse
import tempfile
from collections.abc import Sequence

import numpy as np
import torch
from datasets import Dataset
from transformers import TrainingArguments

from speecheq import (  # the package registers the classes that a saved model names
    SpeechEQModel,
    SpeechEQProcessor,
)
from speecheq.evaluation.probe import probe_scores
from speecheq.heads_speecheq import SpeechEQOutput
from speecheq.metrics.scores import table
from speecheq.training.frozen import ALL, KNOWN_OF, score_heads
from speecheq.training.provenance import speakers_of_earlier_stages
from speecheq.training.seqd import SPLITS, label_spaces, load_seqd, require_split, shared_speakers
from speecheq.training.states import answer_rows
from speecheq.training.trainer import SpeechEQTrainer, score


def evaluate(
    model,
    dataset: str,
    config: str = "all",
    split: str = "test",
    bf16: bool = False,
    corpora: Sequence[str] | None = None,
    known_utterances: int = 0,
    known_of: str = "speaker",
) -> dict[str, float]:
    """Score a model on one split, in the label space of each corpus and at every scale.

    Args:
        model (`str`): a saved model's folder or Hub repository.
        dataset (`str`): a SEQD's folder or Hub repository.
        config (`str`, *optional*, defaults to `"all"`): a corpus, or `all`.
        split (`str`, *optional*, defaults to `"test"`): `train`, `validation` or `test`.
        bf16 (`bool`, *optional*, defaults to `False`): predict in bfloat16.
        corpora (`Sequence[str]`, *optional*): score only these corpora.
        known_utterances (`int`, *optional*, defaults to 0): unlabelled utterances that are known beside the scored one;
            -1: all of them. `bf16` has no effect with them.
        known_of (`str`, *optional*, defaults to `"speaker"`): they are of the same `speaker`, or of any speaker of the
            same `corpus`.

    Returns:
        `dict[str, float]`: scores, named as in `speecheq.metrics.scores`.

    Raises:
        ValueError: if the split is missing, or `known_utterances` or `known_of` is another value.
    """
    if known_utterances < ALL or known_of not in KNOWN_OF:
        raise ValueError(
            f"evaluate: known_utterances must be -1, 0 or more, of {' or '.join(KNOWN_OF)}; got {known_utterances} "
            f"of {known_of!r}."
        )
    splits = load_seqd(dataset, config, 30, corpora)
    require_split("evaluate", splits, split)
    seen, unknown = speakers_seen(model, splits, split)
    not_counted = (
        f" (not counted: those of {', '.join(unknown)}, whose training data is not recorded)" if unknown else ""
    )
    print(f"Speakers of {split} that were seen in training: {', '.join(seen[:10]) or 'none'}{not_counted}.")
    if known_utterances:
        return score_known(model, splits[split], label_spaces(splits), known_utterances, known_of)
    return build_scorer(model, label_spaces(splits), bf16).score_rows(splits[split])


def score_known(model: str, rows: Dataset, spaces: dict[str, dict[str, list[str]]], number: int, of: str):
    """Score a saved model with statistics of other utterances; arguments as in [`evaluate`] and [`build_scorer`]."""
    found = SpeechEQModel.from_pretrained(model).eval()
    answers = answer_rows(found, SpeechEQProcessor.from_pretrained(model), rows)
    groups = np.array(rows[KNOWN_OF[of]])
    return score_output(score_heads(found, answers["statistics"], groups, number), answers, rows, found.config, spaces)


def score_output(
    output: SpeechEQOutput, answers: dict, rows: Dataset, config, spaces: dict[str, dict[str, list[str]]]
):
    """Score the utterance heads' output and the phonemes of [`~speecheq.training.states.answer_rows`]; see `score`."""
    genders = output.gender_logits.argmax(dim=-1).numpy()
    predictions = (output.esc_logits.softmax(dim=-1).numpy(), output.eis.numpy(), answers["phonemes"], genders)
    return score(predictions, rows, config, lambda phonemes: phonemes, spaces)


def speakers_seen(model: str, splits: dict[str, Dataset], split: str = "test") -> tuple[list[str], list[str]]:
    """Leakage audit: return the speakers of a split that are in train or that an earlier training stage has seen.

    Args:
        model (`str`): a saved model's folder or Hub repository.
        splits (`dict[str, Dataset]`): of the SEQD.
        split (`str`, *optional*, defaults to `"test"`): the split.

    Returns:
        `tuple[list[str], list[str]]`: the speakers, sorted; and the training stages whose speakers are not recorded.
    """
    earlier, unknown = speakers_of_earlier_stages(model, splits[split])
    return sorted({*shared_speakers(splits, split), *earlier}), unknown


def build_scorer(model: str, spaces: dict[str, dict[str, list[str]]], bf16: bool = False) -> SpeechEQTrainer:
    """Build a trainer of a saved model that can only `score_rows`.

    Args:
        model (`str`): a saved model's folder or Hub repository.
        spaces (`dict[str, dict[str, list[str]]]`): from [`~speecheq.training.seqd.label_spaces`].
        bf16 (`bool`, *optional*, defaults to `False`): predict in bfloat16.
    """
    on_cpu = not torch.accelerator.is_available()
    with tempfile.TemporaryDirectory() as folder:  # required by the Trainer; scoring writes nothing
        arguments = TrainingArguments(
            folder,
            per_device_eval_batch_size=32,
            report_to="none",
            bf16=bf16,
            use_cpu=on_cpu,
            dataloader_pin_memory=not on_cpu,
        )
        return SpeechEQTrainer(
            SpeechEQModel.from_pretrained(model),
            arguments,
            SpeechEQProcessor.from_pretrained(model),
            label_spaces=spaces,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or Hub repository of a trained model")
    parser.add_argument("--dataset", required=True, help="folder or Hub repository of a SEQD")
    parser.add_argument("--dataset_config", default="all", help="a corpus, or all")
    parser.add_argument("--corpora", nargs="+", metavar="NAME", help="score only these corpora")
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument(
        "--known_utterances",
        type=int,
        default=0,
        metavar="N",
        help="unlabelled utterances that are known beside the scored one; -1: all",
    )
    parser.add_argument(
        "--known_of",
        choices=KNOWN_OF,
        default="speaker",
        help="the known utterances are of the same speaker, or of any speaker of the same corpus",
    )
    parser.add_argument("--bf16", action="store_true", help="predict in bfloat16")
    parser.add_argument("--floor", metavar="ENCODER", help="also score a linear probe of this frozen encoder")
    options = parser.parse_args()
    scores = evaluate(
        options.model,
        options.dataset,
        options.dataset_config,
        options.split,
        options.bf16,
        options.corpora,
        options.known_utterances,
        options.known_of,
    )
    print(f"\n{options.model}, {options.split} split:\n\n{table(scores)}")
    if options.floor:
        floor = probe_scores(options.floor, load_seqd(options.dataset, options.dataset_config, 30, options.corpora))
        print(f"\nLinear probe of the frozen {options.floor}, one per corpus, test split:\n\n{table(floor)}")


if __name__ == "__main__":
    main()
