"""Recipes: YAML files of arguments, which the command line overrides and a run stores in its output folder."""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path

import yaml
from transformers import HfArgumentParser

# Starting points of a training: one of them on the command line replaces that of the recipe.
STARTS = {"backbone", "backbone_config", "checkpoint"}


def read_recipe(program: str, groups: tuple[type, ...], arguments: list[str]) -> tuple:
    """Read a recipe and the command line, which overrides it.

    Args:
        program (`str`): caller, named in error messages.
        groups (`tuple[type, ...]`): dataclasses of arguments.
        arguments (`list[str]`): of the command line; the first may be a YAML file.

    Returns:
        `tuple`: an instance of each group, then a `dict` of the given arguments without `output_dir`.

    Raises:
        FileNotFoundError: if the recipe does not exist.
        ValueError: if the recipe or the command line has an unknown argument.
    """
    parser = HfArgumentParser(groups, allow_abbrev=False)
    recipe, arguments = {}, list(arguments)
    if arguments and arguments[0].endswith((".yaml", ".yml")):
        path = Path(arguments.pop(0))
        if not path.is_file():
            raise FileNotFoundError(f"{program}: the recipe must be an existing YAML file; got {str(path)!r}.")
        recipe = yaml.safe_load(path.read_text()) or {}
    known = {action.dest for action in parser._actions}
    _check_known(program, recipe, known, "in the recipe")
    if STARTS & {argument.split("=")[0].lstrip("-").replace("-", "_") for argument in arguments}:
        recipe = {name: value for name, value in recipe.items() if name not in STARTS}
    parser.set_defaults(**recipe)
    # parse_args_into_dataclasses does not report misspelt arguments
    as_given, rest = parser.parse_known_args(arguments)
    names = [argument.split("=")[0].lstrip("-").replace("-", "_") for argument in rest]
    _check_known(program, names, known, "on the command line")
    parsed = parser.parse_args_into_dataclasses(arguments)
    spellings = {option: action.dest for action in parser._actions for option in action.option_strings}
    overrides = {spellings.get(argument.split("=")[0]) for argument in arguments}
    values = {name: value for group in parsed for name, value in vars(group).items()}
    # A group may switch off what the machine cannot do. The recipe of a run is the same on all machines.
    values |= {name: value for name, value in vars(as_given).items() if isinstance(value, bool)}
    given = {name: values[name] for name in sorted(values) if name in overrides | set(recipe)}
    given.pop("output_dir", None)
    return *parsed, json.loads(json.dumps(given, default=str))


def _check_known(program: str, names: Iterable[str], known: set[str], where: str):
    for name in names:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            raise ValueError(f"{program}: unknown argument {name!r} {where}. Nearest: {nearest or 'none'}.")


def check_same_recipe(program: str, folder: Path, given: dict, begun: bool):
    """Store the recipe in a folder, after checking that a run there used the same one.

    Args:
        program (`str`): caller, named in error messages.
        folder (`Path`): `output_dir`.
        given (`dict`): given arguments, from [`read_recipe`].
        begun (`bool`): whether the folder has results of an earlier run.

    Raises:
        ValueError: if the earlier run used other arguments; the message names them.
    """
    path = folder / "recipe.json"
    if path.is_file() and begun:
        before = json.loads(path.read_text())
        changed = sorted(name for name in before.keys() | given.keys() if before.get(name) != given.get(name))
        if changed:
            raise ValueError(
                f"{program}: output_dir must hold a run with the same arguments; got other values of {', '.join(changed)} "
                f"in {str(folder)!r}. Choose another output_dir, or delete this one."
            )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(given, indent=2) + "\n")


def public_name(name_or_path: str) -> str:
    """Return a Hub repository unchanged, and only the last part of a folder, so that results show no local paths."""
    return Path(name_or_path).resolve().name if Path(name_or_path).is_dir() else name_or_path
