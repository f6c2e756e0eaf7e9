# Shortcuts; nothing here is needed. bin/run-tests is what counts.

.PHONY: test fast lint bench clean

test:
	bin/run-tests

fast:
	bin/run-tests --fast

lint:
	bin/run-tests --no-tests

bench:
	bin/flink --version
	.pyflow/$$(cat .pyflow/current)/bin/python benchmarks/run.py

clean:
	rm -rf .pyflow build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
