"""Arguments and options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="timm:NAME, torchvision:NAME, hf:CONFIG, diffusers:CLASS, pkg.mod:callable or "
        "file.py:callable.",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="SPEC",
        help="An input without its batch: 3x224x224, int64:128<5000, mask=3x64; repeatable.",
    ),
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="PATH", help="Write JSON here; - for standard output."),
]
Markdown = Annotated[
    str | None,
    typer.Option("--markdown", metavar="PATH", help="Write Markdown here; - for standard output."),
]
Plot = Annotated[bool, typer.Option("--plot", help="Also draw the Pareto front.")]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Find knobs anew instead of taking what was found before.")
]
Device = Annotated[
    str, typer.Option(metavar="DEVICE", help="cpu, cuda:0, …; auto prefers an accelerator.")
]
Dtype = Annotated[str, typer.Option(metavar="TYPE", help="float32, float16 or bfloat16.")]
Batch = Annotated[int, typer.Option(metavar="N", help="Items in one forward pass.")]
Layout = Annotated[str, typer.Option(metavar="LAYOUT", help="nchw, or nhwc: channels last.")]
Mode = Annotated[
    str,
    typer.Option(metavar="MODE", help="eager, compile (torch.compile) or graph (CUDA graph)."),
]
Step = Annotated[
    str,
    typer.Option(metavar="STEP", help="inference, or training: with backward pass and AdamW."),
]
Confidence = Annotated[
    str, typer.Option(metavar="CHANCE", help="Chance of meeting each budget that is required.")
]
Ladder = Annotated[
    str,
    typer.Option(
        metavar="RUNGS",
        help="Latencies such as 1ms,2ms,5ms or 0.5x,1x,2x: one family of recipes for all.",
    ),
]
StorePath = Annotated[
    str | None,
    typer.Option("--store", metavar="PATH", help="Keep measurements here, to resume from."),
]
NoStore = Annotated[bool, typer.Option("--no-store", help="Keep no measurements, and take none.")]
