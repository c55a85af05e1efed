"""The device of a job, and the conditions under which it measured."""

import datetime as dt
import subprocess
from collections.abc import Sequence

from ..devices import DeviceState
from ..jobs import DEVICE, DeviceRequest
from ..records import Context
from ..workers import expect
from ._crew import Crew
from ._options import Options, resolve_kernels


def device_of(crew: Crew, options: Options, libraries: Sequence[str]) -> DeviceState:
    """Return the device of a job and its state, or say that there is none."""
    request = DeviceRequest(name=options.device, libraries=tuple(libraries))
    return expect(crew.measure(DEVICE, request, DeviceState), f"device `{options.device}`")


def context_of(
    state: DeviceState, options: Options, started: dt.datetime, elapsed_s: float
) -> Context:
    """Return the conditions of a job."""
    commit = _git_commit()
    return Context(
        device=state.device,
        versions=state.versions,
        platform=state.platform,
        flags=state.flags,
        dtype=options.dtype,
        layout=options.layout,
        mode=options.mode,
        step=options.step,
        kernels=resolve_kernels(options, state.device),
        batch=options.batch,
        command=options.command,
        started_at=started.isoformat(timespec="seconds"),
        elapsed_s=round(elapsed_s, 3),
        git_commit=commit,
        load=state.load,
        reasons={} if commit else {"git_commit": "not inside a git repository with a commit"},
    )


def _git_commit() -> str | None:
    """Commit of the repository in the working directory, with ``+`` if files are changed."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
