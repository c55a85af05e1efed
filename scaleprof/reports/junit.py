"""A check as JUnit XML: a suite for every report, a case for every line.

There is no schema of JUnit's own; this keeps to what Jenkins' and pytest's agree on
(``junit-10.xsd``, https://github.com/jenkinsci/xunit-plugin). What cannot be decided is *skipped*.
"""

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ..records import Check, CheckLine
from ._text import one_line
from .verdicts import line_text

# characters that XML 1.0 has no place for, not even escaped, and `plain` keeps
_NOT_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")


def check_junit(check: Check) -> str:
    """Show a check as JUnit XML."""
    root = Element("testsuites", _counts("scaleprof check", check.lines))
    for report in dict.fromkeys(line.report for line in check.lines):
        lines = tuple(line for line in check.lines if line.report == report)
        skipped = sum(line.verdict == "inconclusive" for line in lines)
        suite = SubElement(root, "testsuite", _counts(report, lines), skipped=str(skipped))
        for line in lines:
            _add_case(suite, check, line)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _counts(name: str, lines: tuple[CheckLine, ...]) -> dict[str, str]:
    failed = sum(line.verdict == "fail" for line in lines)
    counts = {"tests": len(lines), "failures": failed, "errors": 0}
    return {"name": _text(name)} | {key: str(value) for key, value in counts.items()}


def _add_case(suite: Element, check: Check, line: CheckLine) -> None:
    name = _text(f"{line.variant} {line.rule}")
    case = SubElement(suite, "testcase", name=name, classname=_text(line.model))
    text = _text(line_text(check, line))
    if line.verdict == "fail":
        SubElement(case, "failure", message=text, type=line.kind).text = text
    elif line.verdict == "inconclusive":
        SubElement(case, "skipped", message=text)
    else:
        SubElement(case, "system-out").text = text


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", one_line(text))
