"""The head of a source chain. Its records come from a reader, which the task drives."""

from __future__ import annotations

from pyflow_runtime.operators.codegen import LoopWriter, Origin
from pyflow_runtime.operators.operator import Operator, TaskContext
from pyflow_yarn.graph.job_graph import OperatorNode
from pyflow_yarn.graph.operators import SourceOperator


class SourceHead(Operator):
    """Stands for the source in the chain: batches enter the loop as its output."""

    def __init__(self, index: int, node: OperatorNode, definition: SourceOperator, task: TaskContext) -> None:
        super().__init__(index, node, task)
        self.definition = definition

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """A source has no input."""
        raise AssertionError("a source was given a record")
