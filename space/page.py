"""HTML parts of the page. All text from a model or a file is escaped."""

from html import escape

from answers import percent, why_not

CSS = """
.gradio-container { width: 100% !important; max-width: 1180px !important; margin: auto; }
.seq-headline { font-size: 2.2rem; font-weight: 600; line-height: 1.2; margin: 0; }
.seq-note { opacity: .8; margin: .2rem 0 0; }
.seq-block { margin-top: 1.1rem; }
.seq-name { font-weight: 600; margin: 0 0 .35rem; }
.seq-reason { border-left: 4px solid var(--color-accent); padding: .3rem 0 .3rem .8rem; }
.seq-gauge { position: relative; height: 14px; border-radius: 7px; margin: 0 6px; }
.seq-gauge { background: var(--background-fill-primary); border: 1px solid var(--body-text-color-subdued); }
.seq-interval { position: absolute; top: 0; bottom: 0; border-radius: 7px; background: var(--color-accent); opacity: .4; }
.seq-value { position: absolute; top: -5px; bottom: -5px; width: 4px; margin-left: -2px; border-radius: 2px; }
.seq-value { background: var(--body-text-color); }
.seq-levels { display: flex; justify-content: space-between; font-size: .8rem; margin-top: .4rem; }
.seq-figure svg { display: block; height: auto; }
.seq-figure text { font-family: inherit !important; }
.seq-narrow { display: none; }
.seq-scroll { max-height: 22rem; overflow: auto; width: 0; min-width: 100%; }
#scores * { font-family: inherit; }
.seq-table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.seq-table th, .seq-table td { padding: .3rem .5rem; border-bottom: 1px solid var(--border-color-primary); }
.seq-table th, .seq-table td { text-align: right; white-space: nowrap; }
.seq-table, .seq-table * { border-left: 0 !important; border-right: 0 !important; border-top: 0 !important; }
.seq-table .seq-left { text-align: left; }
.seq-swatch { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .45em; }
.seq-phonemes { font-family: "Charis SIL", "Doulos SIL", "DejaVu Sans", sans-serif; font-size: 1.1rem; margin: 0; }
.seq-phonemes { line-height: 1.7; overflow-wrap: anywhere; }
.seq-card { contain: inline-size; }
.seq-card table { display: block; overflow-x: auto; white-space: nowrap; border: 0; font-size: .85rem; }
footer img, footer .divider { display: none !important; }
@media (max-width: 700px) {
  .gradio-container .app { padding: 1rem .75rem !important; }
  .seq-table { font-size: .8rem; }
  .seq-table th, .seq-table td { padding: .3rem .15rem; }
  .seq-wide { display: none; } .seq-narrow { display: block; }
}
"""
WAITING = '<div role="status"><p class="seq-note">The answer appears here.</p></div>'


def summary(answer: dict, levels: list[str], note: str | None = None) -> str:
    """Render the label or the reason for none, the intensity as a gauge, and the gender.

    Args:
        answer (`dict`): output of the pipeline, or `{"error": reason}`.
        levels (`list[str]`): names of the intensity levels, in ascending order.
        note (`str`, *optional*): remark on the recording.

    Returns:
        `str`: HTML.
    """
    reason = why_not(answer)
    if reason is None:
        head = f'<p class="seq-headline">{escape(answer["label"])}</p>'
        head += f'<p class="seq-note">with a probability of {percent(answer["score"])}</p>'
    else:
        head = f'<p class="seq-headline">No answer</p><p class="seq-reason">{escape(reason)}</p>'
    rest = _intensity(answer["intensity"], levels) if answer.get("intensity") else ""
    if answer.get("gender"):
        gender = answer["gender"]
        rest += _block("Gender", f"<p>{escape(gender['label'])}, {percent(gender['score'])}</p>")
    rest += f'<p class="seq-note">{escape(note)}</p>' if note else ""
    return f'<div role="status">{_channel(answer)}{head}{rest}</div>'


def _channel(answer: dict) -> str:
    return f'<p class="seq-name seq-block">Channel {answer["channel"]}</p>' if answer.get("channel") else ""


def _block(name: str, content: str) -> str:
    return f'<div class="seq-block"><p class="seq-name">{name}</p>{content}</div>'


