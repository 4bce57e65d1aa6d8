"""Ablation of tasks and corpora: `python -m speecheq.evaluation.ablation recipes/ablation.yaml`.

The rows go from one corpus and one task to all corpora and four tasks. Each row is an experiment in `output_dir` (see
`speecheq.evaluation.experiment`) with the same encoder and the same budget: a model of all corpora trains for `max_steps`
of the recipe; the model of a single corpus trains for its share of these steps, so each utterance is drawn equally often.
A killed run resumes.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from speecheq.evaluation import experiment
from speecheq.evaluation.comparison import mean_interval
from speecheq.evaluation.protocols import folds
from speecheq.evaluation.results import read_results, summarise
from speecheq.labels_speecheq import TASKS
from speecheq.training.recipes import read_recipe

# Training corpora of each row ("own" is only the tested corpus) and its tasks.
ROWS = {
    "single corpus, single task": ("own", ("esc",)),
    "+ phonemes": ("own", ("esc", "phoneme")),
    "+ gender": ("own", ("esc", "gender")),
    "+ intensity": ("own", ("esc", "eis")),
    "four tasks": ("own", TASKS),
    "unified corpora": ("all", ("esc",)),
    "unified corpora, four tasks": ("all", TASKS),
}


def main(arguments: list[str] | None = None) -> dict[str, np.ndarray]:
    """Run the missing experiments of all rows, print the table, and return the UAR of each row, `(seeds, corpora)`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    groups = (experiment.ExperimentArguments, experiment.MethodArguments, experiment.HeadArguments)
    asked, method, _, _ = read_recipe("ablation", groups, arguments)
    if method.method != "finetune":
        raise ValueError(
            f"ablation: method must be finetune, so that the tasks share an encoder; got {method.method!r}."
        )
    recipe = yaml.safe_load(Path(method.finetune).read_text())
    weights = recipe.get("loss_weights") or {}
    if not (steps := method.max_steps or recipe.get("max_steps")):
        raise ValueError(
            f"ablation: max_steps must be given as the budget of each row; got none in {method.finetune!r}."
        )
    _, facts = experiment.load_rows(asked.dataset)
    own_steps = share_steps(steps, training_sizes(asked, facts), recipe.get("corpus_balance", 0.5))
    rates = {}
    for name, (corpora, tasks) in ROWS.items():
        folder = Path(asked.output_dir) / name.replace(",", "").replace("+", "and").replace(" ", "_")
        chosen = {task: weights.get(task, 1.0) if task in tasks else 0.0 for task in TASKS}
        options = ["--loss_weights", json.dumps(chosen), "--output_dir"]
        print(name, flush=True)
        if corpora == "all":
            experiment.main([*arguments, *options, str(folder), "--train_corpora", "all", "--max_steps", str(steps)])
            results = read_results(folder)
        else:
            results = []
            for corpus, its_steps in own_steps.items():
                own = folder / corpus
                experiment.main([*arguments, *options, str(own), "--corpora", corpus, "--max_steps", str(its_steps)])
                results += read_results(own)
        rates[name] = uar_by_seed(results, asked.corpora, asked.seeds)
    print(table(rates, asked.corpora))
    return rates


def training_sizes(asked: experiment.ExperimentArguments, facts: pd.DataFrame) -> dict[str, float]:
    """Return the number of training utterances of each tested corpus, mean over its folds."""
    return {
        corpus: float(np.mean([len(part.train) for part in folds(asked.protocol, facts, corpus, None, asked.folds)]))
        for corpus in asked.corpora
    }


def share_steps(steps: int, sizes: dict[str, float], corpus_balance: float) -> dict[str, int]:
    """Divide the training steps of all corpora among the corpora, by their sampling rates; see `sampling_weights`."""
    parts = {corpus: size ** (1 - corpus_balance) for corpus, size in sizes.items()}
    return {corpus: max(1, round(steps * part / sum(parts.values()))) for corpus, part in parts.items()}


def uar_by_seed(results: list[dict], corpora: list[str], seeds: list[int]) -> np.ndarray:
    """Return the UAR of each seed and corpus, `(seeds, corpora)`, without enrolment."""
    found = []
    for seed in seeds:
        summary = summarise([result for result in results if result["seed"] == seed])
        uar = {row["corpus"]: row["uar"] for row in summary if row["known"] == 0}
        found.append([uar[corpus] for corpus in corpora])
    return np.array(found)


def table(rates: dict[str, np.ndarray], corpora: list[str]) -> str:
    """Format the rows as a markdown table, UAR in percent: mean over seeds, and gain over the first row."""
    lines = [
        f"| trained together | {' | '.join(corpora)} | mean | gain | 95 % of seeds |",
        "|---" + "|---:" * (len(corpora) + 3) + "|",
    ]
    first = next(iter(rates.values()))
    for name, of_row in rates.items():
        cells = [*of_row.mean(axis=0), of_row.mean()]
        gain, low, high = mean_interval((of_row - first).mean(axis=1))
        interval = "" if of_row is first or np.isnan(low) else f"{100 * low:+.1f} to {100 * high:+.1f}"
        gained = "" if of_row is first else f"{100 * gain:+.1f}"
        lines.append(f"| {name} | {' | '.join(f'{100 * cell:.1f}' for cell in cells)} | {gained} | {interval} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
