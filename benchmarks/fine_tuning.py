"""Benchmark of training speed, compared with the usual loop: `python benchmarks/fine_tuning.py --dataset SEQD`.

Each contestant trains one epoch of the same utterances with the Trainer: full fine-tuning of the same encoder in float32.

- `speecheq`: four heads; batches of similar lengths, padded to the longest utterance of the batch.
- `unsorted`: the same model and heads; random batches, padded to the longest utterance of the set.
- `whisper (30 s)`: `WhisperForAudioClassification` as in run_audio_classification.py of transformers: one head, 30 s.

Contestants take turns. The result is the median of the utterances per second that the Trainer reports.
"""

import argparse
import statistics
import tempfile

import torch
from inference import ROOT, whisper
from machine import describe
from torch import nn
from transformers import PrinterCallback, Trainer, TrainingArguments

from speecheq import SpeechEQModel, SpeechEQProcessor
from speecheq.training.batches import SpeechDataset
from speecheq.training.fit import extend_phonemes
from speecheq.training.seqd import load_seqd, phoneme_inventory
from speecheq.training.trainer import SpeechEQTrainer


def arguments(folder: str, batch_size: int) -> TrainingArguments:
    """Return training arguments for one epoch without saving."""
    return TrainingArguments(
        folder, num_train_epochs=1, per_device_train_batch_size=batch_size, learning_rate=1e-5, save_strategy="no",
        report_to="none", disable_tqdm=True, logging_steps=10_000, dataloader_pin_memory=False, use_cpu=True,
    )  # fmt: skip


class UnsortedTrainer(SpeechEQTrainer):
    """Trainer with random batches, padded to the longest utterance of the set."""

    def __init__(self, *given, train_rows, **kwargs):
        super().__init__(*given, train_rows=train_rows, **kwargs)
        self.longest, collate = round(100 * max(train_rows["duration"])) + 1, self.data_collator

        def padded(items):
            batch = collate(items)
            more = self.longest - batch["input_features"].shape[-1]
            names = ("input_features", "attention_mask")
            return batch | {name: nn.functional.pad(batch[name], (0, more)) for name in names}

        self.data_collator = padded

    def _get_train_sampler(self, train_dataset=None):
        return torch.utils.data.RandomSampler(self.train_dataset)


def ours(trainer_class: type[SpeechEQTrainer], rows, batch_size: int) -> Trainer:
    """Create a trainer of four heads on the encoder of the checkpoint."""
    model = SpeechEQModel.from_pretrained(ROOT)
    extend_phonemes(model, phoneme_inventory(rows))
    with tempfile.TemporaryDirectory() as folder:
        return trainer_class(
            model, arguments(folder, batch_size), SpeechEQProcessor.for_config(model.config), train_rows=rows
        )


def stock(rows, batch_size: int) -> Trainer:
    """Create a trainer of one head on the same encoder, with inputs padded to 30 s."""
    model, extractor = whisper()
    labels = {name: index for index, name in enumerate(sorted(set(rows["native_label"])))}
    model.classifier = nn.Linear(model.classifier.in_features, len(labels))
    model.num_labels = model.config.num_labels = len(labels)

    def collate(items):
        inputs = extractor([item["waveform"] for item in items], sampling_rate=16_000, return_tensors="pt")
        return dict(inputs) | {"labels": torch.tensor([labels[item["native_label"]] for item in items])}

    with tempfile.TemporaryDirectory() as folder:
        given = arguments(folder, batch_size)
        given.remove_unused_columns = False
        return Trainer(model, given, data_collator=collate, train_dataset=SpeechDataset(rows))


def measure(dataset: str, utterances: int, batch_size: int, repeats: int) -> dict[str, float]:
    """Measure the median utterances per second of each contestant."""
    rows = load_seqd(dataset, max_seconds=30)["train"]
    rows = rows.shuffle(seed=0).select(range(min(utterances, len(rows))))
    makers = {
        "speecheq": lambda: ours(SpeechEQTrainer, rows, batch_size),
        "unsorted": lambda: ours(UnsortedTrainer, rows, batch_size),
        "whisper (30 s)": lambda: stock(rows, batch_size),
    }
    rates = {name: [] for name in makers}
    for _ in range(repeats):
        for name, make in makers.items():
            trainer = make()
            trainer.remove_callback(PrinterCallback)
            rates[name].append(trainer.train().metrics["train_samples_per_second"])
    return {name: statistics.median(of) for name, of in rates.items()}


def table(rates: dict[str, float]) -> list[str]:
    """Format one line per contestant: its rate, and the speed-up of speecheq over it."""
    rows = [f"| {name} | {rate:.1f} | {rates['speecheq'] / rate:.2f} |" for name, rate in rates.items()]
    return ["| training | utterances per second | speed-up of speecheq |", "|---|---:|---:|", *rows, ""]


def main(given: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default=str(ROOT / "dataset_scripts/seqd_mini"), help="folder of a SEQD")
    parser.add_argument("--utterances", type=int, default=256, help="utterances of an epoch (default 256)")
    parser.add_argument("--batch-size", type=int, default=16, help="utterances of a batch (default 16)")
    parser.add_argument("--repeats", type=int, default=1, help="epochs of each contestant (default 1)")
    options = parser.parse_args(given)
    print(f"{describe()}; {options.utterances} utterances", "", sep="\n", flush=True)
    print(*table(measure(options.dataset, options.utterances, options.batch_size, options.repeats)), sep="\n")


if __name__ == "__main__":
    main()
