"""Whether an operator may yield records with tags: only then are its records looked at one by one."""

from __future__ import annotations

import sys

from pyflow_yarn.datastream.output_tag import OutputTag

_OURS = ("pyflow_yarn", "pyflow_runtime")


def may_yield_tags(has_sides: bool, pickled: bytes) -> bool:
    """Whether somebody takes a side output, or the function could yield a tag that nobody takes.

    A tag can reach a function from any module and helper. So the question is whether this process has one, or code that
    could make one: the function itself, whose pickle then names the class, or a module that has imported the class.
    """
    return has_sides or OutputTag.exists or OutputTag.__name__.encode() in pickled or _imported()


def _imported() -> bool:
    modules = ((name.partition(".")[0], module) for name, module in list(sys.modules.items()))
    return any(
        getattr(module, "__dict__", {}).get(OutputTag.__name__) is OutputTag
        for package, module in modules
        if package not in _OURS
    )
