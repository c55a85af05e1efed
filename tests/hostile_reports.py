"""Mutated reports, put through everything that reads one, in a process that may do nothing else.

    python tests/hostile_reports.py --first 0 --count 10000

Each report is made from its number, so that one that does harm can be made again. The process
ends with an error if a report raises anything but `ScaleprofError`, imports, executes, opens a
socket or writes a file, leaves something in an output that its reader would take for a command, or
makes the process larger than `MOST_MEMORY`.
"""

import argparse
import io
import json
import random
import re
import sys
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

from hostile import EVIL, poisoned
from rich.console import Console

from scaleprof.errors import ScaleprofError
from scaleprof.profiler._choose import select_from
from scaleprof.profiler._decide import LOOKS, decide
from scaleprof.profiler._recorded import changed_code, options_of
from scaleprof.records import Check, Report
from scaleprof.reports import read_report
from scaleprof.reports.bencher import bencher_json
from scaleprof.reports.comparison import Named, check, judge
from scaleprof.reports.github import annotations, error_annotation
from scaleprof.reports.github_benchmark import github_benchmark_json
from scaleprof.reports.html._page import _as_data, _body, _calls, _Page
from scaleprof.reports.junit import check_junit
from scaleprof.reports.markdown import check_markdown, report_markdown
from scaleprof.reports.plot import front_plot
from scaleprof.reports.pytest_benchmark import pytest_benchmark_json
from scaleprof.reports.table import profile_table
from scaleprof.reports.timm_csv import timm_csv
from scaleprof.reports.verdicts import check_text

EXAMPLE = Path(__file__).parents[1] / "profiles/examples/convnext_atto-cpu.json"
MOST_MEMORY = 200 * 2**20
# a report of this size takes milliseconds; one that takes so long hangs
MOST_SECONDS = 20.0
_KEPT_SAMPLES = 12
# characters of a text that are repeated: one that is long already would fill the machine
_LENGTHENED = 200
# chance that a walk ends at a container
_STAYS = 0.1
_DEEP = (50, 400, 900, 5000)
_HUGE = (10**400, 2**63, 2**63 - 1, -1, 0, 1e308, -1e308, 5e-324, 1e-13, -0.0, 0.1)
_OTHER = (None, True, [], {}, [None], {"": None}, "", "x", EVIL, 1, 1.5)
# what a process that reads a file has no reason to do
_FORBIDDEN = ("import", "exec", "compile", "subprocess.Popen", "os.system", "os.exec", "os.fork",
              "os.posix_spawn", "os.remove", "os.rename", "socket.connect", "socket.bind",
              "ctypes.dlopen", "shutil.rmtree")  # fmt: skip
_TAGS = frozenset(
    "a section h1 h3 p pre strong div figure figcaption output details summary table tr th td "
    "button".split()
) - {"a"}
_ATTRIBUTES = frozenset(
    "id class role type data-report data-figure data-variant aria-label aria-live aria-controls "
    "open".split()
)


class _Guard:
    """Turns what is forbidden into an error while a report is read."""

    armed = False

    def __init__(self) -> None:
        sys.addaudithook(self._watch)

    def _watch(self, event, arguments):
        if not self.armed:
            return
        writes = event == "open" and any(c in str(arguments[1] or "") for c in "wax+")
        if writes or event in _FORBIDDEN:
            self.armed = False
            raise AssertionError(f"a report made the process do `{event}` {arguments[:2]!r:.200}")


