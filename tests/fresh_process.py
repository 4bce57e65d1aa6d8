"""Runs code in a new process in which `speecheq` is not imported, without importing torch and transformers each time."""

import multiprocessing
import os
import runpy
import sys
import traceback
from pathlib import Path
from subprocess import CompletedProcess

START = """
import sys
import numpy as np, torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoProcessor
folder = {folder!r}
"""

# One server imports these modules once. Every process is a fork of the server, which never imports `speecheq`.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "soundfile",
        "transformers.pipelines",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.processing_auto",
        "transformers.models.whisper.modeling_whisper",
    ]
)


def run(code: str, folder: Path, tmp_path: Path, speecheq: bool = False) -> CompletedProcess:
    """Run code in a new process, in `tmp_path`, with an empty cache for remote code.

    Args:
        code (`str`): the code. It may use `np`, `torch`, `folder` and the Auto classes.
        folder (`Path`): the folder of a model.
        tmp_path (`Path`): the working folder of the process. It must hold the files that the code reads.
        speecheq (`bool`, *optional*): if `False`, the code cannot import `speecheq`.
    """
    script, output, errors = (tmp_path / name for name in (".script.py", ".stdout", ".stderr"))
    script.write_text(START.format(folder=str(folder)) + code)
    arguments = (script, output, errors, speecheq)
    process = CONTEXT.Process(target=_execute, args=arguments)
    process.start()
    process.join(timeout=300)
    process.kill()
    process.join()
    return CompletedProcess(code, process.exitcode, output.read_text(), errors.read_text())


def _execute(script: Path, output: Path, errors: Path, speecheq: bool):
    folder = script.parent
    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    environment = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "PATH": "", "OMP_NUM_THREADS": "1"}
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if not speecheq:
        sys.modules["speecheq"] = None
    import torch
    import transformers.dynamic_module_utils as remote_code

    torch.set_num_threads(1)
    # transformers read HF_HOME when the server imported it, and the path of the tests' own process came along.
    sys.path = [path for path in sys.path if path != remote_code.HF_MODULES_CACHE]
    remote_code.HF_MODULES_CACHE = str(folder / "hf" / "modules")
    try:
        runpy.run_path(str(script), run_name="__main__")
    except Exception:
        traceback.print_exc()
        sys.exit(1)
