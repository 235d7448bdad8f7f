# Two targets are for everybody: `make demo` and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed-run
DEV    := $(VENV)/.installed-dev
META   := pyproject.toml setup.py $(wildcard building/*.py kernprof/timing/core/*)
# The versions that the tests have passed with; `make CONSTRAINTS= ...` takes the newest instead.
CONSTRAINTS ?= constraints.txt

# pip's warnings are for whoever looks for a failure, so its output is shown when there is one.
PIP  := $(BIN)/python -m pip --disable-pip-version-check
LOG  := $(VENV)/pip.log
SHOW := { cat $(LOG) >&2; echo "kernprof: pip failed, its messages are above" >&2; exit 4; }

define install
	@echo "kernprof: installing $(1) into $(VENV)" >&2
	@$(PIP) install $(addprefix -c ,$(CONSTRAINTS)) --editable '$(1)' > $(LOG) 2>&1 || $(SHOW)
endef

.PHONY: demo test test-gpu lint format types bench validate validate-code validate-damage sanitize \
        docs pictures wheel constraints clean

# A page: tests hold its width and length.
demo: $(RUN)
	@echo "1. What the paper measured of three kernels on a Tesla P100 (its Table V):"
	@$(BIN)/kernprof stalls traces/paper-table5-p100.nvprof.csv --brief
	@echo
	@echo "2. A depthwise layer as Caffe runs it, beside one direct kernel a pass (predicted, no GPU needed):"
	@$(BIN)/kernprof layer --type depthwise --pass both --against direct
	@echo
	@echo "3. To try next (without --brief and --against the tables tell more):"
	@echo "   $(BIN)/kernprof layer --type pointwise --gpu p100,a100,h100"
	@echo "   $(BIN)/kernprof network mobilenet --launches"
	@echo "   $(BIN)/kernprof doctor"

test: $(DEV)
	$(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

# On a machine with an NVIDIA GPU; needs what the extra [gpu] installs.
test-gpu: $(DEV)
	$(call install,.[gpu])
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

$(RUN): $(META) $(CONSTRAINTS) | $(BIN)/python
	$(call install,.[pascal])
	@touch $@

$(DEV): $(META) $(CONSTRAINTS) | $(BIN)/python
	$(call install,.[dev])
	@# Tests compile programs for the CPU: with a compiler from PyPI where there is none.
	@$(BIN)/python building/core_compiler.py > $(VENV)/compiler.txt
	@$(PIP) install -r $(VENV)/compiler.txt > $(LOG) 2>&1 || $(SHOW)
	@touch $@ $(RUN)

docs: $(DEV)
	$(BIN)/python -m mkdocs build --strict --quiet

# The pictures of README.md; needs Chromium.
pictures: $(DEV)
	$(BIN)/python docs/site/pictures.py

# For any Linux with glibc 2.17 (2014) or newer, whatever this machine has.
GLIBC := 2_17
wheel: | $(BIN)/python
	@rm -rf build/lib* build/bdist*
	@$(PIP) wheel --no-deps -w dist . > $(LOG) 2>&1 \
	  --config-settings=--build-option=--plat-name=manylinux_$(GLIBC)_$$(uname -m) || $(SHOW)
	@ls dist/*.whl

# Takes the newest versions of everything that developing needs; run the tests before committing it.
constraints:
	@building/constraints.sh $(PYTHON) constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
