# make demo   everything once: synthetic clinic, train, approve, serve, rank, stop
# make test   all tests, with style, types and layers (at most 10 minutes)
# make prove  the long tests and the experiments
# make check  style, types and layers only
# make serve  the HTTP API on the demo's clinic and model
# make clean  remove the environment and everything made at run time
# make lock   resolve the dependencies again

PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test prove check serve clean lock
.DEFAULT_GOAL := demo

define PREFLIGHT
import ctypes.util, importlib.util, sys
missing = []
if sys.version_info < (3, 11):
    missing.append("Python 3.11 or newer (this is %d.%d; name another: make PYTHON=python3.12)" % sys.version_info[:2])
if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
    missing.append("Python's venv module (Debian, Ubuntu: apt-get install python3-venv)")
if sys.platform == "linux" and ctypes.util.find_library("gomp") is None:
    missing.append("the library libgomp, which LightGBM needs (Debian, Ubuntu: apt-get install libgomp1; Fedora: dnf install libgomp)")
if sys.platform == "darwin" and ctypes.util.find_library("omp") is None:
    missing.append("the library libomp, which LightGBM needs (brew install libomp)")
sys.exit("".join("missing: %s\n" % one for one in missing) or 0)
endef
export PREFLIGHT

.venv/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON) (Python 3.11 or newer)"; exit 1; }
	@$(PYTHON) -c "$$PREFLIGHT"
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.lock pyproject.toml | .venv/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: .venv/run.stamp
	$(BIN)/therapist-fit demo

serve: .venv/run.stamp
	@test -d var/demo/bundle || $(BIN)/therapist-fit demo
	cd var/demo && ../../$(BIN)/therapist-fit serve --settings settings.toml --data clinic

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest -n 2 --dist worksteal

prove: .venv/dev.stamp
	$(BIN)/python -m pytest -m prove
	$(BIN)/therapist-fit experiment literature
	$(BIN)/therapist-fit experiment counsel_chat
	$(BIN)/therapist-fit experiment schizophrenia_trials
	$(BIN)/therapist-fit experiment nhanes_phq9
	$(BIN)/therapist-fit experiment obd_small

clean:
	rm -rf .venv var dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: .venv/dev.stamp
	$(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements-dev.lock
