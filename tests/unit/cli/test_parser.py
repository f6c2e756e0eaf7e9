"""How a command line is taken apart: Flink's rules, its mistakes included."""

from __future__ import annotations

import pytest

from pyflow_yarn.cli.flavours import flavour_configuration
from pyflow_yarn.cli.options import ACTIONS, FLAVOURS, GENERAL
from pyflow_yarn.cli.parser import ArgumentError, CommandLine, parse


def parsed(action: str, *words: str) -> CommandLine:
    every = (*GENERAL, *ACTIONS[action].options, *(option for flavour in FLAVOURS.values() for option in flavour))
    return parse(every, words, ACTIONS[action].stops_at_non_option)


@pytest.mark.parametrize(
    ("words", "values", "arguments"),
    [
        (["-py", "a.py", "x", "-y"], {"py": ["a.py"]}, ["x", "-y"]),
        (["--python", "a.py"], {"py": ["a.py"]}, []),
        (["--python=a.py"], {"py": ["a.py"]}, []),
        (["-python", "a.py"], {"py": ["a.py"]}, []),
        (["-py=a.py"], {"py": ["a.py"]}, []),
        (["-pyfs", "a,b", "-pym", "m"], {"pyfs": ["a,b"], "pym": ["m"]}, []),
        (["-pyclientexec", "p", "-pyexec", "q", "-pyreq", "r", "-pyarch", "s"],
         {"pyclientexec": ["p"], "pyexec": ["q"], "pyreq": ["r"], "pyarch": ["s"]}, []),
        (["-p", "4", "a.py"], {"p": ["4"]}, ["a.py"]),
        (["-p4", "a.py"], {"p": ["4"]}, ["a.py"]),
        (["-p=4", "a.py"], {"p": ["4"]}, ["a.py"]),
        (["--parallelism", "4", "a.py"], {"p": ["4"]}, ["a.py"]),
        (["--para", "4", "a.py"], {"p": ["4"]}, ["a.py"]),
        (["-p", "-4", "a.py"], {"p": ["-4"]}, ["a.py"]),
        (["-Da=b", "-D", "c=d=e", "-Df", "a.py"], {"D": ["a=b", "c=d=e", "f"]}, ["a.py"]),
        (["-yDa=b", "-yD", "c=d"], {"yD": ["a=b", "c=d"]}, []),
        (["-sae", "-d", "a.py"], {"sae": [], "d": []}, ["a.py"]),
        (["a.py", "-p", "4"], {}, ["a.py", "-p", "4"]),
        (["--", "-p", "4"], {}, ["-p", "4"]),
        (["-d", "--", "a.py", "--", "x"], {"d": []}, ["a.py", "--", "x"]),
        (["--nonsense", "x"], {}, ["--nonsense", "x"]),
        (["-m", "yarn-cluster", "-ys", "4", "-ynm", "n", "-yjm", "1024m", "-ytm", "1g", "-yqu", "q", "a.py"],
         {"m": ["yarn-cluster"], "ys": ["4"], "ynm": ["n"], "yjm": ["1024m"], "ytm": ["1g"], "yqu": ["q"]}, ["a.py"]),
        (["-t", "yarn-application", "-ys", "4", "-p", "4", "-sae", "-Dyarn.application.queue=q", "-py", "s.py", "a"],
         {"t": ["yarn-application"], "ys": ["4"], "p": ["4"], "sae": [], "D": ["yarn.application.queue=q"],
          "py": ["s.py"]}, ["a"]),
        (["-a", "x", "y"], {"a": ["x", "y"]}, []),
        (["-py", "a.py", "-"], {"py": ["a.py"]}, ["-"]),
        (["-py", "a.py", ""], {"py": ["a.py"]}, [""]),
    ],
)  # fmt: skip
def test_run_is_parsed_like_the_reference_system(
    words: list[str], values: dict[str, list[str]], arguments: list[str]
) -> None:
    line = parsed("run", *words)
    assert line.values == values
    assert line.arguments == arguments


@pytest.mark.parametrize(
    ("action", "words", "values", "arguments"),
    [
        ("list", ["-rs"], {"r": [], "s": []}, []),
        ("list", ["--all", "-m", "h:1"], {"a": [], "m": ["h:1"]}, []),
        ("cancel", ["-s", "dir", "id"], {"s": ["dir"]}, ["id"]),
        ("cancel", ["-s"], {"s": []}, []),
        ("cancel", ["id", "-m", "h:1"], {"m": ["h:1"]}, ["id"]),
        ("stop", ["-p", "dir", "-d", "id"], {"p": ["dir"], "d": []}, ["id"]),
        ("stop", ["-type", "native", "-detached", "id"], {"type": ["native"], "dcp": []}, ["id"]),
        ("savepoint", ["-d", "path"], {"d": ["path"]}, []),
        ("checkpoint", ["--full", "id"], {"full": []}, ["id"]),
        ("checkpoint", ["-full", "id"], {"full": []}, ["id"]),
    ],
)
def test_other_actions_take_options_anywhere(
    action: str, words: list[str], values: dict[str, list[str]], arguments: list[str]
) -> None:
    line = parsed(action, *words)
    assert (line.values, line.arguments) == (values, arguments)


