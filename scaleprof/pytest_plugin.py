"""A fixture ``scaleprof`` for pytest: measure a model and hold it, inside a test suite.

pytest loads this in every run where scaleprof is installed; nothing else is imported until a test
uses the fixture.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from .records import Check, Report

Model = str | Callable[..., Any]
_OPTION = "--scaleprof-record"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes baselines."""
    parser.getgroup("scaleprof").addoption(
        _OPTION,
        action="store_true",
        help="Write the baselines of scaleprof.check instead of comparing with them.",
    )


@pytest.fixture(scope="session")
def scaleprof(pytestconfig: pytest.Config) -> "Scaleprof":
    """Measure models and hold them against budgets and baselines."""
    return Scaleprof(root=pytestconfig.rootpath, record=pytestconfig.getoption(_OPTION))


class Scaleprof:
    """What the fixture is.

    Args:
        root: Folder that paths of baselines are relative to.
        record: Write baselines instead of comparing with them.
    """

    def __init__(self, *, root: Path, record: bool) -> None:
        self._root = root
        self._record = record
        self._known: dict[tuple[str, str], Report] = {}

    def measure(self, model: Model, **settings: Any) -> "Report":
        """Measure a model, once a session for the same settings; see `scaleprof.measure`."""
        from . import profiler

        return self._once("measure", profiler.measure, model, settings)

    def profile(self, model: Model, **settings: Any) -> "Report":
        """Profile scaled variants, once a session for the same settings; see `scaleprof.profile`.

        It takes a minute or more.
        """
        from . import profiler

        return self._once("profile", profiler.profile, model, settings)

    def _once(
        self, what: str, job: "Callable[..., Report]", model: Model, settings: dict[str, Any]
    ) -> "Report":
        key = what, repr((model, sorted(settings.items())))
        if key not in self._known:
            with _failing():
                self._known[key] = job(model, **settings)
        return self._known[key]

    def check(
        self,
        report: "Report | str",
        *,
        gates: str | Sequence[str] = (),
        baseline: str | Path | None = None,
        budgets: str | Sequence[str] = (),
        variant: str | None = None,
        allow_different: bool = False,
        inconclusive: Literal["skip", "fail"] = "skip",
    ) -> "Check":
        """Hold a report; fail the test if a line fails, and skip it if none can be decided.

        Args:
            report: What `measure` or `profile` returned, or the path of a report.
            gates: How far a quantity may move from the baseline: ``latency.p50:+5%``, ``macs:+0``.
            baseline: Path of a report, relative to pytest's root folder. With
                ``--scaleprof-record`` it is written instead.
            budgets: Bounds that must hold: ``latency<=5ms``.
            variant: A variant, ``base`` or ``all``; the selected variant, else the base.
            allow_different: Compare reports of different devices, versions or settings.
            inconclusive: Whether the test is skipped or fails if a line cannot be decided.

        Returns:
            The check, whose lines all pass.
        """
        from .reports.comparison import check
        from .reports.verdicts import check_text

        with _failing():
            checked = check(
                report,
                baseline=() if baseline is None else self._baseline(report, baseline),
                gates=gates,
                budgets=budgets,
                variant=variant,
                allow_different=allow_different,
            )
        if checked.verdict == "fail" or (checked.verdict, inconclusive) == ("inconclusive", "fail"):
            pytest.fail(check_text(checked), pytrace=False)
        if checked.verdict == "inconclusive":
            pytest.skip(check_text(checked))
        return checked

    def _baseline(self, report: "Report | str", path: str | Path) -> "Report":
        """Return the baseline, which is the report itself where it is being recorded."""
        from .errors import ReportError
        from .reports import check_writable, read_report, write_json

        place = self._root / path
        if self._record:
            recorded = read_report(report) if isinstance(report, str) else report
            check_writable(str(place))
            write_json(recorded, str(place))
            return recorded
        if not place.exists():
            raise ReportError(f"there is no baseline `{path}` yet", hint=f"run pytest {_OPTION}")
        return read_report(str(place))


@contextmanager
def _failing() -> Iterator[None]:
    """Fail the test with one line where scaleprof says what is wrong."""
    from .errors import ScaleprofError
    from .reports import one_line

    try:
        yield
    except ScaleprofError as error:
        hint = f"\nhint: {one_line(error.hint)}" if error.hint else ""
        pytest.fail(f"{one_line(str(error))}{hint}", pytrace=False)
