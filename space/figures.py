"""Figure of the timeline: segments over the waveform and the spectrogram.

The figure is inline SVG, so that its text has the colour and the font of the page, light or dark.
"""

import io
import re
from html import escape

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.rcParams["svg.fonttype"] = "none"  # keep text as text

INK = "#123456"  # placeholder for the text colour of the page, which only the browser knows
SIZES = {"wide": (12.0, 3.8), "narrow": (4.4, 3.8)}  # inches, for a desktop and a phone
LINES = "stroke-linejoin: round; stroke-linecap: butt"  # the line style of matplotlib
COLUMNS = 800  # columns of waveform and spectrogram, for any length
FRAME = 512  # samples
FLOOR = 70.0  # dB below the loudest point of the spectrogram


def colours(labels: list[str]) -> dict[str, str]:
    """Assign a colour to each label of a scale, from red to violet in the order of the labels."""
    shades = matplotlib.colormaps["turbo_r"](np.linspace(0.1, 0.9, len(labels)))
    return {label: matplotlib.colors.to_hex(shade) for label, shade in zip(labels, shades, strict=True)}


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
    seconds = len(samples) / rate
    figure = Figure(figsize=SIZES[size], layout="constrained")
    band, wave, spectrum = figure.subplots(3, 1, sharex=True, height_ratios=[0.45, 1, 1.4])
    _draw_segments(band, segments, colour, SIZES[size][0] / seconds)
    _draw_waveform(wave, samples, seconds)
    for segment in segments:
        wave.axvspan(segment["start"], segment["end"], color=colour[segment["label"]], alpha=0.3, linewidth=0)
    decibels = spectrogram(samples)
    extent = (0, seconds, 0, rate / 2000)
    spectrum.imshow(decibels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-FLOOR, vmax=0)
    spectrum.set(xlim=(0, seconds), xlabel="seconds", ylabel="kHz")
    for axes in (band, wave, spectrum):
        axes.set_facecolor("none")
        axes.tick_params(color=INK, labelcolor=INK)
        for line in axes.spines.values():
            line.set_visible(False)
        for text in (axes.xaxis.label, axes.yaxis.label):
            text.set_color(INK)
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
