# Every command of the project; `make help` lists them.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TESTS  := $(VENV)/.tests-installed
DEBIAN := tshark tcpdump iproute2 sane-airscan sane-utils dbus-daemon wsdd

.DEFAULT_GOAL := help
.PHONY: help demo install test lint bench soak fuzz properties golden samples clean

help: ## List the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV) || { echo "A virtual environment cannot be made: on Debian, install python3-venv."; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(TESTS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

install: $(STAMP) ## Make the virtual environment and install dsmshark into it

demo: $(STAMP) ## Install, then show the jobs of a sample capture
	@echo '$$ dsmshark jobs pcaps/dsm-two-jobs.pcapng'
	@$(BIN)/dsmshark jobs pcaps/dsm-two-jobs.pcapng

debian:
	@tools/debian-packages.sh $(DEBIAN)

test: $(TESTS) debian lint ## Install what the tests need, then run all of them
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(TESTS) ## Formatting, style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(TESTS) debian ## Time ratios and peak memory against tshark, pyshark and Scapy; the scan server, run and serve under load
	$(BIN)/python -m tests.bench.run
	$(BIN)/python -m tests.bench.server
	$(BIN)/python -m tests.bench.serve
	$(BIN)/python -m tests.bench.replay

soak: $(TESTS) ## 10,000 jobs for the emulated scan server: does anything leak?
	$(BIN)/python -m tests.bench.server --soak 10000

$(VENV)/.fuzz-installed: $(TESTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz-installed ## Fuzz every parser and the pipeline, then damage the samples (SECONDS=300, TARGET=name)
	$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),300) $(if $(TARGET),--target $(TARGET))

properties: $(TESTS) debian ## The property tests with new examples (ROUNDS=1)
	for round in $$(seq $(or $(ROUNDS),1)); do $(BIN)/python -m pytest -n auto -m hypothesis --hypothesis-profile fresh || exit 1; done

golden: $(TESTS) ## Write the golden outputs of the samples anew (look at the difference!)
	$(BIN)/python -m pytest tests/golden --update-golden -q

samples: $(TESTS) ## Record the sample captures anew (root, iproute2, tcpdump)
	$(BIN)/python -m pcaps.record
	$(BIN)/python -m pcaps.damage

clean: ## Remove the virtual environment and what the tools left
	rm -rf $(VENV) .bench .fuzz .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
