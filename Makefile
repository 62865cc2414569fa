# Set-up, tests and benchmarks. All that is needed first is make and Python 3.11, 3.12 or 3.13; `make help` lists the targets.

# PYTHON=/path/to/python make ...   builds the environment with that interpreter.
# PYTEST_ARGS=... make test         replaces the options below: PYTEST_ARGS="-x -k prove", say.
# SLOW=1 make test                  runs the slow tests too; SLOW=all the thorough ones as well, as test-all does.
# SECONDS=600 make fuzz             hunts so long over hostile inputs; FUZZ_ARGS="cfg weights --seed 7" chooses.
# COUNT=5000 SEED=0 make fuzz-networks   draws so many networks of each flavour, from that seed on.
# ROUNDS=5 NETWORKS=yolov2,yolov4 make bench-networks   measures those alone, in so many rounds.
# TORCH_PIP_ARGS=... make test      is added where torch is installed, to choose another build of it.
# EXTRAS="onnx jax" make test-lowest   has the lowest versions of these extras, too, and runs their tests with them.
# PYTHONS="/path/to/python3.12 ..." make test-pythons   names the interpreters.
VENV           ?= .venv
BARE           ?= .venv-bare
LOWEST         ?= .venv-lowest
RELEASE        ?= .venv-release
DOCS           ?= .venv-docs
EXTRAS         ?=
PYTHONS        ?= python3.11 python3.12 python3.13
PYTEST_ARGS    ?= -q -n 2
BENCH_ARGS     ?= --benchmark-columns=min,median,iqr,rounds
VERIFY_ARGS    ?=
ROUNDS         ?= 9
NETWORKS       ?=
SECONDS        ?= 60
FUZZ_ARGS      ?=
COUNT          ?= 1000
SEED           ?= 0
TORCH_PIP_ARGS ?=

# The first of these that really runs: a version manager's placeholder may be on the path and start nothing.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	if $$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$p; break; fi; done)

SPACE := $(subst ,, )
COMMA := ,
BIN   := $(VENV)/bin
STAMP := $(VENV)/.set-up
LOWEST_STAMP := $(LOWEST)/.set-up$(addprefix -,$(subst $(SPACE),-,$(strip $(EXTRAS))))
OPENCV4 := $(VENV)/opencv4
OPENCVS := .opencv
OLD_OPENCVS := 4.5.5.64 4.6.0.66 4.7.0.72 4.8.1.78 4.10.0.84 4.12.0.88
PIP    = $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt
ifeq ($(SLOW),1)
MARKS := -m "not thorough"
else ifeq ($(SLOW),all)
MARKS := -m ""
endif

.DEFAULT_GOAL := help
.PHONY: help setup verify test test-all test-bare test-lowest test-pythons pytest fuzz fuzz-networks lint ruff mypy format \
	opencvs atlas bench bench-networks bench-tune tables docs dist clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## set up .venv with every framework (once, and again when the requirements change)

verify: $(STAMP)  ## recover what each installed framework's operations do, and compare them with the catalogue
	@$(BIN)/layoutbridge verify $(VERIFY_ARGS)

test: lint pytest  ## ruff, mypy and the default tests

test-all:  ## the same with the slow and the thorough tests
	@$(MAKE) --no-print-directory test SLOW=all

test-bare: $(BARE)/.set-up  ## the tests that need no framework, in an environment without any
	@$(BARE)/bin/python -m pytest $(PYTEST_ARGS)

test-lowest: $(LOWEST_STAMP)  ## the same with the lowest versions that pyproject.toml allows
	@$(LOWEST)/bin/python -m pytest $(PYTEST_ARGS)

test-pythons:  ## the same with each Python from 3.11 to 3.13 that is there
	@tested=0; for python in $(PYTHONS); do \
		if ! version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then \
			echo "$$python: left out, it is not there or does not run"; continue; \
		fi; \
		echo "$$python: Python $$version"; tested=1; \
		$(MAKE) --no-print-directory test-bare BARE=$(BARE)-$$version PYTHON="$$python" || exit 1; \
	done; [ $$tested -eq 1 ] || { echo "none of these runs: $(PYTHONS)" >&2; exit 1; }

pytest: $(STAMP)  ## the tests alone
	@$(BIN)/python -m pytest $(MARKS) $(PYTEST_ARGS)

fuzz: $(STAMP)  ## hostile inputs for every reader and the command line, e.g. make fuzz SECONDS=600
	@$(BIN)/python -m tests.fuzzing --seconds $(SECONDS) $(FUZZ_ARGS)

fuzz-networks: $(STAMP)  ## drawn networks in every target against the reference, e.g. make fuzz-networks COUNT=5000 SEED=0
	@FUZZ_COUNT=$(COUNT) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest $(PYTEST_ARGS) tests/darknet/ports/test_fuzz.py

lint: ruff mypy  ## ruff and mypy

ruff: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "make format puts these files into the common form" >&2; $(BIN)/ruff format --check .; exit 1; }

mypy: $(STAMP)
	@$(BIN)/mypy

format: $(STAMP)  ## put all files into the common form, imports in order
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

opencvs: $(addprefix $(OPENCVS)/,numpy $(OLD_OPENCVS))  ## OpenCV 4.5 to 4.12 in .opencv, for the slow tests that run them

