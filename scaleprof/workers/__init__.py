"""Run a function in a child process with limits on time and memory and a typed outcome.

All code that scaleprof did not write (constructors, forward passes) goes through here.
"""

from ._client import WorkerServer as WorkerServer
from ._client import expect as expect
from ._client import failure_error as failure_error
from ._outcome import Done as Done
from ._outcome import Failure as Failure
from ._outcome import Limits as Limits