@pytest.mark.parametrize(
    ("action", "words", "message"),
    [
        ("run", ["-p"], "Missing argument for option: p"),
        ("run", ["-p", "-d", "a.py"], "Missing argument for option: p"),
        ("run", ["-py"], "Missing argument for option: py"),
        ("list", ["--x"], "Unrecognized option: --x"),
        ("list", ["-q"], "Unrecognized option: -q"),
        ("list", ["--all=yes"], "Unrecognized option: --all=yes"),
    ],
)
def test_what_cannot_be_parsed(action: str, words: list[str], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parsed(action, *words)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("word", "name"), [("--pyA", "pyarch"), ("--pyR", "pyreq"), ("--pyE", "pyexec"), ("-pyC", "pyclientexec")]
)
def test_long_names_may_be_abbreviated(word: str, name: str) -> None:
    assert parsed("run", word, "x").values == {name: ["x"]}


def test_an_ambiguous_abbreviation_lists_what_it_could_be() -> None:
    with pytest.raises(ArgumentError, match=r"Ambiguous option: '--py'  \(could be: '"):
        parsed("run", "--py", "x")


def test_properties_without_a_value_mean_true() -> None:
    from pyflow_yarn.cli.options import DYNAMIC_PROPERTY

    assert parsed("run", "-Da=b=c", "-Dd").properties(DYNAMIC_PROPERTY) == {"a": "b=c", "d": "true"}


@pytest.mark.parametrize(("value", "size"), [("1024", "1024m"), ("1024m", "1024m"), ("1g", "1g")])
def test_memory_on_yarn_is_in_megabytes_unless_it_has_a_unit(value: str, size: str) -> None:
    line = parsed("run", "-m", "yarn-cluster", "-yjm", value, "-ytm", value)
    configuration, _ = flavour_configuration(line, {})
    assert configuration["jobmanager.memory.process.size"] == size
    assert configuration["taskmanager.memory.process.size"] == size


_LEGACY = "-ys 4 -ynm name -yjm 1024m -ytm 2048 -yqu q -yt lib"
_MEANT = {
    "taskmanager.numberOfTaskSlots": "4",
    "yarn.application.name": "name",
    "jobmanager.memory.process.size": "1024m",
    "taskmanager.memory.process.size": "2048m",
    "yarn.application.queue": "q",
    "yarn.ship-files": "lib",
}


@pytest.mark.parametrize("target", ["yarn-application", "yarn-per-job", "YARN-Session"])
def test_old_yarn_options_count_beside_a_target_and_it_is_said(target: str) -> None:
    """What schedulers write, and what Flink itself leaves out of account."""
    line = parsed("run", *_LEGACY.split(), "-t", target, "-p", "4", "-sae", "job.py")
    sentence = "Flink ignores -yjm, -ynm, -yqu, -ys, -yt, -ytm where a target is named; here this sets {}."
    configuration, (warning,) = flavour_configuration(line, {})
    assert configuration == {**_MEANT, "execution.target": target}
    keys = [
        "jobmanager.memory.process.size",
        "yarn.application.name",
        "yarn.application.queue",
        "taskmanager.numberOfTaskSlots",
        "yarn.ship-files",
        "taskmanager.memory.process.size",
    ]
    assert warning == sentence.format(", ".join(keys))


def test_old_yarn_options_count_with_a_configured_target() -> None:
    configuration, (warning,) = flavour_configuration(
        parsed("run", "-ynm", "name", "job.py"), {"execution.target": "yarn-application"}
    )
    assert configuration == {"yarn.application.name": "name"}
    assert warning == "Flink ignores -ynm where a target is named; here this sets yarn.application.name."


def test_old_yarn_options_are_the_flavour_of_yarn_cluster() -> None:
    line = parsed("run", "-m", "yarn-cluster", *_LEGACY.split(), "job.py")
    assert flavour_configuration(line, {}) == ({**_MEANT, "execution.target": "yarn-application"}, [])


def test_a_key_is_stronger_than_the_old_option_for_it() -> None:
    line = parsed("run", "-m", "yarn-cluster", "-yqu", "q", "-yD", "a=1", "-Dyarn.application.queue=k", "job.py")
    configuration, _ = flavour_configuration(line, {})
    assert (configuration["yarn.application.queue"], configuration["a"]) == ("k", "1")
