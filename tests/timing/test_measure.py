import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.timing import (
    ScriptedTimer,
    StoppingRule,
    Timer,
    measure,
    median_interval,
    missing_percentiles,
    summarise,
)

PATIENT = StoppingRule(max_seconds=1e9, warmup_max_seconds=1e9)


def test_the_scripted_timer_is_a_timer():
    assert isinstance(ScriptedTimer([1.0]), Timer)


def test_warmup_runs_are_not_sampled():
    # first call, a slow window, then two equal windows end the warm-up
    script = [9.0] + [5.0] * 5 + [1.0] * 10 + [2.0] * 11
    got = measure(ScriptedTimer(script), PATIENT)
    assert got.first_call_s == 9.0
    assert got.warmup_calls == 15
    assert got.samples == (2.0,) * 11
    assert not got.noisy


def test_sampling_goes_on_until_the_median_is_known():
    rng = random.Random(0)
    noisy = itertools.chain([1.0] * 11, (rng.uniform(0.9, 1.1) for _ in itertools.count()))
    got = measure(ScriptedTimer(noisy), PATIENT)
    low, high = median_interval(got.samples)
    assert (high - low) / 2 <= 0.01 * statistics.median(got.samples)
    assert len(got.samples) > 11


def test_the_time_limit_ends_sampling_and_says_so():
    rng = random.Random(1)
    noisy = itertools.chain([1.0] * 11, (rng.choice([0.5, 1.5]) for _ in itertools.count()))
    got = measure(ScriptedTimer(noisy), StoppingRule(max_seconds=50.0, warmup_max_seconds=1e9))
    assert got.timeout
    assert got.noisy
    assert 45 <= sum(got.samples) <= 53


def test_a_model_slower_than_the_limit_still_gives_three_samples():
    got = measure(ScriptedTimer([100.0] * 20), StoppingRule(max_seconds=1.0))
    assert len(got.samples) == 3
    assert got.timeout


def test_short_calls_are_timed_in_blocks_longer_than_the_clock_can_blur():
    timer = ScriptedTimer(itertools.repeat(1e-6))
    got = measure(timer, PATIENT)
    # 11 samples of 100 calls each: the block is 100 microseconds
    assert timer.elapsed() == pytest.approx(1e-6 * (11 + 11 * 100))
    assert got.samples == pytest.approx((1e-6,) * 11)


def test_a_warmup_that_never_settles_ends_at_its_limit():
    script = itertools.cycle([1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0])
    got = measure(ScriptedTimer(script), StoppingRule(warmup_max_seconds=60.0, max_seconds=10.0))
    assert got.warmup_calls <= 20


