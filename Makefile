# Everything runs in an environment of its own, made on first use: .venv, or .venv-tf2.15 for TF=2.15.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
TF ?= 2.21
ifeq ($(TF),2.21)
VENV := .venv
CONSTRAINTS := constraints.txt
else
VENV := .venv-tf$(TF)
CONSTRAINTS := constraints-tf$(TF).txt
endif
BIN := $(VENV)/bin
# Tests share two cores: a process each, and one TensorFlow thread pool per process. A file stays in
# one process, for what its tests share; in the order of their names long files are not the last.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-fast test-soak test-browser test-mutations lint docs check clean

demo: $(VENV)/ready
	$(BIN)/tfcaml train --config=caml/particles --root_dir=runs/caml_particles

test: $(VENV)/ready
	$(PYTEST)

test-fast: $(VENV)/ready
	$(PYTEST) -m "not slow and not soak and not browser"

# The long form of what is promised of stopped, killed and faulty runs: an hour.
test-soak: $(VENV)/ready
	$(BIN)/python -m pytest -m soak

# TensorBoard and the report of a run in headless Chromium (Debian: chromium, chromium-driver).
test-browser: $(VENV)/ready
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[browser]"
	$(BIN)/python -m pytest -m browser -rs tests/browser

# Changes single lines of the package on purpose and reports which changes no test notices.
test-mutations: $(VENV)/ready
	$(BIN)/python -m tests.mutations.run --report=tests/mutations/report.md

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation site, docs/_build/html/index.html. Warnings are errors.
docs: $(VENV)-docs/ready
	TF_CPP_MIN_LOG_LEVEL=3 $(VENV)-docs/bin/python -m sphinx -b html -W --keep-going --quiet docs docs/_build/html

check: lint test docs

$(VENV)/ready: setup.py $(CONSTRAINTS)
	@echo "Making $(VENV), once: pip installs 2.8 GB of packages (TensorFlow and what it needs)."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[dev]"
	touch $@

# Sphinx wants a newer typing_extensions than tf-agents pins, so that it has an environment of its
# own, which borrows the packages of the other one: a second TensorFlow takes 2.8 GB.
$(VENV)-docs/ready: docs/requirements.txt $(VENV)/ready
	$(BIN)/python -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --requirement docs/requirements.txt
	packages=$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") && \
	  cd "$$($(VENV)-docs/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")" && \
	  echo "import site; site.addsitedir('$$packages')" > borrowed.pth
	touch $@

clean:
	rm -rf .venv .venv-* build docs/_build docs/api/*.rst *.egg-info
