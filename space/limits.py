"""Limits on the memory of the server, which otherwise grows with every call.

Three things grow. First, the heap: glibc gives each thread a heap of its own (arena) and takes even large tensors from it. The
small, long-lived objects of gradio end up between the freed tensors, so that the heaps are full of holes and cannot shrink.
Second, gradio keeps the identifiers of the finished calls of every session. Third, oneDNN keeps kernels for each new length
of audio, by default 1024; `app.py` sets `ONEDNN_PRIMITIVE_CACHE_CAPACITY`.
"""

import ctypes
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradio import Blocks

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # parameters of mallopt(3)
OUTSIDE = 2**18  # bytes; a larger block is memory of its own, which returns to the system when it is freed
SESSIONS = 500  # sessions with saved state, about 85 KB each; every API call is a session, and gradio keeps 10,000


def keep_tensors_out_of_the_heap() -> bool:
    """Give large blocks memory of their own, and share one heap among new threads; return `False` without glibc."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, OUTSIDE) and mallopt(M_ARENA_MAX, 1))


class Sessions(OrderedDict):
    """Messages of the newest sessions. The oldest session without a running call is removed, with its calls.

    Args:
        calls (`dict[str, set[str]]`): identifiers of the unfinished calls of each session. Gradio keeps an empty set for
            every session that is done.
    """

    def __init__(self, calls: dict[str, set[str]]):
        super().__init__()
        self.calls = calls

    def __setitem__(self, session: str, messages):
        if session not in self and len(self) >= SESSIONS:
            oldest = next((each for each in self if not self.calls.get(each)), next(iter(self)))
            del self[oldest]
            self.calls.pop(oldest, None)
        super().__setitem__(session, messages)


def limit_sessions(page: "Blocks") -> "Blocks":
    """Make the queue of a page forget its oldest sessions, and return the page."""
    queue = page._queue
    queue.pending_messages_per_session = Sessions(queue.pending_event_ids_session)
    queue.ANALYTICS_MAX_EVENTS = SESSIONS
    return page
