"""Claims about recipes: overrides, the stored recipe, and the check against another one."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from speecheq.training.arguments import DataArguments
from speecheq.training.recipes import check_same_recipe, read_recipe


@dataclass
class Data:
    dataset: str | None = None
    output_dir: str = "runs/x"
    numbers: list[int] = field(default_factory=lambda: [0])


@dataclass
class Training:
    learning_rate: float = 1e-3
    use_votes: bool = True


@pytest.fixture
def recipe(tmp_path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text("dataset: seqd\nlearning_rate: 7.0e-4\noutput_dir: runs/y\n")
    return str(path)


def test_a_recipe_fills_the_groups_and_the_command_line_overrides_it(recipe):
    data, training, given = read_recipe("x", (Data, Training), [recipe, "--dataset", "other", "--numbers", "5", "-1"])
    assert data == Data("other", "runs/y", [5, -1])
    assert training == Training(7e-4, True)
    assert given == {"dataset": "other", "learning_rate": 7e-4, "numbers": [5, -1]}


def test_neither_the_place_nor_what_was_not_given_is_kept(recipe):
    assert read_recipe("x", (Data, Training), [])[-1] == {}
    assert read_recipe("x", (Data, Training), [recipe, "--output_dir", "z"])[-1] == {
        "dataset": "seqd", "learning_rate": 7e-4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["--learning_rate=0.5"], {"learning_rate": 0.5}),
        (["--learning-rate", "0.5"], {"learning_rate": 0.5}),
        (["--use_votes", "false"], {"use_votes": False}),
        (["--no_use_votes"], {"use_votes": False}),
        (["--no-use-votes"], {"use_votes": False}),
        (["--learning_rate", "1e-3"], {"learning_rate": 1e-3}),
    ],
)
def test_an_override_is_kept_however_it_is_spelt(arguments, given):
    assert read_recipe("x", (Data, Training), arguments)[-1] == given


def test_what_is_kept_is_what_json_gives_back():
    @dataclass
    class Places:
        folder: Path | None = None
        sizes: list[int] = field(default_factory=list)

    given = read_recipe("x", (Places,), ["--folder", "a/b", "--sizes", "1", "2"])[-1]
    assert given == {"folder": "a/b", "sizes": [1, 2]} == json.loads(json.dumps(given))


def test_wrong_recipes_get_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"prog: the recipe must be an existing YAML file; got 'nowhere\.yml'"):
        read_recipe("prog", (Data,), ["nowhere.yml"])
    path = tmp_path / "recipe.yaml"
    path.write_text("learning_rat: 1\n")
    with pytest.raises(ValueError, match=r"prog: unknown argument 'learning_rat' .* Nearest: \['learning_rate'\]"):
        read_recipe("prog", (Data, Training), [str(path)])
    path.write_text("colour: red\n")
    with pytest.raises(ValueError, match=r"prog: unknown argument 'colour' in the recipe\. Nearest: none"):
        read_recipe("prog", (Data, Training), [str(path)])
    for argument in ("--learning_r", "--learning-r", "--learning_r=1"):
        message = r"prog: unknown argument 'learning_r' on the command line\. Nearest: \['learning_rate'\]"
        with pytest.raises(ValueError, match=message):
            read_recipe("prog", (Data, Training), [argument, "0.5"])


def test_a_misspelt_argument_is_named_before_one_that_is_missing_for_it():
    with pytest.raises(ValueError, match=r"unknown argument 'datset' on the command line\. Nearest: \['dataset'\]"):
        read_recipe("train.py", (DataArguments,), ["--datset", "seqd"])


def test_an_empty_recipe_gives_the_defaults(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_recipe("x", (Data, Training), [str(tmp_path / "empty.yaml")]) == (Data(), Training(), {})


def test_a_folder_keeps_its_recipe_and_refuses_another_one(tmp_path):
    folder = tmp_path / "new" / "run"
    check_same_recipe("prog", folder, {"a": 1, "b": [2]}, begun=False)
    assert json.loads((folder / "recipe.json").read_text()) == {"a": 1, "b": [2]}
    check_same_recipe("prog", folder, {"a": 1, "b": [2]}, begun=True)
    message = (
        r"prog: output_dir must hold a run with the same arguments; got other values of a, b, c in '.*run'\. "
        "Choose another output_dir, or delete this one"
    )
    with pytest.raises(ValueError, match=message):
        check_same_recipe("prog", folder, {"a": 2, "b": [2, 3], "c": 1}, begun=True)
    assert json.loads((folder / "recipe.json").read_text()) == {"a": 1, "b": [2]}


def test_an_argument_taken_back_is_another_recipe(tmp_path):
    check_same_recipe("prog", tmp_path, {"a": 1}, begun=False)
    with pytest.raises(ValueError, match="other values of a in"):
        check_same_recipe("prog", tmp_path, {}, begun=True)


def test_a_folder_without_results_takes_any_recipe(tmp_path):
    check_same_recipe("prog", tmp_path, {"a": 1}, begun=False)
    check_same_recipe("prog", tmp_path, {"a": 2}, begun=False)
    assert json.loads((tmp_path / "recipe.json").read_text()) == {"a": 2}
