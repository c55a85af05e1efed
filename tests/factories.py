"""Small records for tests: every argument that a test does not name has a dull value."""

from collections.abc import Mapping, Sequence

from scaleprof.records import (
    Accuracy,
    Base,
    Context,
    Cost,
    Coverage,
    Device,
    LatencyBand,
    LatencyMeasurement,
    Measurement,
    Memory,
    Prediction,
    Recipe,
    Report,
    Variant,
)


def cost(
    *, params: int = 100, macs: int = 1000, activations: int = 50, peak_bytes: int = 4000
) -> Cost:
    return Cost(
        input_shape=(1, 3, 32, 32),
        inputs=(),
        params=params,
        weight_bytes=4 * params,
        macs=macs,
        flops=2 * macs,
        activations=activations,
        activation_bytes=4 * activations,
        traffic_bytes=8 * activations,
        peak_bytes=peak_bytes,
        coverage=Coverage(
            status="complete", counted={}, free={}, unknown={}, unknown_output_share=0.0
        ),
    )


def recipe(strategy: str = "w", multiplier: float = 2.0, **changes: object) -> Recipe:
    settings: dict[str, object] = {
        "nominal": {"width": 1.4},
        "achieved": {"width": 1.5},
        "achieved_multiplier": multiplier,
        "target": "torch.nn:Linear",
        "arguments": {"in_features": 2, "out_features": 3},
        "imports": ("import torch.nn",),
        "call": "torch.nn.Linear(in_features=2, out_features=3)",
    }
    return Recipe(strategy=strategy, multiplier=multiplier, **(settings | changes))  # type: ignore[arg-type]


def measured(
    latency_s: float, *, spread: float = 0.001, peak_bytes: int | None = 4000
) -> Measurement:
    return Measurement(
        status="ok",
        latency_s=LatencyMeasurement(
            p50=latency_s,
            p90=None,
            p99=None,
            ci95=(latency_s * (1 - spread), latency_s * (1 + spread)),
            samples=(latency_s,) * 7,
            processes=(7,),
        ),
        peak_bytes=peak_bytes,
        peak_bytes_source="planned",
        memory=Memory(planned=4000, process=6000),
    )


def predicted(p50: float, *, p05: float, p95: float) -> Prediction:
    return Prediction(
        latency_s=LatencyBand(p50=p50, p05=p05, p95=p95), peak_bytes=None, source="a test"
    )


def accuracy(mean: float | None) -> Accuracy:
    low, high = (None, None) if mean is None else (mean - 1, mean + 1)
    return Accuracy(metric="top1_percent", mean=mean, p05=low, p95=high)


def variant(
    identifier: str,
    *,
    latency_s: float | None = None,
    top1: float | None = None,
    strategy: str = "w",
    multiplier: float = 2.0,
    costs: Mapping[str, int] | None = None,
    prediction: Prediction | None = None,
    measurement: Measurement | None = None,
    strategies: Sequence[str] = (),
) -> Variant:
    return Variant(
        id=identifier,
        recipe=recipe("base" if identifier == "base" else strategy, multiplier),
        strategies=tuple(strategies) or (strategy,),
        cost=cost(**(costs or {})),
        prediction=prediction,
        measurement=measured(latency_s) if latency_s else measurement,
        accuracy=accuracy(top1),
    )


def report(*variants: Variant, batch: int = 1) -> Report:
    return Report(
        context=Context(
            device=Device(
                type="cpu", index=None, name="a CPU", memory_bytes=1, cores=2, driver=None
            ),
            versions={"torch": "2.0"},
            platform="Linux x86_64",
            flags={"threads": 2},
            dtype="float32",
            layout="nchw",
            mode="eager",
            batch=batch,
            command=None,
            started_at="2026-01-01T00:00:00+00:00",
            elapsed_s=1.0,
            git_commit=None,
            load=0.0,
        ),
        base=Base(model="nets.py:Net"),
        axes={},
        variants=variants,
    )
