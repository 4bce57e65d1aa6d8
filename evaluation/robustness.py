"""Score a model on increasingly degraded recordings: `python -m speecheq.evaluation.robustness runs/speecheq --dataset seqd`.

Every condition of `speecheq.evaluation.degradations` is scored on the same rows. With `--out` the scores are saved after
each condition, and a run that was interrupted continues with the next one. `--write results/README.md` puts the table
between the marks `<!-- robustness -->` and `<!-- /robustness -->` of a page.
"""

import argparse
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import numpy as np
import torch

from speecheq.dataset_scripts.files import write_text
from speecheq.evaluation.degradations import DEGRADATIONS
from speecheq.evaluation.evaluate import build_scorer
from speecheq.evaluation.report import write_between
from speecheq.training.recipes import public_name
from speecheq.training.seqd import SPLITS, label_spaces, load_seqd, require_split

_COLUMNS = {"eis_ccc": "EIS CCC", "phoneme_per": "PER (%)", "gender_uar": "gender UAR (%)"}


def robustness(
    model: str,
    dataset: str,
    config: str = "all",
    split: str = "test",
    conditions: Sequence[str] = tuple(DEGRADATIONS),
    limit: int | None = None,
    bf16: bool = False,
    out: str | Path | None = None,
) -> dict[str, dict[str, float]]:
    """Score a model on one split under each condition.

    Args:
        model (`str`): a saved model's folder or Hub repository.
        dataset (`str`): a SEQD's folder or Hub repository.
        config (`str`, *optional*, defaults to `"all"`): a corpus, or `all`.
        split (`str`, *optional*, defaults to `"test"`): `train`, `validation` or `test`.
        conditions (`Sequence[str]`, *optional*): names in `DEGRADATIONS`, by default all.
        limit (`int`, *optional*): utterances to score per corpus, see [`limit_rows`].
        bf16 (`bool`, *optional*, defaults to `False`): predict in bfloat16.
        out (`str` or `Path`, *optional*): JSON file, written after every condition. Conditions in the file are not
            computed again. Delete it after rebuilding the dataset.

    Returns:
        `dict[str, dict[str, float]]`: condition -> scores (see `speecheq.metrics.scores`), in the order of
        `DEGRADATIONS`; includes the conditions in `out`.

    Raises:
        ValueError: if a condition or the split does not exist, or `out` has scores of another model, dataset, split, limit
            or precision.
    """
    for condition in conditions:
        if condition not in DEGRADATIONS:
            raise ValueError(f"robustness: conditions must be among {', '.join(DEGRADATIONS)}; got {condition!r}.")
    splits = load_seqd(dataset, config, max_seconds=30)
    require_split("robustness", splits, split)
    scorer = build_scorer(model, label_spaces(splits), bf16)
    rows = limit_rows(splits[split], limit)
    run = {
        "model": public_name(model),
        "weights": _checksum(scorer.model),
        "temperatures": scorer.model.config.temperatures,
        "dataset": public_name(dataset),
        "dataset_config": config,
        "split": split,
        "limit": limit,
        "utterances": len(rows),
        "bf16": bf16,
    }
    scores = _saved(out, run)
    for condition in conditions:
        if condition in scores:
            print(f"{condition}: in {out}.")
            continue
        print(f"{condition}: {len(rows)} utterances ...", flush=True)
        result = scorer.score_rows(rows, augment=seeded(DEGRADATIONS[condition]))
        scores[condition] = {name: float(value) for name, value in result.items()}
        if out is not None:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            write_text(Path(out), json.dumps(run | {"scores": scores}, indent=2))
    return {condition: scores[condition] for condition in DEGRADATIONS if condition in scores}


def seeded(degradation: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[np.ndarray, int], np.ndarray]:
    """Derive the seed of a degradation from the samples: different noise per utterance, the same in every run."""

    def degrade(waveform: np.ndarray, seed: int) -> np.ndarray:
        return degradation(waveform, zlib.crc32(waveform.tobytes(), seed))

    return degrade