# Each lies beside the environment: its wheels want a NumPy of their time, which stands in a folder of its own.
$(OPENCVS)/numpy: $(STAMP)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --target $@ 'numpy==1.26.4'

$(OPENCVS)/4.%: $(STAMP)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --target $@ opencv-python-headless==4.$*

atlas: $(STAMP)  ## set up all runtimes of the atlas in .atlas, and measure what is new: half an hour at first
	@$(BIN)/layoutbridge atlas --environments .atlas --install --force -o layoutbridge/atlas/atlas.json \
		--page docs/atlas.md --badge docs/atlas.svg

bench: $(STAMP) bench-networks  ## all benchmarks, one process at a time; writes benchmarks/results and the tables in docs
	@$(BIN)/python -m pytest benchmarks -m "" -p no:xdist --results $(BENCH_ARGS)

bench-networks: $(STAMP) $(OPENCV4)  ## networks in every runtime alone, e.g. make bench-networks NETWORKS=yolov2 ROUNDS=5
	@$(BIN)/python -m benchmarks.networks --rounds $(ROUNDS) $(if $(NETWORKS),--networks $(NETWORKS))

bench-tune: $(STAMP)  ## what tune chooses beside everything else, an hour; e.g. make bench-tune NETWORKS=yolov2,mobilenet
	@$(BIN)/python -m benchmarks.exhaustive $(if $(NETWORKS),--networks $(NETWORKS))

tables: $(STAMP)  ## the tables of docs from benchmarks/results
	@$(BIN)/python -m benchmarks.tables

$(OPENCV4): $(STAMP)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --target $@ 'opencv-python-headless>=4.14,<5'

docs: $(DOCS)/.set-up  ## the site, in site/: strict about warnings, names and links, and works offline
	@$(DOCS)/bin/python -m docs.making

# Two runs of the same commit give the same bytes: no time but the commit's, no path, no number drawn.
dist: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)
dist: $(RELEASE)/.set-up  ## the wheel, the sdist, and what the wheel brings with it (CycloneDX), in dist/
	@rm -rf dist $(RELEASE)/wheel
	@$(RELEASE)/bin/python -m hatchling build --directory dist
	@$(PYTHON) -m venv --without-pip $(RELEASE)/wheel
	@$(RELEASE)/bin/python -m pip --python $(RELEASE)/wheel install -qq --disable-pip-version-check \
		--constraint constraints.txt dist/*.whl
	@$(RELEASE)/wheel/bin/layoutbridge list >/dev/null
	@sed "s/^dynamic = .*/version = \"$$($(RELEASE)/bin/python -m hatchling version)\"/" pyproject.toml >$(RELEASE)/pyproject.toml
	@$(RELEASE)/bin/cyclonedx-py environment --pyproject $(RELEASE)/pyproject.toml --mc-type library --output-reproducible \
		--output-format JSON --output-file dist/layoutbridge.cdx.json $(RELEASE)/wheel/bin/python
	@cd dist && sha256sum *

clean:  ## remove the environments, caches and build outputs
	rm -rf $(VENV) $(BARE) $(BARE)-3.* $(LOWEST) $(RELEASE) $(DOCS) .atlas $(OPENCVS) build dist site .fuzz .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BARE)/.set-up: pyproject.toml constraints.txt
	@echo "$(BARE): an environment without any framework"
	@$(PYTHON) -m venv --clear $(BARE)
	@$(BARE)/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

# uv knows how to choose the lowest of what is asked for directly, and the newest of what that needs.
$(LOWEST_STAMP): pyproject.toml constraints.txt
	@echo "$(LOWEST): the lowest versions of layoutbridge[$(subst $(SPACE),$(COMMA),$(strip test $(EXTRAS)))]"
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt uv
	@$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		--editable '.[$(subst $(SPACE),$(COMMA),$(strip test $(EXTRAS)))]'
	@touch $@

$(RELEASE)/.set-up: pyproject.toml constraints.txt
	@echo "$(RELEASE): what builds the distributions"
	@$(PYTHON) -m venv --clear $(RELEASE)
	@$(RELEASE)/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt hatchling cyclonedx-bom
	@touch $@

$(DOCS)/.set-up: pyproject.toml constraints.txt
	@echo "$(DOCS): what builds the site"
	@$(PYTHON) -m venv --clear $(DOCS)
	@$(DOCS)/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt uv
	@$(DOCS)/bin/uv pip install --quiet --python $(DOCS)/bin/python --constraint constraints.txt --editable '.[docs,onnx]'
	@touch $@

$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then \
		python="$(PYTHON)"; \
		if [ -z "$$python" ] || ! "$$python" -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then \
			echo "layoutbridge needs Python 3.11 or newer; this does not run or is older: $${python:-python3.11, python3.12, python3.13, python3}" >&2; \
			echo "Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
			exit 1; \
		fi; \
		echo "[1/3] $(VENV): a new environment with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV) || { \
			echo "$$python cannot make an environment: its venv module is missing (on Debian, the package python3-venv)." >&2; \
			exit 1; }; \
	else \
		echo "[1/3] $(VENV): kept"; \
	fi
	@echo "[2/3] torch, first and pinned, so that nothing below brings another build of it"
	@$(PIP) $(TORCH_PIP_ARGS) torch
	@echo "[3/3] TensorFlow, ONNX and the rest: a minute or more"
	@$(PIP) --editable '.[all,dev]'
	@touch $@
