"""Figure of the timeline: segments over the waveform and the spectrogram.

On the page the figure is inline SVG, so that its text has the colour and the font of the page, light or dark.
`python space/figures.py RECORDING` draws segments and waveform into `results/timeline.svg`, the picture of the model card.
"""

import argparse
import io
import re
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.rcParams["svg.fonttype"] = "none"  # keep text as text

INK = "#123456"  # placeholder for the text colour of the page, which only the browser knows
SIZES = {"wide": (12.0, 3.8), "narrow": (4.4, 3.8)}  # inches, for a desktop and a phone
PICTURE = (9.0, 2.2)  # inches, of the picture of the model card
LINES = "stroke-linejoin: round; stroke-linecap: butt"  # the line style of matplotlib
COLUMNS = 800  # columns of waveform and spectrogram, for any length
FRAME = 512  # samples
FLOOR = 70.0  # dB below the loudest point of the spectrogram


def colours(labels: list[str]) -> dict[str, str]:
    """Assign a colour to each label of a scale, from red to violet in the order of the labels."""
    shades = matplotlib.colormaps["turbo_r"](np.linspace(0.1, 0.9, len(labels)))
    return {label: matplotlib.colors.to_hex(shade) for label, shade in zip(labels, shades, strict=True)}


def draw(
    samples: np.ndarray,
    rate: int,
    segments: list[dict],
    colour: dict[str, str],
    inches: tuple[float, float],
    with_spectrogram: bool = True,
) -> Figure:
    """Draw the segments over the waveform and, by default, the spectrogram; see `timeline_svg`."""
    seconds = len(samples) / rate
    figure = Figure(figsize=inches, layout="constrained")
    heights = [0.45, 1, 1.4] if with_spectrogram else [0.45, 1]
    band, wave, *rest = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    _draw_segments(band, segments, colour, inches[0] / seconds)
    _draw_waveform(wave, samples, seconds)
    for segment in segments:
        wave.axvspan(segment["start"], segment["end"], color=colour[segment["label"]], alpha=0.3, linewidth=0)
    for spectrum in rest:
        extent = (0, seconds, 0, rate / 2000)
        decibels = spectrogram(samples)
        spectrum.imshow(decibels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-FLOOR, vmax=0)
        spectrum.set(ylabel="kHz")
    figure.axes[-1].set(xlim=(0, seconds), xlabel="seconds")
    for axes in figure.axes:
        axes.set_facecolor("none")
        axes.tick_params(color=INK, labelcolor=INK)
        for line in axes.spines.values():
            line.set_visible(False)
        for text in (axes.xaxis.label, axes.yaxis.label):
            text.set_color(INK)
    figure.axes[-1].tick_params(bottom=True)
    return figure


def timeline_svg(samples: np.ndarray, rate: int, segments: list[dict], colour: dict[str, str], size: str) -> str:
    """Draw the segments over the waveform and the spectrogram.

    Args:
        samples (`np.ndarray` of shape `(samples,)`): mono audio.
        rate (`int`): sampling rate, in Hz.
        segments (`list[dict]`): `start`, `end` (s) and `label` of each segment.
        colour (`dict[str, str]`): colour of each label.
        size (`str`): `wide` or `narrow`.

    Returns:
        `str`: an `<svg>` element with the width of its container.
    """
    figure = draw(samples, rate, segments, colour, SIZES[size])
    drawn = io.StringIO()
    figure.savefig(
        drawn, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
    )
    labels = ", ".join(f"{segment['label']} from {segment['start']:.1f} s" for segment in segments) or "no segments"
    head = (
        f'<svg role="img" aria-label="{escape(f"Waveform and spectrogram; {labels}")}" width="100%" style="{LINES}" '
    )
    svg = re.sub(r"^.*?<svg [^>]*?(?=viewBox)", lambda _: head, drawn.getvalue(), flags=re.DOTALL)
    svg = re.sub(
        r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL
    )  # the style would apply to the page
    return svg.replace(INK, "currentColor")


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """Compute the power in dB relative to the peak, `(frequencies, columns)`, in at most `COLUMNS` equally spaced frames."""
    samples = np.pad(samples, (0, max(0, FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)
    places = np.linspace(0, len(frames) - 1, min(len(frames), COLUMNS)).astype(int)
    power = np.abs(np.fft.rfft(frames[places] * np.hanning(FRAME))).T ** 2
    return 10 * np.log10(np.maximum(power / max(power.max(), 1e-12), 1e-12))


def _draw_segments(axes: Axes, segments: list[dict], colour: dict[str, str], inches_per_second: float):
    """Draw a band of the segments, with the labels that fit into them."""
    for segment in segments:
        start, end, label = segment["start"], segment["end"], segment["label"]
        axes.axvspan(start, end, color=colour[label], alpha=0.45, linewidth=0)
        axes.axvline(start, color=INK, linewidth=0.8)
        if (end - start) * inches_per_second > 0.09 * len(label) + 0.1:
            axes.text((start + end) / 2, 0.5, label, color=INK, ha="center", va="center", clip_on=True)
    axes.set(ylim=(0, 1), yticks=[])
    axes.tick_params(bottom=False)


def _draw_waveform(axes: Axes, samples: np.ndarray, seconds: float):
    """Draw the range from the smallest to the largest sample of each column."""
    edges = np.linspace(0, len(samples), min(len(samples), COLUMNS) + 1).astype(int)[:-1]
    lows, highs = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    axes.fill_between(edges / len(samples) * seconds, lows, highs, color=INK, linewidth=0.5)
    peak = max(float(np.abs(samples).max()), 1e-3) * 1.05
    axes.set(ylim=(-peak, peak), yticks=[])
    axes.tick_params(bottom=False)


def main(arguments: list[str] | None = None):
    """Draw the timeline of a recording into an SVG file, `python space/figures.py`."""
    from answers import hear, scales
    from transformers import pipeline

    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description="Draw the timeline of a recording, without its spectrogram.")
    parser.add_argument("recording", type=Path)
    parser.add_argument("--model", default=str(root), help="folder or Hub repository (default: the parent folder)")
    parser.add_argument("--out", type=Path, default=root / "results" / "timeline.svg", help="an SVG file")
    given = parser.parse_args(arguments)
    pipe = pipeline(model=given.model, trust_remote_code=True)
    (answer,), waveforms, rate, _ = hear(pipe, str(given.recording), "basic")
    if not answer.get("timeline"):
        raise SystemExit(f"figures.py: the recording must contain speech; got {answer}.")
    colour = colours(scales(pipe.model.config)["basic"])
    with matplotlib.rc_context({"svg.hashsalt": "timeline"}):  # the same file in each run
        figure = draw(waveforms[0], rate, answer["timeline"], colour, PICTURE, with_spectrogram=False)
        figure.savefig(given.out, facecolor="white", metadata={"Date": None})
    print(*(f"{each['start']:.2f} {each['end']:.2f} {each['label']}" for each in answer["timeline"]), sep="\n")


if __name__ == "__main__":
    main()
