"""Claims about the memory of the server: what gradio keeps is bounded, and large blocks leave no holes in the heap."""

import subprocess
import sys

import pytest
from samples import ROOT

sys.path.insert(0, str(ROOT / "space"))
import limits

HEAP = """
import ctypes, sys, threading
sys.path.insert(0, sys.argv[1])
import limits
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
assert limits.keep_tensors_out_of_the_heap()

def heaps():
    file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
    text = open(sys.argv[2]).read()
    return text.count("<heap nr="), int(text.rpartition('<total type="mmap" count="')[2].partition('"')[0])

before = heaps()
threads = [threading.Thread(target=lambda: libc.malloc(10_000)) for _ in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
freed = ctypes.c_void_p(libc.malloc(2**24))
libc.free(freed)  # by default this raises the threshold to 16 MiB
libc.malloc(2**22)
after = heaps()
print(after[0] - before[0], after[1] - before[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_threads_share_the_heap_and_large_blocks_are_outside_of_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", HEAP, str(ROOT / "space"), str(tmp_path / "heaps")], capture_output=True, text=True
    )
    assert done.stdout.split() == ["0", "1"], done.stderr


def test_the_oldest_session_without_a_running_call_is_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "SESSIONS", 3)
    calls = {"a": {"running"}, "b": set(), "c": {"running"}}
    sessions = limits.Sessions(calls)
    for name in ("a", "b", "c"):
        sessions[name] = name
    sessions["c"] = "again"  # a session that is known replaces none
    assert list(sessions) == ["a", "b", "c"]

    sessions["d"] = "d"
    assert list(sessions) == ["a", "c", "d"] and list(calls) == ["a", "c"]
    calls["d"] = {"running"}
    sessions["e"] = "e"  # all have a running call
    assert list(sessions) == ["c", "d", "e"] and list(calls) == ["c", "d"]