def limit_rows(rows: datasets.Dataset, limit: int | None) -> datasets.Dataset:
    """Sample at most `limit` rows of each corpus with a fixed seed, and keep their order.

    Args:
        rows (`datasets.Dataset`): with column `corpus`.
        limit (`int` or `None`): rows per corpus; `None` keeps all.

    Raises:
        ValueError: if `limit` is not positive.
    """
    if limit is None:
        return rows
    if limit < 1:
        raise ValueError(f"limit_rows: limit must be at least 1; got {limit}.")
    corpora = np.array(rows["corpus"])
    kept = [
        np.random.default_rng(0).permutation(np.flatnonzero(corpora == corpus))[:limit]
        for corpus in np.unique(corpora)
    ]
    return rows.select(np.sort(np.concatenate(kept)))


def robustness_table(scores: dict[str, dict[str, float]]) -> str:
    """Write the scores as a markdown table, a row for each condition.

    Args:
        scores (`dict[str, dict[str, float]]`): as [`robustness`] gives them.

    Returns:
        `str`: the mean over the corpora of ESC's UAR, the points that it lost against `clean`, the UAR of each corpus,
        and the other three tasks. A missing score is an empty cell.
    """
    corpora = sorted({name.rpartition("/")[0] for of in scores.values() for name in of if name.endswith("/esc_uar")})
    head = ["condition", "ESC UAR (%)", "lost (points)", *[f"{corpus} (%)" for corpus in corpora], *_COLUMNS.values()]
    clean = scores.get("clean", {}).get("esc_uar")
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for condition, of in scores.items():
        uar = of.get("esc_uar")
        lost = "" if clean is None or uar is None else f"{100 * (clean - uar):.1f}"
        rates = [_cell(of.get(f"{corpus}/esc_uar"), rate=True) for corpus in corpora]
        others = [_cell(of.get(name), rate="%" in title) for name, title in _COLUMNS.items()]
        lines.append([condition, _cell(uar, rate=True), lost, *rates, *others])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or Hub repository of a trained model")
    parser.add_argument("--dataset", required=True, help="folder or Hub repository of a SEQD")
    parser.add_argument("--dataset_config", default="all", help="a corpus, or all")
    parser.add_argument("--split", default="test", choices=SPLITS)
    names = list(DEGRADATIONS)
    parser.add_argument(
        "--conditions", nargs="+", default=names, choices=names, metavar="NAME", help=f"of {', '.join(names)}"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="score N utterances of each corpus")
    parser.add_argument("--bf16", action="store_true", help="predict in bfloat16")
    parser.add_argument("--out", metavar="FILE", help="JSON file of the scores, written after every condition")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between its marks in this page")
    given = parser.parse_args(arguments)
    scores = robustness(
        given.model,
        given.dataset,
        given.dataset_config,
        given.split,
        given.conditions,
        given.limit,
        given.bf16,
        given.out,
    )
    text = robustness_table(scores)
    print(f"\n{given.model}, {given.split} split:\n\n{text}")
    if given.write:
        write_between(given.write, "robustness", text)


def _cell(value: float | None, rate: bool) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f}" if rate else f"{value:.3f}"


def _checksum(model: torch.nn.Module) -> str:
    """Compute a checksum of the weights, to detect a retrained model in the same folder."""
    checksum = 0
    for weight in model.state_dict().values():
        checksum = zlib.crc32(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy(), checksum)
    return f"{checksum:08x}"


def _saved(out: str | Path | None, run: dict) -> dict[str, dict[str, float]]:
    """Read the scores in the file, if it exists."""
    if out is None or not Path(out).exists():
        return {}
    found = json.loads(Path(out).read_text())
    for field, value in run.items():
        if found.get(field) != value:
            raise ValueError(
                f"robustness: out must have scores of {field} {value!r}; got {found.get(field)!r} in {str(out)!r}. "
                "Choose another file."
            )
    return found["scores"]


if __name__ == "__main__":
    main()