def _intensity(intensity: dict, levels: list[str]) -> str:
    value, (low, high) = intensity["value"], intensity["interval"]
    least, greatest = (escape(levels[round(end * (len(levels) - 1))]) for end in (low, high))
    between = least if least == greatest else f"between {least} and {greatest}"
    words = f"{escape(intensity['level'])}, {value:.2f} of 1; {between} with a probability of 0.8 or more"
    start, width = f"{min(100 * low, 98):.0f}%", f"{max(100 * (high - low), 2):.0f}%"
    gauge = (
        f'<div class="seq-gauge" role="img" aria-label="Intensity: {words}">'
        f'<span class="seq-interval" style="left:{start};width:{width}"></span>'
        f'<span class="seq-value" style="left:{100 * value:.0f}%"></span></div>'
    )
    ends = f'<div class="seq-levels" aria-hidden="true"><span>{escape(levels[0])}</span>'
    return _block("Intensity", f"{gauge}{ends}<span>{escape(levels[-1])}</span></div><p>{words}</p>")


def timeline(answer: dict, drawings: dict[str, str], colour: dict[str, str]) -> str:
    """Render the figure in both widths, the table of segments, and the phonemes.

    Args:
        answer (`dict`): output of the pipeline, or `{"error": reason}`.
        drawings (`dict[str, str]`): `wide` and `narrow` figures, see `figures.timeline_svg`.
        colour (`dict[str, str]`): colour of each label.

    Returns:
        `str`: HTML, empty without segments.
    """
    if not answer.get("timeline"):
        return ""
    drawn = "".join(f'<div class="seq-figure seq-{size}">{svg}</div>' for size, svg in drawings.items())
    rows = "".join(_row(segment, colour[segment["label"]]) for segment in answer["timeline"])
    symbols = escape(" ".join(entry["phoneme"] for entry in answer["phonemes"])) or "none"
    ipa = f'<p class="seq-phonemes" lang="und-fonipa">{symbols}</p>'
    return (
        _channel(answer)
        + _block("Timeline", drawn)
        + _block("Segments, in seconds", _table(rows))
        + _block("Phonemes (IPA)", ipa)
    )


def live(now: dict | None, finished: list[dict], colour: dict[str, str], reason: str | None, open_: bool) -> str:
    """Render a live stream: the provisional answer, and the finished segments, the newest first.

    Args:
        now (`dict`, *optional*): last event of the speech that goes on.
        finished (`list[dict]`): segments, in order of time.
        colour (`dict[str, str]`): colour of each label.
        reason (`str`, *optional*): why the last chunk was not used.
        open_ (`bool`): whether the recording goes on.

    Returns:
        `str`: HTML.
    """
    head, note = ("…", "speech") if now else ("–", "no speech at the moment" if open_ else "the recording has ended")
    if now and "label" in now:
        head, note = escape(now["label"]), f"provisional, {percent(now['score'])}"
    shown = f'<p class="seq-headline">{head}</p><p class="seq-note">{note}</p>'
    if reason:
        shown += f'<p class="seq-reason">{escape(reason)}</p>'
    rows = "".join(_row(segment, colour[segment["label"]]) for segment in reversed(finished))
    return f"<div>{shown}</div>" + (_block("Finished segments, in seconds", _table(rows)) if rows else "")


def _table(rows: str) -> str:
    names = ("from", "to", "emotion", "score", "intensity")
    head = "".join(f'<th scope="col"{_left(name == "emotion")}>{name}</th>' for name in names)
    table = f'<table class="seq-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="seq-scroll" tabindex="0" role="region" aria-label="Segments">{table}</div>'


def _left(is_text: bool) -> str:
    return ' class="seq-left"' if is_text else ""


def _row(segment: dict, colour: str) -> str:
    swatch = f'<span class="seq-swatch" style="background:{colour}"></span>'
    times = f"<td>{segment['start']:.2f}</td><td>{segment['end']:.2f}</td>"
    label = f"<td{_left(True)}>{swatch}{escape(segment['label'])}</td>"
    return f"<tr>{times}{label}<td>{percent(segment['score'])}</td><td>{segment['intensity']:.2f}</td></tr>"
