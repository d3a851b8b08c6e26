# Two commands for everybody: `make demo` and `make test`. Everything else is for those who change the code.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs reference bench bench-peers schema starters clean

demo: .venv/installed
	@$(BIN)/runner run pipelines/product-card.yaml --local

test: .venv/tested
	$(BIN)/python -m pytest -n auto --dist worksteal

check: .venv/tested
	scripts/check

docs: .venv/documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict # with --quiet it would hear no warning

reference: .venv/tested
	$(BIN)/python -m scripts.reference

bench: .venv/tested
	$(BIN)/python -m benchmarks

bench-peers: .venv/tested .venv-peers/installed
	$(BIN)/python -m benchmarks.peers

schema: .venv/installed
	$(BIN)/runner schema > schemas/pipeline.schema.json
	$(BIN)/runner schema test > schemas/test.schema.json
	$(BIN)/runner schema event > schemas/event.schema.json
	$(BIN)/runner explain --markdown > docs/problems.md

starters:
	cp pipelines/*.yaml runner/starters/
	cp -r pipelines/pictures runner/starters/

clean:
	rm -rf .venv .venv-peers .runner out dist site

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/tested: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch .venv/installed $@

.venv/documented: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch .venv/installed $@

.venv-peers/installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	@touch $@
