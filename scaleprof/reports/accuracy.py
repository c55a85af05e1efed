"""What the accuracy law makes of trained models, as a table in the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..records import AccuracyRuns, FittedFamily
from ._text import plain


def families_table(runs: AccuracyRuns) -> Group:
    """Show each family with its reach and how well its largest run follows from the others."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(("family", "regime", "runs", "GMACs", "largest left out")):
        table.add_column(name, justify="right" if i in (2, 4) else "left")
    for family in runs.families:
        table.add_row(
            plain(family.family),
            plain(_regime(family)),
            str(family.runs),
            f"{family.gmacs[0]:.3g} to {family.gmacs[1]:.3g}",
            "–" if family.leave_largest_out is None else f"{family.leave_largest_out:.2f} off",
        )
    notes = [
        Text(f"note: {plain(family.family)}: {plain(note)}", style="dim")
        for family in runs.families
        for note in family.notes
    ]
    return Group(Text(f"{plain(runs.metric)} of {plain(runs.source)}", style="bold"), table, *notes)


def _regime(family: FittedFamily) -> str:
    """The stated regime; else the likeliest, as a guess."""
    if family.regime is not None:
        return family.regime
    likely = max(family.regime_posterior, key=lambda name: family.regime_posterior[name])
    return f"unknown, like {likely}"
