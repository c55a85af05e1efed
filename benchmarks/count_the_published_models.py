"""Which work do the models of timm's published speed tables do?

Counts every (model, input size) of the tables once on the meta device and keeps the result, so
that `does_the_latency_law_predict.py` need not. Models with branches that can be merged for
inference are counted both ways, because some tables timed them merged. Ends by holding the
activations against those that the table gives; multiply-adds differ by those that the table's
counter gives batch norms.

Usage:
    python benchmarks/count_the_published_models.py TABLES COUNTS [--batch N]

``TABLES`` is a folder with ``timm_joined.csv`` and, if wanted, the ``benchmark-infer-*.csv`` of
https://github.com/huggingface/pytorch-image-models/tree/main/results; ``COUNTS`` is the folder
that the counts go to, one file per batch.
"""

import argparse
import csv
import statistics
import warnings
from pathlib import Path

import msgspec
import timm
import torch
from rich.progress import track
from timm.utils import reparameterize_model
from torch import nn

from scaleprof.costs import count_module
from scaleprof.records import InputSpec, Record, Work

# share of models whose activations must be within 2 % of the table's; the others are positional
# networks and tables of attention, which timm counts in part, and merged models
AGREEING = 0.94
# how timm's modules name the method that merges their branches
MERGING = ("fuse", "reparameterize", "switch_to_deploy")


class Counted(Record, frozen=True, kw_only=True):
    """What one model at one size does in one pass of the batch."""

    model: str
    size: int
    batch: int
    macs: int
    activations: int
    params: int
    work: tuple[Work, ...]
    merged_work: tuple[Work, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("counts", type=Path)
    parser.add_argument("--batch", type=int, default=256)
    args = parser.parse_args()
    # timm's own deprecations are not ours
    warnings.simplefilter("ignore")
    published = published_models(args.tables)
    counted, failed = [], []
    for model, size in track(published, "counting"):
        try:
            counted.append(count(model, size, args.batch))
        except Exception as error:
            failed.append(f"{model} at {size}: {type(error).__name__} {error}"[:150])
    args.counts.mkdir(parents=True, exist_ok=True)
    path = args.counts / f"batch{args.batch}.json"
    path.write_bytes(msgspec.json.encode(counted))
    print(f"{len(counted)} counted at batch {args.batch}, {len(failed)} not, in {path}")
    print("\n".join(failed[:10]))
    ratios = [
        row.activations / row.batch / 1e6 / macts
        for row in counted
        if (macts := published[row.model, row.size]) > 0
    ]
    agreeing = statistics.fmean(abs(ratio - 1) < 0.02 for ratio in ratios)
    print(f"activations within 2 % of the table's for {agreeing:.1%} of {len(ratios)}")
    assert agreeing >= AGREEING


def published_models(folder: Path) -> dict[tuple[str, int], float]:
    """Every model and size of the tables, with activations in millions where they are exact."""
    models = {}
    for path in sorted(folder.glob("benchmark-infer-*.csv")):
        for row in csv.DictReader(path.open()):
            models[row["model"].partition(".")[0], int(float(row["infer_img_size"]))] = 0.0
    for row in csv.DictReader((folder / "timm_joined.csv").open()):
        models[row["arch"], int(row["img_size"])] = float(row["macts_m"])
    return dict(sorted(models.items()))


def count(model: str, size: int, batch: int) -> Counted:
    """Count one model, its branches as trained and merged."""
    spec = InputSpec(shape=(batch, 3, size, size))
    module = build(model, spec, "meta")
    cost = count_module(module, [spec])
    merged: tuple[Work, ...] = ()
    if any(hasattr(child, name) for child in module.modules() for name in MERGING):
        merged = count_module(reparameterize_model(build(model, spec, "cpu")), [spec]).work
    return Counted(
        model=model,
        size=size,
        batch=batch,
        macs=cost.macs,
        activations=cost.activations,
        params=cost.params,
        work=cost.work,
        merged_work=() if merged == cost.work else merged,
    )


def build(model: str, spec: InputSpec, device: str) -> nn.Module:
    """Build a model; its size is an argument of the constructor where the input is not enough.

    Merging branches computes with weights: it needs a device that has them.
    """
    with torch.device(device):
        module: nn.Module = timm.create_model(model).eval()
        try:
            count_module(module, [spec])
        except Exception:
            module = timm.create_model(model, img_size=spec.shape[-1]).eval()
    return module


if __name__ == "__main__":
    main()