def brute_force_rank(n, confidence=0.95):
    """Largest j so that the binomial tail below j has at most half of the error probability."""
    from math import comb

    best = 0
    for j in range(1, n // 2 + 1):
        if sum(comb(n, k) for k in range(j)) / 2**n <= (1 - confidence) / 2:
            best = j
    return best


@pytest.mark.parametrize("n", [1, 5, 6, 7, 11, 20, 64, 101])
def test_the_interval_is_the_binomial_one(n):
    rank = brute_force_rank(n)
    want = (rank, n + 1 - rank) if rank else None
    assert median_interval(list(range(1, n + 1))) == want


def test_the_interval_covers_the_median_as_often_as_it_says():
    rng = random.Random(2)
    trials = [[rng.lognormvariate(0, 0.3) for _ in range(25)] for _ in range(2000)]
    covered = sum(low <= 1.0 <= high for low, high in map(median_interval, trials))
    # 25 samples: the exact coverage is 95.7 %, its standard error here 0.45 %
    assert 0.94 <= covered / 2000 <= 0.975


@given(st.lists(st.floats(1e-6, 1e3), min_size=6, max_size=60), st.randoms())
def test_the_order_of_samples_does_not_matter(samples, rng):
    shuffled = samples[:]
    rng.shuffle(shuffled)
    assert median_interval(shuffled) == median_interval(samples)


def test_percentiles_are_unknown_below_the_samples_they_need():
    few = summarise([[1.0] * 63])
    assert few.p90 is None
    assert "63 were taken" in missing_percentiles(few)["latency_s.p90"]
    enough = summarise([[float(i) for i in range(1, 65)]])
    # the nearest rank of 90 % of 64 is the 58th
    assert enough.p90 == 58.0
    assert enough.p99 is None


def test_processes_are_pooled_and_told_apart():
    pooled = summarise([[1.0, 3.0], [2.0]])
    assert pooled.p50 == 2.0
    assert pooled.samples == (1.0, 3.0, 2.0)
    assert pooled.processes == (2, 1)


def test_a_tail_is_sampled_beyond_what_the_median_needs():
    script = itertools.repeat(1.0)
    rule = StoppingRule(max_seconds=1e9, warmup_max_seconds=1e9, tail_samples=64, tail_seconds=1e9)
    got = measure(ScriptedTimer(script), rule)
    assert len(got.samples) == 64
    assert not got.noisy


def test_a_tail_that_takes_too_long_is_left_unsampled():
    # the median is known after 11 samples, and 20 seconds allow 21
    rule = StoppingRule(max_seconds=1e9, warmup_max_seconds=1e9, tail_samples=64, tail_seconds=20.0)
    got = measure(ScriptedTimer(itertools.repeat(1.0)), rule)
    assert len(got.samples) == 21
    assert not got.timeout


def test_a_noisy_median_ends_at_its_own_limit_once_the_tail_is_there():
    noisy = itertools.cycle([1.0, 3.0])
    rule = StoppingRule(
        max_seconds=50.0, warmup_max_seconds=20.0, tail_samples=40, tail_seconds=1e9
    )
    got = measure(ScriptedTimer(noisy), rule)
    assert got.timeout
    assert len(got.samples) == 40


def unhurried(samples):
    return StoppingRule(
        max_seconds=1e9, warmup_max_seconds=1e9, tail_samples=samples, tail_seconds=1e9
    )


def steady(seconds):
    return ScriptedTimer(itertools.repeat(seconds))


@pytest.mark.parametrize("model_s", [0.001, 0.01, 0.1, 0.5])
def test_a_yardstick_takes_a_share_of_the_time_in_the_model(model_s):
    got = measure(steady(model_s), unhurried(1000), yardstick=lambda: steady(0.02))
    assert got.beside_s == pytest.approx(0.1 * 1000 * model_s, rel=0.05, abs=0.06)
    assert got.share_of_model == pytest.approx(1 / 1.1, rel=0.05)
    assert got.yardstick == 0.02
    assert got.samples == (model_s,) * 1000


class Journal:
    """A timer that writes down what is run, in order."""

    def __init__(self, name, journal, seconds):
        self._name, self._journal, self._seconds = name, journal, seconds

    def time(self, calls):
        self._journal += [self._name] * calls
        return calls * self._seconds

    def elapsed(self):
        return 0.0


@pytest.mark.parametrize("model_s", [0.01, 1.0])
def test_the_first_call_of_a_yardstick_is_not_timed_for_the_model_left_the_caches(model_s):
    journal = []
    got = measure(
        Journal("model", journal, model_s), yardstick=lambda: Journal("yardstick", journal, 0.02)
    )
    rows = [len(list(row)) for name, row in itertools.groupby(journal) if name == "yardstick"]
    assert all(2 <= row <= 5 for row in rows)
    assert len(got.yardstick_s) == sum(rows) - len(rows)
    assert got.beside_s == pytest.approx(0.02 * sum(rows))


def test_a_model_with_few_samples_has_yardsticks_after_each():
    rule = StoppingRule(max_seconds=5.0, warmup_max_seconds=1.0)
    got = measure(steady(4.0), rule, yardstick=lambda: steady(0.002))
    assert len(got.samples) == 3
    assert len(got.yardstick_s) == 3 * 4


def test_a_quick_model_is_sampled_for_some_time():
    rule = StoppingRule(min_seconds=0.2)
    got = measure(steady(0.001), rule, yardstick=lambda: steady(0.00001))
    assert sum(got.samples) * got.calls_per_sample == pytest.approx(0.2, rel=0.02)


def test_without_a_yardstick_none_is_known():
    got = measure(ScriptedTimer(itertools.repeat(1.0)))
    assert (got.yardstick_s, got.yardstick, got.share_of_model) == ((), None, 1.0)
