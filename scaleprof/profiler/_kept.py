"""What the store holds of one profile: blocks measured before, under the very same conditions."""

import datetime as dt
import math
import statistics
from collections.abc import Iterable

import msgspec

from ..devices import DeviceState
from ..jobs import MeasureReply, MeasureRequest
from ..records import Variant
from ..store import Block, Store, fingerprint, now
from ..workers import Done, Failure

# a base that was measured less long ago says that the machine is what it was
_STILL_FRESH_S = 600.0
# medians of fresh processes of one model are within this of each other, but one in twenty
# (benchmarks/how_far_apart_are_fresh_processes.py)
_ANOTHER_MACHINE = 0.12


class Kept:
    """Blocks of the variants of one model, taken in the order in which they were measured.

    Args:
        store: The store.
        model: Reference of the model.
        state: The device as it is now.
        files: Source files of the user's that the model is built from.
        fresh: Whether to take nothing; what is measured is kept all the same.
    """

    def __init__(
        self, store: Store, *, model: str, state: DeviceState, files: Iterable[str], fresh: bool
    ) -> None:
        self._store = store
        self._model = model
        self._state = state
        self._files = tuple(files)
        self._reuse = not fresh
        self._taken: set[int] = set()
        self._since: list[str] = []
        self._why_not: str | None = None

    @property
    def notes(self) -> list[str]:
        """What to tell about the store."""
        notes = []
        if self._since:
            when = min(self._since)[:16].replace("T", " ")
            count = len(self._since)
            what = "1 block of samples was" if count == 1 else f"{count} blocks of samples were"
            notes.append(f"{what} measured before, since {when} UTC (--fresh measures anew)")
        if self._why_not:
            notes.append(self._why_not)
        if self._store.problem:
            notes.append(f"{self._store.problem}: measurements are not kept (--store PATH)")
        return notes

    def take(self, variant: Variant, request: MeasureRequest) -> MeasureReply | None:
        """Return the next block of a variant that was measured before; None if there is no more."""
        name = self._fingerprint(variant, request)
        blocks = self._usable(name) if self._reuse else []
        for block in blocks:
            reply = _reply(block)
            if reply is not None and block.id is not None and block.id not in self._taken:
                self._taken.add(block.id)
                self._since.append(block.measured_at)
                return reply
        return None

    def put(
        self, variant: Variant, request: MeasureRequest, outcome: Done[MeasureReply] | Failure
    ) -> None:
        """Keep what a process measured, or how it ended."""
        done = outcome.reply if isinstance(outcome, Done) else None
        name = self._fingerprint(variant, request)
        block = Block(
            fingerprint=name,
            measured_at=now(),
            model=self._model,
            variant=variant.id,
            device=self._state.device.name,
            status=_status(outcome),
            p50_s=statistics.median(done.samples.samples) if done else None,
            content=msgspec.msgpack.encode(done) if done else b"",
        )
        number = self._store.keep(block)
        if number is not None:
            self._taken.add(number)

    def needs_recheck(self, base: Variant, request: MeasureRequest) -> bool:
        """Tell whether there are blocks, but none of the base that is recent."""
        blocks = self._usable(self._fingerprint(base, request))
        return self._reuse and bool(blocks) and _age_s(blocks[-1]) > _STILL_FRESH_S

    def recheck(self, base: Variant, request: MeasureRequest, reply: MeasureReply) -> None:
        """Hold the base as measured now against what is kept; take nothing if it differs."""
        kept = [b.p50_s for b in self._usable(self._fingerprint(base, request)) if b.p50_s]
        # the last of them is what was measured just now
        before = statistics.median(kept[:-1])
        change = statistics.median(reply.samples.samples) / before - 1
        if abs(math.log1p(change)) > _ANOTHER_MACHINE:
            self._reuse = False
            how = "slower" if change > 0 else "faster"
            self._why_not = (
                f"the base is {abs(change):.0%} {how} than when it was measured before: "
                "everything was measured anew"
            )

    def _usable(self, name: str) -> list[Block]:
        """Blocks that may be taken: quiet ones, and others of a job that is being resumed."""
        return [
            block
            for block in self._store.blocks(name)
            if block.status == "ok"
            or (block.status == "contended" and _age_s(block) <= _STILL_FRESH_S)
        ]

    def _fingerprint(self, variant: Variant, request: MeasureRequest) -> str:
        state = self._state
        # weights and inputs are random whatever the seed, and what is told besides is no condition
        conditions = msgspec.structs.replace(request, seed=0, attribute=True)
        device = (state.name, state.device, state.versions, state.platform, state.flags)
        return fingerprint(conditions, variant.cost.graph, device, files=self._files)


def _status(outcome: Done[MeasureReply] | Failure) -> str:
    if isinstance(outcome, Failure):
        return outcome.status
    return "contended" if outcome.reply.contended else "ok"


def _reply(block: Block) -> MeasureReply | None:
    try:
        return msgspec.msgpack.decode(block.content, type=MeasureReply)
    except msgspec.MsgspecError:
        return None


def _age_s(block: Block) -> float:
    try:
        then = dt.datetime.fromisoformat(block.measured_at)
    except ValueError:
        return math.inf
    # a clock that was set back makes a block no fresher than it is
    return abs((dt.datetime.now(dt.UTC) - then).total_seconds())
