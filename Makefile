# `make run` shows Plimsoll, `make test` proves it, `make check` is the developer's loop.
# Everything is installed into .venv; a machine needs Python 3.11 (with venv) and make, and for what runs compiled
# (`make compiled`, which `make test` and `make bench` ask for) gcc and Python's headers.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
TOOLS := $(VENV)/.tools
SITE := $(VENV)/.site

.PHONY: install run check test deps compiled pure unit unit-compiled same server registry package chart e2e bench lint types \
  layers lock golden generated manifests fields tutorial docs clean

# what runs plain and what runs compiled follow each other, in one tree
.NOTPARALLEL:

install: $(RUNTIME)

run: $(RUNTIME)
	$(BIN)/plimsoll certs certs
	$(BIN)/python samples/show.py

# in plain Python: what is typed is what is tested
check: $(TOOLS) pure lint types layers unit

# first in plain Python, then compiled, as it is shipped
test: check tutorial docs deps compiled unit-compiled same server registry package chart e2e

# what mypyc compiles, put beside its source: all that is run from here runs compiled, until a source changes
compiled: $(TOOLS)
	$(BIN)/python -m tools.compiled

# takes it away again
pure:
	$(PYTHON) -m tools.compiled --remove

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TOOLS)
	$(BIN)/mypy

layers: $(TOOLS)
	$(BIN)/lint-imports

unit: $(TOOLS)
	$(BIN)/pytest -q -n auto tests/unit

# the units that are compiled, and whole commands with what they print
unit-compiled: $(TOOLS) compiled
	$(BIN)/pytest -q -n auto tests/unit/model tests/unit/checks tests/unit/engine tests/unit/packs tests/unit/web \
	  tests/unit/observe tests/unit/test_shelf.py \
	  tests/unit/cli/test_golden.py tests/unit/cli/test_markdown.py tests/unit/cli/test_check.py

# compiled and plain code decide the same about some thousands of reviews, most of them malformed
same: $(TOOLS) compiled
	$(BIN)/pytest -q tests/compiled

server: $(TOOLS)
	$(BIN)/pytest -q tests/server

# a real image registry, and one with faults, that the tests of images ask
registry: $(TOOLS)
	$(BIN)/python tests/registry/install.py
	$(BIN)/pytest -q tests/registry

# the wheel, installed and used as a user does
package: $(TOOLS)
	$(BIN)/pytest -q tests/package

# the Helm chart, rendered by Helm 3 and 4
chart: $(TOOLS)
	$(BIN)/python tests/helm/helm.py
	$(BIN)/pytest -q tests/chart

e2e: $(TOOLS) deps
	$(BIN)/pytest -q tests/e2e

# the control plane of the end-to-end tests and Helm 3 and 4, built once from Go modules, and an image registry, Debian's
# package unpacked; all are cached outside of the tree
deps: $(TOOLS)
	$(BIN)/python tests/registry/install.py
	$(BIN)/python tests/controlplane/build.py
	$(BIN)/python tests/helm/helm.py
	$(BIN)/python tests/helm/crds.py

# what a review costs, compiled: `make bench BENCH="--quick --only core,denied"` takes a minute (bench/README.md)
bench: $(TOOLS) compiled
	$(BIN)/python -m bench $(BENCH)

# read the difference before you commit it
golden: $(TOOLS) deps
	$(BIN)/pytest -q --golden tests/unit/cli/test_golden.py tests/e2e/test_apply.py

# the pages of docs/checks, the schemas for editors and parts of the chart, from the code itself
generated: $(TOOLS)
	$(BIN)/python docs/generate.py

# the chart's manifests for those who have no Helm
manifests: generated
	$(BIN)/python docs/chart.py "$$($(BIN)/python tests/helm/helm.py | sed -n 's/^helm4\t//p')"

# which fields the kinds of Kubernetes have, for `plimsoll lint`, from the module of the tests' control plane
fields: $(TOOLS)
	$(BIN)/python tests/controlplane/fields.py

# follows the tutorial and the how-to pages as a reader does, and compares what is printed; the tutorial itself installs
tutorial:
	$(PYTHON) docs/follow.py

# the site of docs/, in build/site; a link that leads nowhere fails
docs: $(SITE)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q

lock: $(TOOLS)
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  pyproject.toml --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  --group build -c requirements-dev.lock -o requirements-build.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  --group docs -c requirements-dev.lock -o requirements-docs.lock

$(RUNTIME): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Plimsoll needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

$(TOOLS): $(RUNTIME) requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

$(SITE): $(RUNTIME) requirements-docs.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-docs.lock
	touch $@

clean: pure
	rm -rf $(VENV) certs build dist
