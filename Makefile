# Tasks. Each makes the virtual environment that it needs first; VENV and PYTHON can be set from outside:
#   make test PYTHON=python3.12 VENV=/tmp/venv
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SOURCES = $(shell find src/calotype -type f -not -path '*/__pycache__/*')
NATIVE = pyproject.toml CMakeLists.txt $(wildcard native/*.cpp native/*.hpp native/*.inl)

.PHONY: help demo setup test tests nightly lint format bench docs sanitize clean

help:
	@echo "make demo      install the codec and compare it with JPEG and AVIF on a photograph"
	@echo "make setup     install everything that developers need into $(VENV)"
	@echo "make test      setup, lint, and the tests: some minutes on two cores"
	@echo "make tests     the tests alone"
	@echo "make nightly   the tests that make test leaves out: training, further variants, more examples"
	@echo "make lint      ruff, mypy --strict, import contracts"
	@echo "make format    format the code"
	@echo "make bench     speed and size of the entropy coder, beside a peer"
	@echo "make docs      the documentation site, in build/docs: minutes, as it runs the notebooks"
	@echo "make sanitize  the entropy coder under sanitizers and a fuzzer"
	@echo "make clean     remove environments, builds and caches"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The codec alone: a few seconds, no PyTorch.
$(VENV)/.codec: $(BIN)/python $(NATIVE) $(SOURCES)
	$(BIN)/python -m pip install -q .
	@touch $@

# The codec, laboratory, benchmark and tools, editable.
$(VENV)/.setup: $(BIN)/python $(NATIVE) constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev,lab,bench,docs,web]"
# ColorVideoVDP, without its dependencies (torchvision, which would bring another torch); the metric says when it lacks.
	-$(BIN)/python -m pip install -q --no-deps --only-binary :all: "cvvdp>=0.5.7,<0.6"
# A peer for the laboratory's parity tests, without its dependencies (torchvision, numpy<2); no wheel, no parity tests.
	-$(BIN)/python -m pip install -q --no-deps --only-binary :all: "compressai>=1.2.8,<1.3"
	@touch $@ $(VENV)/.codec

demo: $(VENV)/.codec
	$(BIN)/calotype demo

setup: $(VENV)/.setup

# A thread each: as many tests as there are cores run side by side. Bytecode is kept even where the environment says
# otherwise: else each of them, and each process that a test starts, compiles all it imports.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

# Lint, which uses one core, beside the tests.
test: setup
	$(MAKE) --no-print-directory -j2 lint tests

tests: setup
	$(PYTEST) -m "not slow"

# And more examples of what is tested with made-up ones: the coder, the files, the windows.
nightly: setup
	$(PYTEST) -m slow
	CALOTYPE_EXAMPLES=400 $(PYTEST) -m "not slow" tests/coder tests/bitstream tests/codec/test_windows.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python benchmarks/coder.py

# CALOTYPE_DOCS=quick leaves out running the notebooks and counting the multiplications of the published systems.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q
	@echo "build/docs/index.html"

sanitize: setup
	PATH="$(abspath $(BIN)):$$PATH" native/sanitize.sh

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
