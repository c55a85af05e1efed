"""What a check says inside GitHub Actions: annotations, and the summary of the job.

Escaping is that of the toolkit's ``command.ts``,
https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
"""

from collections.abc import Mapping
from pathlib import Path

from ..records import Check
from ._text import one_line
from .markdown import check_markdown
from .verdicts import line_text

_TITLE = "scaleprof check"
_LEVELS = {"fail": "error", "inconclusive": "warning"}


def annotations(check: Check) -> list[str]:
    """Return a workflow command for every line that did not pass, and for what differs."""
    found = [
        workflow_command(_LEVELS[line.verdict], f"{_TITLE}: {line.rule}", line_text(check, line))
        for line in check.lines
        if line.verdict in _LEVELS
    ]
    different = [f"conditions differ: {text}" for text in check.differences]
    return found + [workflow_command("warning", _TITLE, text) for text in different]


def workflow_command(level: str, title: str, message: str) -> str:
    """Return one workflow command on one line.

    Args:
        level: ``error`` or ``warning``.
        title: Its title.
        message: Its message.

    Examples:
        >>> workflow_command("error", "a, b", "100% :: slower")
        '::error title=a%2C b::100%25 :: slower'
    """
    return f"::{level} title={_property(one_line(title))}::{_data(one_line(message))}"


def error_annotation(error: Exception) -> str:
    """Return a workflow command for an error that left nothing checked."""
    return workflow_command("error", _TITLE, str(error))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def append_summary(check: Check, environment: Mapping[str, str]) -> str | None:
    """Append Markdown to the summary of the job, if there is one.

    Args:
        check: The check.
        environment: Environment variables.

    Returns:
        Why it could not be written; None if it was, or if there is no summary.
    """
    path = environment.get("GITHUB_STEP_SUMMARY")
    if not path:
        return None
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(check_markdown(check) + "\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"cannot write the summary of the job: {reason}"
    return None
