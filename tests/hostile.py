"""Text that does something where it is not escaped, and reports full of it."""

from typing import Any

import msgspec
from factories import measured, report, variant

from scaleprof.records import Report, Selection

EVIL = (
    "</script><script>window.owned=1</script><img src=x onerror=window.owned=1>"
    "<a href='javascript:window.owned=1'>&lt;%{x}</a>\"'`{0}|@everyone\x1b[2J\x1b]0;owned\x07"
    "\n::error::owned\r\n##[error]owned %0A]]>--><!--\u202e\ufffe"
)


def poisoned(value: Any) -> Any:
    """Return JSON with every text that may be anything made hostile."""
    if isinstance(value, dict):
        kept = (
            "schema", "status", "kind", "bound", "id", "variant", "peak_bytes_source", "kernels",
        )  # fmt: skip
        return {
            key: inner if key in kept else poisoned(inner) for key, inner in value.items()
        }  # fmt: skip
    if isinstance(value, list | tuple):
        return [poisoned(inner) for inner in value]
    return EVIL if isinstance(value, str) else value


def hostile_report() -> Report:
    """Return a report whose every free text is hostile, and whose numbers are ordinary."""
    honest = report(
        variant("base", latency_s=0.010, top1=75.0),
        variant("aaaaaaaaaa", latency_s=0.020, top1=77.0),
        variant("bbbbbbbbbb", measurement=measured(0.015), top1=76.0),
    )
    choice = Selection(variant="aaaaaaaaaa", budgets=(), verified=None, verification=None,
                       runners_up=("bbbbbbbbbb",), reason="x")  # fmt: skip
    chosen = msgspec.structs.replace(honest, selection=choice, notes=("x",), skipped=("x",))
    evil = poisoned(msgspec.to_builtins(chosen))
    evil["selection"]["runners_up"] = ["bbbbbbbbbb"]
    return msgspec.convert(evil, Report)
