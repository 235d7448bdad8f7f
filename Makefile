# Two targets are for everybody: `make demo` and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed-run
DEV    := $(VENV)/.installed-dev
META   := pyproject.toml setup.py $(wildcard kernprof/timing/core/*)

.PHONY: demo test test-gpu lint format types bench validate validate-code validate-damage sanitize docs clean

demo: $(RUN)
	@$(BIN)/kernprof stalls traces/paper-table5-p100.nvprof.csv
	@echo
	@$(BIN)/kernprof network mobilenet --launches
	@echo
	@echo "A depthwise layer on a Tesla P100 as Caffe runs it, then as one direct kernel a pass:"
	@$(BIN)/kernprof layer --type depthwise --pass both
	@$(BIN)/kernprof layer --type depthwise --pass both --lowering direct

test: $(DEV)
	$(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

# On a machine with an NVIDIA GPU; needs what the extra [gpu] installs.
test-gpu: $(DEV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[gpu]'
	$(BIN)/python -m pytest -m gpu $(PYTEST_ARGS)
	$(BIN)/kernprof doctor --gpu

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV)
	$(BIN)/mypy

bench: $(DEV)
	$(BIN)/python -m benchmarks

# REPORTS is a folder with the public reports that validation/cases.toml lists.
validate: $(DEV)
	@test -n "$(REPORTS)" || { echo "make validate REPORTS=FOLDER: the reports of validation/cases.toml"; exit 2; }
	$(BIN)/python -m validation "$(REPORTS)" -o docs/accuracy.md --record kernprof/timing/data/accuracy.toml

# Long runs: thousands of generated programs and damaged cubins in the simulator.
# Then 20,000 variants of machine code with fields of instructions and of the file changed.
validate-code: $(DEV)
	$(BIN)/python -m pytest -n auto -m validate $(PYTEST_ARGS)
	$(BIN)/python -m validation.machine_code --count 20000 --jobs 2

# The timing core built with gcc's sanitizers: changed inputs, then its tests. VARIANTS and SEED say
# which inputs.
CORE      := kernprof/timing/core
SANITIZED := build/sanitize
SANITIZER := -std=c++17 -O1 -g -Wall -Wextra -fsanitize=address,undefined \
             -fno-sanitize-recover=all -fno-omit-frame-pointer
VARIANTS  ?= 20000
SEED      ?= 1
sanitize: $(DEV)
	@mkdir -p $(SANITIZED)
	$(CXX) $(SANITIZER) -o $(SANITIZED)/core_fuzz tests/timing/core_fuzz.cpp $(CORE)/*.cpp
	$(SANITIZED)/core_fuzz $(VARIANTS) $(SEED)
	$(CXX) $(SANITIZER) -shared -fPIC -o $(SANITIZED)/core.so $(CORE)/*.cpp
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 KERNPROF_TEST_CORE=$(CURDIR)/$(SANITIZED)/core.so \
	  $(BIN)/python -m pytest -n 0 tests/timing

# Ten thousand damaged reports: how many are refused, read whole, or lose something, told or not.
# REPORTS, a folder of reports that are damaged too, can be left out.
validate-damage: $(DEV)
	$(BIN)/python -m validation.damage $(if $(REPORTS),--reports "$(REPORTS)") --count 10000 -o docs/damage.md

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "kernprof needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 4; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "could not make $(VENV): on Debian, apt-get install python3-venv"; exit 4; }

$(RUN): $(META) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[pascal]'
	@touch $@

$(DEV): $(META) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(RUN)

docs: $(DEV)
	$(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