def seed_report() -> dict:
    """Return a small honest report: a choice, a runner-up, and what is predicted only."""
    content = json.loads(EXAMPLE.read_text())
    selection = content["selection"]
    kept = {"base", selection["variant"], selection["runners_up"][0], "c86abcf835"}
    content["variants"] = [v for v in content["variants"] if v["id"] in kept]
    selection["runners_up"] = selection["runners_up"][:1]
    selection["pareto"] = [name for name in selection["pareto"] if name in kept]
    content["strategies"] = [row for row in content["strategies"] if row["variant"] in kept]
    for variant in content["variants"]:
        measurement = variant["measurement"]
        if measurement is not None:
            latency = measurement["latency_s"]
            latency["samples"] = latency["samples"][:_KEPT_SAMPLES]
            latency["processes"] = [_KEPT_SAMPLES // 2] * 2
            measurement["modules_s"] = {EVIL: 0.001, "stages": 0.012, "stages.0.blocks": 0.009}
    return content


def pick(content: dict, rng: random.Random) -> tuple:
    """Walk down a tree at random to a (container, key); most walks end at a leaf."""
    node = content
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        inner = node[key]
        if not (isinstance(inner, dict | list) and inner) or rng.random() < _STAYS:
            return node, key
        node = inner


def nested(depth, kind):
    """Return so many lists or mappings inside each other."""
    node = EVIL
    for _ in range(depth):
        node = [node] if kind == "list" else {"a": node}
    return node


def mutate_in_kind(content: dict, rng: random.Random) -> None:
    """Change one value to another of its type, so that most reports are read."""
    node, key = pick(content, rng)
    value = node[key]
    if isinstance(value, bool):
        node[key] = not value
    elif isinstance(value, int):
        node[key] = rng.choice((0, 1, 2, 7, 10**6, 2**31, 2**53 + 1, 2**63 - 1, 3 * value))
    elif isinstance(value, float):
        node[key] = rng.choice(
            (1e-12, 1e-9, 1e9, 1e12, 1e300, 0.5 * value, 1e3 * value, 1e6 * value)
        )
    elif isinstance(value, str):
        node[key] = rng.choice((EVIL, "", "base", value[:_LENGTHENED] * 5000, "=1+1", "-"))


def mutate(content: dict, rng: random.Random) -> None:
    """Change one place of a report."""
    node, key = pick(content, rng)
    value = node[key]
    kind = rng.randrange(9)
    if kind == 0:
        node[key] = rng.choice(_OTHER)
    elif kind == 1 and isinstance(value, int | float) and value is not None:
        node[key] = rng.choice((*_HUGE, value * 1e3, value * 1e6, -value))
    elif kind == 2:
        node[key] = EVIL if isinstance(value, str) else rng.choice(_HUGE)
    elif kind == 3 and isinstance(node, dict):
        del node[key]
    elif kind == 4 and isinstance(node, dict):
        node[EVIL] = value
    elif kind == 5 and isinstance(value, list) and value:
        node[key] = value * rng.choice((2, 30))
    elif kind == 6:
        rng.choice(content["variants"])["recipe"]["arguments"] = {
            EVIL: nested(rng.choice(_DEEP), rng.choice(("list", "dict")))
        }
    elif kind == 7 and isinstance(value, str):
        node[key] = value[:_LENGTHENED] * rng.choice((1000, 20_000))
    elif kind == 8:
        other, at = pick(content, rng)
        node[key] = json.loads(json.dumps(other[at]))


def mutated(number: int) -> bytes:
    """Return the report of a number: mutated as a tree, and sometimes as text."""
    rng = random.Random(number)
    content = seed_report()
    if rng.random() < 0.15:
        content = poisoned(content)
        content["selection"]["runners_up"] = []
        content["strategies"] = []
        for budget in content["selection"]["budgets"]:
            budget["metric"] = rng.choice(("latency", "memory", EVIL))
    change = mutate_in_kind if rng.random() < 0.6 else mutate
    for _ in range(rng.choice((1, 1, 2, 4))):
        if content.get("variants"):
            try:
                change(content, rng)
            except (KeyError, TypeError, IndexError, RecursionError):
                # an earlier mutation took away what this one would change
                break
    return _as_text(content, rng)


def _as_text(content: dict, rng: random.Random) -> bytes:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    text = json.dumps(content).encode()
    sys.setrecursionlimit(limit)
    at = rng.randrange(len(text))
    kind = rng.randrange(30)
    if kind == 0:
        return text[:at]
    if kind == 1:
        return text[:at] + bytes(rng.randrange(256) for _ in range(8)) + text[at:]
    if kind == 2:
        return text.replace(b'"p50": ', rng.choice((b'"p50": NaN, "": ', b'"p50": 1e999, "": ')), 1)
    if kind == 3:
        return text.replace(b'"', b'"\\ud800', 2 * rng.randrange(1, 40))
    return text


class _Checker(HTMLParser):
    """Refuses every element and attribute that a page does not have of its own."""

    def handle_starttag(self, tag, attrs):
        assert tag in _TAGS, f"an element {tag}"
        odd = [name for name, _ in attrs if name not in _ATTRIBUTES]
        assert not odd, f"attributes {odd}"

    def handle_comment(self, data):
        raise AssertionError("a comment")


def harmless(text: str, *, where: str) -> str:
    """Refuse what a terminal or a log of GitHub Actions would take for a command."""
    odd = sorted(
        {c for c in text if (ord(c) < 32 and c not in "\n\t") or ord(c) in range(127, 160)}
    )
    assert not odd, f"{where} has control characters {odd}"
    assert "##[" not in text, f"{where} has a command of GitHub"
    assert not any(line.lstrip().startswith("::") for line in text.splitlines()), where
    return text


def show(report: Report) -> None:
    """Write a report in every format, and look at what was written."""
    file = io.StringIO()
    console = Console(file=file, width=100, color_system=None, highlight=False, markup=False)
    console.print(profile_table(report))
    console.print(front_plot(report, width=80))
    harmless(file.getvalue(), where="the table")
    harmless(report_markdown([report]), where="Markdown")
    page = _Page()
    _Checker().feed("\n".join(_body(page, [report, report])))
    data = _as_data({"figures": page.figures, "calls": [_calls(report)]})
    assert not set("<>&") & set(data)
    json.loads(data, parse_constant=_no_constant)
    for write in (bencher_json, github_benchmark_json, pytest_benchmark_json):
        _attempt(lambda write=write: json.loads(write([report]), parse_constant=_no_constant))
    _attempt(lambda: harmless(timm_csv([report]), where="CSV"))


def _no_constant(name):
    raise AssertionError(f"JSON with {name}")


def hold(report: Report, honest: Report) -> None:
    """Check a report against an honest one and the other way, and look at what is said."""
    gates = ("latency.p50:+10%", "macs:+0", "memory:+5%", "throughput:-10%")
    budgets = ("latency<=20ms", "memory.process<=1GiB", "latency<=2x")
    for now, baseline in ((report, honest), (honest, report)):
        for variant in (None, "all"):
            held = _attempt(
                lambda now=now, baseline=baseline, variant=variant: check(
                    now, baseline=baseline, gates=gates, budgets=budgets, variant=variant,
                    allow_different=True,
                )
            )  # fmt: skip
            if held is not None:
                say(held)
    _attempt(lambda: select_from(report, ["latency<=2x", "memory<=1GiB"]))


def measure_again(report: Report, honest: Report) -> None:
    """Do what a rerun does before it measures, and pool what an honest machine measured."""
    measured = honest.variant("base").measurement
    _attempt(lambda: options_of(report, 1.0))
    for variant in report.variants[:4]:
        changed_code(variant, honest.variant("base"))
        changed_code(honest.variant("base"), variant)
    decided = _attempt(
        lambda: decide(
            report,
            lambda now: judge(
                [Named(name="now", report=now)], [Named(name="main", report=honest)],
                gates=("latency.p50:+10%", "throughput:-10%"), budgets="latency<=2x",
                variant="all", allow_different=True, looks=LOOKS,
            ),
            lambda wanted: dict.fromkeys(wanted, measured),
        )
    )  # fmt: skip
    if decided is not None:
        say(decided.check)


def say(held: Check) -> None:
    """Write a check in every format."""
    harmless(check_text(held), where="a check")
    harmless(check_markdown(held), where="Markdown of a check")
    ET.fromstring(check_junit(held).encode())
    for line in annotations(held):
        harmless(line.removeprefix("::error ").removeprefix("::warning "), where="an annotation")


def _attempt(work):
    """Do what may be refused with one harmless line."""
    try:
        return work()
    except ScaleprofError as error:
        line = error_annotation(error).removeprefix("::error ")
        assert "\n" not in harmless(line, where="an error")
        return None


def put_through(path: str, honest: Report) -> bool:
    """Read a file and do everything with it; return whether it was a report."""
    report = _attempt(lambda: read_report(path))
    if report is None:
        return False
    show(report)
    hold(report, honest)
    measure_again(report, honest)
    return True


def most_memory() -> int:
    """Return the largest resident set of this process so far, in bytes.

    What `resource` reports begins with that of the process which started this one.
    """
    (line,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(line)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    path = options.folder / "report.json"
    path.write_text(json.dumps(seed_report()))
    honest = read_report(str(path))
    # everything is imported once before imports are forbidden
    put_through(str(path), honest)
    guard, outcomes = _Guard(), Counter()
    for number in range(options.first, options.first + options.count):
        path.write_bytes(mutated(number))
        began, guard.armed = time.process_time(), True
        try:
            outcomes[put_through(str(path), honest)] += 1
        except BaseException as error:
            guard.armed = False
            error.add_note(f"report {number}")
            raise
        guard.armed = False
        took = time.process_time() - began
        assert took < MOST_SECONDS, f"report {number} took {took:.1f} s"
    peak = most_memory()
    print(f"{outcomes[True]} read, {outcomes[False]} refused, {peak / 2**20:.0f} MiB at most")
    assert peak < MOST_MEMORY, f"{peak / 2**20:.0f} MiB"


if __name__ == "__main__":
    main()
