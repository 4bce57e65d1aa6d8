"""Print the predictions of a saved model for an audio file: `python training/predict.py runs/quickstart speech.wav`.

The Auto classes load code, weights and processor from the model folder; `speecheq` need not be installed.
"""

import sys

import soundfile
import torch
from transformers import AutoModel, AutoProcessor


def main(folder: str, path: str):
    model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    samples, rate = soundfile.read(path, dtype="float32")
    with torch.no_grad():
        output = model(**processor([samples], sampling_rate=rate))

    config, fine = model.config, output.esc_logits[0].softmax(dim=-1).tolist()
    scores = dict(zip(config.esc_labels, fine, strict=True))
    scales = {"fine": {label: [label] for label in config.esc_labels}} | config.esc_scales
    print(f"{path}: {len(samples) / rate:.2f} s at {rate} Hz")
    for scale, classes in scales.items():
        sums = {label: sum(scores[member] for member in members) for label, members in classes.items()}
        best = sorted(sums, key=sums.get, reverse=True)[:3]
        print(f"ESC {scale:8}" + ", ".join(f"{label} {100 * sums[label]:.0f} %" for label in best))
    nearest = int(output.eis.item() * (len(config.eis_labels) - 1) + 0.5)
    print(f"EIS         {output.eis.item():.2f} ({config.eis_labels[nearest]})")
    print(f"phonemes    {' '.join(processor.decode_phonemes(output.phoneme_logits, output.frame_lengths)[0])}")
    gender = output.gender_logits[0].softmax(dim=-1)
    print(f"gender      {config.gender_labels[gender.argmax()]} {100 * gender.max():.0f} %")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python training/predict.py MODEL_FOLDER AUDIO_FILE")
    main(*sys.argv[1:])
