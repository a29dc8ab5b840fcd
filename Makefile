# The project's commands. `make help` lists them.
PYTHON ?= python3
WORKERS ?= 4
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench
AUDIT := $(VENV)/audit
SITE := .site
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Compiled modules are kept, whatever a machine's default is: to compile the tests takes each of pytest's workers longer than to import them.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help up demo migrate check audit fix test browser load walks faults docs golden reference api bench bench-growth requirements clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(RUNTIME) ## run PostgreSQL, migrations and both services until Ctrl-C
	@exec $(BIN)/daicho up

demo: $(RUNTIME) ## the same, with realistic orders: RATE=2 a second, after BACKFILL=100000 of the past; ARGS="--seed 7"
	@exec $(BIN)/daicho demo $(if $(RATE),--rate $(RATE)) $(if $(BACKFILL),--backfill $(BACKFILL)) $(ARGS)

migrate: $(RUNTIME) ## bring the database of DAICHO_DATABASE_URL to this release's schema
	$(BIN)/daicho migrate

check: $(DEV) ## lint, format, types, import rules, container files, links in the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint --failure-threshold info Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning docs $(SITE)

audit: $(DEV) ## known holes of the pinned requirements; skipped where the data on them cannot be reached
	@test -d $(AUDIT) || $(BIN)/python -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check --quiet install pip-audit
	@$(BIN)/python -m tests.support.audit $(AUDIT)/bin/pip-audit

fix: $(DEV) ## mend what lint and format can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(DEV) ## the test suite, against a real PostgreSQL
	$(BIN)/python -m pytest -m "not load and not faults and not browser and not walks" -n $(WORKERS)

browser: $(DEV) ## the dashboard in Chromium, with 100,000 orders of history; skipped where there is no Chromium
	$(BIN)/python -m pytest -m browser -rsP --history 100000 -n 2

load: $(DEV) ## crash tests, tests at full size (320,000 commands, a log of 1,000,000 events, 1,000 streams), and whole walks: tutorial, demo, generated clients
	$(BIN)/python -m pytest -m load -rP --commands 5000 --events 1000000 --clients 1000 --streamed 10000 --kills 10
	$(BIN)/python -m pytest tests/integration/test_query_plans.py --orders 1000000 --timeout 600

walks: $(DEV) ## `daicho` as its users run it: its commands, a second aggregate, the documentation's walks, the generated clients, an upgrade, the container files' commands
	$(BIN)/python -m pytest -m "walks and not load" -n $(WORKERS)
	$(BIN)/python -m pytest -m "walks and load" -rP

faults: $(DEV) ## real processes under load and faults: a fixed seed and three at random, and builds broken on purpose
	$(BIN)/python -m pytest -m faults --session-timeout 900 $(ARGS)

docs: $(DEV) ## the documentation as a site, in .site/
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning docs $(SITE)

golden: $(DEV) ## add the golden files of new event and state schema versions
	$(BIN)/python -m tests.support.golden

reference: $(DEV) ## write the reference's pages on events and the command line anew
	$(BIN)/python -m tests.support.reference

api: $(RUNTIME) ## write the API documents of docs/api anew
	$(BIN)/daicho openapi command --output docs/api/command.openapi.json
	$(BIN)/daicho openapi query --output docs/api/query.openapi.json
	$(BIN)/daicho asyncapi --output docs/api/asyncapi.json

bench: $(BENCH) ## the benchmarks, beside floors and peers: writes docs/performance.md
	$(BIN)/python -m benchmarks --write $(ARGS)

bench-growth: $(BENCH) ## logs of 100,000 to 10,000,000 events, and an hour's worth of load: takes an hour and 20 GB
	$(BIN)/python -m benchmarks growth --write --rounds 3 $(ARGS)

requirements: $(DEV) ## pin the requirements of pyproject.toml anew
	$(PIP) install pip-tools
	for part in "dev --extra dev --extra traces --extra nats" "runtime --constraint requirements/dev.txt" "traces --extra traces --constraint requirements/dev.txt" \
	"nats --extra nats --constraint requirements/dev.txt" "image --extra nats --extra traces --constraint requirements/dev.txt" "bench --extra bench --constraint requirements/dev.txt"; do set -- $$part; out=$$1; shift; \
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host $$* --output-file requirements/$$out.txt pyproject.toml; done

clean: ## remove the environment and caches; .data/ stays
	rm -rf $(VENV) $(SITE) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (set PYTHON=)")'
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(VENV)/bin/python requirements/runtime.txt pyproject.toml
	$(PIP) install --require-hashes --requirement requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements/dev.txt
	$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

$(BENCH): $(DEV) requirements/bench.txt
	$(PIP) install --require-hashes --requirement requirements/bench.txt
	@touch $@
