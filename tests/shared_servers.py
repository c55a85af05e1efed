"""Worker servers that tests share, since each takes seconds to import torch.

A server only imports and forks: what a worker does stays in the worker. One is used again where
the modules to import, the import path, the working directory and the environment are the same.
"""

import os
import sys
from pathlib import Path

from scaleprof.workers import WorkerServer

# servers that wait for the next test
_AT_MOST = 3
# what tests change in the environment that no worker reads
_PARENTS_ALONE = {"PYTEST_CURRENT_TEST", "SCALEPROF_CACHE", "SCALEPROF_STORE"}
_waiting = {}


class SharedServer(WorkerServer):
    """A worker server whose process outlives it, for the next one that wants the same."""

    _running = False

    def start(self):
        if self._process is None and not self._spawn:
            self._wants = _surroundings(self._preload)
            process, control = _waiting.pop(self._wants, (None, None))
            if process is not None and process.poll() is None:
                self._process, self._control = process, control
            elif control is not None:
                control.close()
        super().start()

    def run(self, *args, **kwargs):
        self._running = True
        try:
            return super().run(*args, **kwargs)
        finally:
            self._running = False

    def close(self):
        # closed by a job: something went wrong with it
        if self._running or self._spawn or self._process is None:
            super().close()
            return
        _end(_waiting.pop(self._wants, None))
        _waiting[self._wants] = self._process, self._control
        self._process = self._control = None
        while len(_waiting) > _AT_MOST:
            _end(_waiting.pop(next(iter(_waiting))))


def end_shared_servers():
    while _waiting:
        _end(_waiting.popitem()[1])


def _end(server):
    if server is not None:
        process, control = server
        control.close()
        process.wait()


def _surroundings(preload):
    environment = {k: v for k, v in os.environ.items() if k not in _PARENTS_ALONE}
    return preload, tuple(sys.path), Path.cwd(), tuple(sorted(environment.items()))
