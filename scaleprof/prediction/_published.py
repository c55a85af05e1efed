"""Published accuracies of known models, and which of them a prediction starts from.

The table is ``profiles/accuracy/imagenet.csv``; its README says what the columns and regimes mean.
"""

import csv
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from scaleprof.errors import InputError
from scaleprof.records import Anchor

METRIC = "top1_percent"

# Which regime speaks for a model when nobody chose: what a user's own training would be like.
_PREFERENCE = ("plain", "mobile", "strong", "distilled", "extra")
_NOT_PLAIN = ("distilled", "extra")


def profiles_folder() -> Path:
    """Return the folder of recorded data: inside an installed wheel, or of the repository."""
    package = Path(__file__).parents[1]
    installed = package / "_profiles"
    return installed if installed.is_dir() else package.parent / "profiles"


def published_anchors(model: str) -> tuple[Anchor, ...]:
    """Look up the published accuracies of a model.

    Args:
        model: A reference such as ``timm:convnext_atto``, ``timm:convnext_atto.d2_in1k``,
            ``torchvision:resnet50``, or the name of one of scaleprof's own families.

    Returns:
        One anchor per training tag and input resolution, in the table's order; empty when the
        model is not in the table.

    Examples:
        >>> {anchor.tag for anchor in published_anchors("torchvision:resnet50")} == {
        ...     "IMAGENET1K_V1", "IMAGENET1K_V2"}
        True
    """
    library, _, name = model.rpartition(":")
    table = _table()
    if library == "timm":
        name, _, tag = name.partition(".")
        return tuple(anchor for anchor in table.get(name, ()) if tag in ("", anchor.tag))
    name = name.lower().replace("-", "_")
    return table.get(f"{library}:{name}", ()) if library else table.get(f"paper:{name}", ())


def choose_anchor(
    anchors: Sequence[Anchor], *, tag: str | None = None, resolution: int | None = None
) -> tuple[Anchor | None, str]:
    """Choose the anchor that predictions start from.

    Args:
        anchors: The published accuracies of one model.
        tag: Training tag the user asked for; by default the plainest regime is taken, without
            extra data and distillation where there is such a row.
        resolution: Side of the base's input, pixels; by default the smallest of the tag, which
            is the one it was trained at.

    Returns:
        The anchor, or None when there is none, and a sentence that says why.

    Raises:
        InputError: If no anchor has the tag.
    """
    if tag is not None and tag not in {anchor.tag for anchor in anchors}:
        raise InputError(_unknown_tag(anchors, tag), hint="choose one of the published tags")
    if not anchors:
        return None, "no published accuracy of this model"
    if tag is None:
        tag, why = _plainest(anchors)
    else:
        why = f"{tag} as asked for"
    same = [anchor for anchor in anchors if anchor.tag == tag]
    chosen = _nearest(same, resolution)
    return chosen, f"{why}, at {chosen.resolution or 'its own'} px from {chosen.source}"


def _plainest(anchors: Sequence[Anchor]) -> tuple[str | None, str]:
    """Return the tag in the middle of the plainest regime, and why."""
    regime = min((anchor.regime or "strong" for anchor in anchors), key=_PREFERENCE.index)
    rows = [_nearest(same, None) for same in _by_tag(anchors, regime)]
    rows.sort(key=lambda anchor: anchor.value)
    tag = rows[(len(rows) - 1) // 2].tag
    word = "no plain recipe is published" if regime in _NOT_PLAIN else "no extra data, no teacher"
    among = f", the middle of {len(rows)} such tags" if len(rows) > 1 else ""
    return tag, f"{tag} ({regime}: {word}{among})"


def _by_tag(anchors: Iterable[Anchor], regime: str) -> list[list[Anchor]]:
    groups: dict[str | None, list[Anchor]] = {}
    for anchor in anchors:
        if (anchor.regime or "strong") == regime:
            groups.setdefault(anchor.tag, []).append(anchor)
    return list(groups.values())


def _nearest(anchors: Sequence[Anchor], resolution: int | None) -> Anchor:
    """Return the anchor nearest in resolution; with none asked for, the smallest."""
    wanted = resolution or 0
    return min(anchors, key=lambda anchor: (abs((anchor.resolution or 0) - wanted), anchor.gmacs))


def _unknown_tag(anchors: Sequence[Anchor], tag: str) -> str:
    known = sorted({anchor.tag for anchor in anchors if anchor.tag})
    listed = ", ".join(known) if known else "none, the model has no published accuracy"
    return f"unknown training tag `{tag}`; published are: {listed}"


@cache
def _table() -> dict[str, tuple[Anchor, ...]]:
    """Read the table once, by model."""
    rows: dict[str, list[Anchor]] = {}
    path = profiles_folder() / "accuracy" / "imagenet.csv"
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["model"], []).append(_anchor(row))
    return {model: tuple(anchors) for model, anchors in rows.items()}


def _anchor(row: dict[str, str]) -> Anchor:
    return Anchor(
        model=row["model"],
        tag=row["tag"] or None,
        regime=row["regime"] or None,
        metric=METRIC,
        value=float(row["top1"]),
        gmacs=float(row["gmacs"]),
        resolution=int(row["resolution"]) if row["resolution"] else None,
        source=row["source"],
    )
