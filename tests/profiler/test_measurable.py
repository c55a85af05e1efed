"""Budgets of what a device cannot tell: refused at the start, with what to bound instead."""

import pytest
from factories import measured, variant

from scaleprof.devices import DeviceState
from scaleprof.devices.rapl import package_energies_j
from scaleprof.errors import BudgetError
from scaleprof.profiler._measurable import check_known, check_measurable, samples_wanted
from scaleprof.records import Device, replace
from scaleprof.selection import METRICS, parse_budgets


def state(device_type):
    device = Device(
        type=device_type, index=None, name=f"a {device_type}", memory_bytes=1, cores=2, driver=None
    )
    return DeviceState(
        name=device_type, device=device, versions={}, platform="Linux", flags={}, load=None
    )


def refused(text, device_type):
    with pytest.raises(BudgetError) as caught:
        check_measurable(parse_budgets([text]), state(device_type))
    assert "\n" not in str(caught.value)
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize("kind", ["allocated", "reserved"])
def test_what_torch_allocates_is_unknown_on_a_cpu(kind):
    message, hint = refused(f"memory.{kind}<=1GB", "cpu")
    assert f"memory.{kind} cannot be known on a cpu: torch does not track" in message
    assert "memory.process" in hint


def test_the_memory_of_the_process_is_unknown_on_an_accelerator():
    message, hint = refused("memory.process<=2x", "cuda")
    assert "memory of its own" in message
    assert "memory.allocated" in hint


def test_energy_needs_a_counter():
    message, _ = refused("energy<=5mJ", "mps")
    assert "no energy counter" in message


@pytest.mark.skipif(package_energies_j() is not None, reason="this CPU has an energy counter")
def test_energy_of_a_cpu_without_a_counter_is_refused():
    message, hint = refused("energy<=2x", "cpu")
    assert "RAPL" in message
    assert "latency" in hint


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_everything_else_is_allowed(device_type):
    unknown = {"memory.allocated", "memory.reserved", "memory.process", "energy"}
    texts = [f"{name}{METRICS[name].bound}2x" for name in METRICS if name not in unknown]
    check_measurable(parse_budgets(texts), state(device_type))


def test_what_the_base_did_not_tell_is_refused_with_the_reason():
    silent = replace(measured(0.01), reasons={"energy_j": "the GPU has no counter"})
    with pytest.raises(BudgetError, match="energy cannot be known here: the GPU has no counter"):
        check_known(parse_budgets(["energy<=2x"]), variant("base", measurement=silent), batch=1)
    # a percentile may become known with more samples
    check_known(parse_budgets(["latency.p99<=2x"]), variant("base", latency_s=0.01), batch=1)


def test_two_processes_share_the_samples_of_the_highest_percentile():
    assert samples_wanted(parse_budgets(["latency<=2x", "memory.planned<=2x"])) == 0
    assert samples_wanted(parse_budgets(["latency.p90<=2x"])) == 32
    assert samples_wanted(parse_budgets(["latency.p90<=2x", "latency.p99<=2x"])) == 331
