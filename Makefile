# make demo: set up and run the main job.  make test: set up and run the tests.  Both can be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test test-arm64 lint pins clean

help:
	@echo "make demo    set up, then search, train, measure and plot on this machine (minutes)"
	@echo "make test    set up, then run the tests"
	@echo "make test-arm64  as root, slow: make an arm64 userland under build/, set it up as a board, measure on it"
	@echo "make lint    set up, then ruff, mypy and the import contracts"
	@echo "make pins    set up, then show that the pins resolve for every supported Python"
	@echo "make setup   only make $(VENV) and install"
	@echo "make clean   remove $(VENV) and caches (runs/ stays)"

setup: $(STAMP)

$(STAMP): requirements.txt setup.py
	@$(PYTHON) -c 'import sys' 2>/dev/null || { echo "make: '$(PYTHON)' was not found: install Python 3.11, 3.12 or 3.13, or run make PYTHON=/path/to/python"; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else "make: %s is Python %d.%d; mnas needs 3.11, 3.12 or 3.13 (TensorFlow has no wheel for others): install one of them and run make PYTHON=python3.13" % (sys.executable, v[0], v[1]))'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) lacks its venv module: on Debian and Ubuntu run 'apt-get install python3-venv', then make again"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/mnas demo

# two at a time: most tests wait for devices. What is measured in them takes turns by itself
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-arm64: $(STAMP)
	nice -n 19 tests/devices/arm64/make_root build/arm64/root
	MNAS_ARM64_ROOT=$(CURDIR)/build/arm64/root $(BIN)/python -m pytest -m arm64 tests/devices/arm64

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# adb-shell is published as a source archive only, pure Python for all of them: pip resolves other versions from wheels
pins: $(STAMP)
	@mkdir -p build && grep -v '^adb-shell==' requirements.txt >build/pins.txt
	@for version in 3.11 3.12 3.13; do \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed \
			--python-version $$version --only-binary=:all: --target build/pins -r build/pins.txt \
			&& echo "requirements.txt resolves for Python $$version" || exit 1; \
	done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
