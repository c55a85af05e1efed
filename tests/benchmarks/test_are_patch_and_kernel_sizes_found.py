"""What counts as a size that should be found, and what is said of one that is not."""

from pathlib import Path

import are_patch_and_kernel_sizes_found as sizes
import pytest
import which_models_have_which_knobs as coverage

from scaleprof.knobs import find_knobs
from scaleprof.models import parse_inputs, parse_reference, resolve_model

NETS = str(Path(__file__).parents[1] / "models" / "sized.py")


def knobs_of(name):
    resolved = resolve_model(parse_reference(f"{NETS}:{name}"))
    return find_knobs(name, resolved, parse_inputs(["3x32x32"], batch=1))


@pytest.mark.parametrize(
    ("name", "argument", "axis"),
    [
        ("StridedStem", "patch_size", "patch_size"),
        ("StridedStem", "dim", None),
        ("StridedStem", "depth", None),
        ("PaddedBesides(shortcut=False)", "down_kernel_size", "kernel_size"),
        ("PaddedBesides(shortcut=False)", "down_padding", None),
        # by what they do, and not by name
        ("Tabled", "rows[*][0]", "kernel_size"),
        ("Tabled", "rows[*][1]", None),
    ],
)
def test_sizes_are_told_from_other_arguments(name, argument, axis):
    knobs = knobs_of(name)
    assert sizes.axis_of(knobs, knobs.groups[argument]) == axis


def test_a_size_that_takes_one_value_is_no_knob_and_the_table_says_why():
    knobs = knobs_of("OnePatch")
    other, reason = sizes.other_size(knobs, knobs.groups["patch_size"])
    assert other is None
    assert reason.startswith("no other size from 1 to 16 runs (RuntimeError")


def test_a_size_that_another_value_works_for_counts_though_it_was_not_found():
    knobs = knobs_of("StridedStem")
    other, reason = sizes.other_size(knobs, knobs.groups["patch_size"])
    assert (other, reason) == ("8", None)
    missed = sizes.Size("net", "patch_size", "patch_size", found=False, other="8", reason="why")
    found = sizes.Size("other", "patch_size", "patch_size", found=True)
    none = sizes.Size("third", "patch_size", "patch_size", found=False, reason="why")
    assert sizes.count([missed, found, none], "patch_size") == (1, 2)
    assert sizes.row(missed).endswith("| **missed**, though 8 works: why |")


def test_a_section_replaces_that_of_its_title_and_leaves_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "TABLE", tmp_path / "table.md")
    for text in ("## One\n\nold", "## Two\n\nkept", "## One\n\nnew"):
        coverage.put_section(text)
    sections = coverage.TABLE.read_text().split("\n\n## ")
    assert sections[1:] == ["One\n\nnew", "Two\n\nkept\n"]
    assert sections[0].startswith("# Which models have which knobs\n\nFor models of timm")
