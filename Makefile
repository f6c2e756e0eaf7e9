# Shortcuts; nothing here is needed. bin/run-tests is what counts.

.PHONY: test fast lint bench hadoop-up hadoop-down clean

test:
	bin/run-tests

fast:
	bin/run-tests --fast

lint:
	bin/run-tests --no-tests

bench:
	bin/flink --version
	.pyflow/$$(cat .pyflow/current)/bin/python benchmarks/run.py

# A Hadoop of your own: eval "$$(make -s hadoop-up)" leads `hadoop`, `hdfs` and `yarn` to it.
hadoop-up hadoop-down:
	@bin/flink --version >/dev/null
	@.pyflow/$$(cat .pyflow/current)/bin/python -m tests.hadoop $(@:hadoop-%=%)

clean:
	rm -rf .pyflow build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
