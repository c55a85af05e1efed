"""Are our activations those that timm publishes (`infer_macts`), for every model it lists?

    scaleprof count 'timm:*' --json counts.json
    python benchmarks/do_activations_equal_the_published_ones.py counts.json [--table FILE]

The table has columns ``model, resolution, macts_m``; it is ``profiles/accuracy/imagenet.csv`` if
no other is given.
"""

import argparse
import csv
import json
from pathlib import Path

TABLE = Path(__file__).parents[1] / "profiles" / "accuracy" / "imagenet.csv"
TOLERANCE = 0.01
# figures are published in millions with two decimals
ROUNDING_M = 0.005
MIN_SHARE = 0.95

ROPE_MIXED = "its position angles were a matrix product then, and are an elementwise one now"
# why a published figure differs from ours, by the start of the model's name
REASONS = {
    "vit_small_patch16_rope_mixed": ROPE_MIXED,
    "vit_base_patch16_rope_mixed": ROPE_MIXED,
    "vit_large_patch16_rope_mixed": ROPE_MIXED,
    "convmixer": "published without the outputs of its depthwise convolutions",
    "sequencer2d": "published without the products inside its LSTM layers",
    "ghostnetv3": "published for the merged form; timm builds the training form with its branches",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", help="what scaleprof count 'timm:*' --json wrote")
    parser.add_argument("--table", default=str(TABLE))
    options = parser.parse_args()
    published = {}
    with Path(options.table).open(newline="") as file:
        for row in csv.DictReader(file):
            size = row.get("resolution") or row.get("img_size")
            if row["macts_m"] and size:
                published[row.get("arch") or row["model"], int(size)] = float(row["macts_m"])
    equal, apart = 0, []
    for cost in json.loads(Path(options.counts).read_text())["models"]:
        name, size = cost["model"].partition(":")[2], cost["input_shape"][-1]
        if (name, size) not in published:
            continue
        ours, theirs = cost["activations"] / 1e6, published[name, size]
        if abs(ours - theirs) <= TOLERANCE * theirs + ROUNDING_M:
            equal += 1
        else:
            apart.append((name, ours, theirs))
    share = equal / (equal + len(apart))
    print(f"models listed at the same image size   {equal + len(apart)}")
    print(f"activations within 1 %                 {equal} ({share:.1%})")
    unexplained = []
    for name, ours, theirs in apart:
        reason = next((why for start, why in REASONS.items() if name.startswith(start)), None)
        print(f"  {name:38s} {ours:9.2f} M, published {theirs:9.2f} M: {reason or 'not explained'}")
        unexplained += [] if reason else [name]
    assert share >= MIN_SHARE
    assert not unexplained


if __name__ == "__main__":
    main()
