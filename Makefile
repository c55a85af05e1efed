# Every target works on a fresh machine with Python 3.11 or newer and nothing else installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test demo demo-kernels gpu gpu-models clean
.DELETE_ON_ERROR:

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[timm,dev]'
	touch $@

$(VENV)/.user: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[timm]'
	touch $@

# tests that measure: one at a time, since two at once disturb each other; the others share two cores
MEASURING := $(addprefix tests/cli/test_,profile.py interruption.py rerun.py) tests/profiler \
	tests/knobs/test_searched.py tests/test_pytest_plugin.py tests/test_workflow.py scaleprof/profiler

# cheapest first
test: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadfile $(addprefix --ignore=,$(MEASURING))
	$(BIN)/pytest $(MEASURING)

demo: $(VENV)/.user
	$(BIN)/scaleprof profile timm:convnext_atto --budget 'latency<=2x' --json report.json

# both large-kernel families beside a timm family, under one budget
demo-kernels: $(VENV)/.user
	$(BIN)/python benchmarks/large_kernel_families_under_one_budget.py

# needs python3 with torch, triton and pytest, and an NVIDIA GPU; installs nothing
gpu:
	$(PYTHON) benchmarks/on_a_gpu.py --out gpu-results

# whole models with our kernels, torch's and compiled ones; a call of its own, since compiling takes long
gpu-models:
	$(PYTHON) benchmarks/how_fast_are_the_large_kernel_models.py --out gpu-results

clean:
	rm -rf $(VENV) gpu-results .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
