"""A user's program, run as ``__main__`` in this process the way ``python script.py`` or ``python -m module`` would."""

from __future__ import annotations

import linecache
import os
import sys
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

import msgspec

from pyflow_yarn.errors import UserError


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: a ``script`` or else a ``module``; ``files`` are the entries of ``-pyfs``, put on the path."""

    script: str = ""
    module: str = ""
    arguments: list[str] = []
    files: list[str] = []

    def check(self, remote: bool = False) -> None:
        """A sentence if the script or one of the files cannot be read; ``remote``: they may be somewhere else."""
        if self.script and not (remote and is_remote(self.script)):
            if is_remote(self.script):
                raise UserError(f"The program '{self.script}' is not a local file: copy it to this machine first.")
            path = local_path(self.script)
            if os.path.isdir(path):
                raise UserError(f"The program '{self.script}' is a directory: name the script in it.")
            check_readable(path, f"The program '{self.script}'")
        for file in self.files:
            if remote and is_remote(file):
                continue
            check_readable(local_path(file), f"The file '{file}' given with -pyfs")

    def run(self) -> None:
        """Run it; whatever the program raises comes out, ``SystemExit`` too."""
        _put_on_path(self.files)
        if self.script:
            self._run_script()
        else:
            self._run_module()

    def _run_script(self) -> None:
        # As python does since 3.9: the path is made absolute, links are followed for the directory on the path only.
        path = os.path.abspath(local_path(self.script))
        sys.argv = [self.script, *self.arguments]
        _replace_first_path(os.path.dirname(os.path.realpath(path)))
        with open(path, "rb") as file:
            source = file.read()
        _remember_source(path, source)
        module = _fresh_main(path)
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)

    def _run_module(self) -> None:
        _replace_first_path(os.getcwd())
        name = self.module
        spec = _find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name = f"{self.module}.__main__"
            spec = _find_spec(name)
        if spec is None or spec.loader is None:
            places = ", ".join(self.files) or "the current directory"
            raise UserError(f"No module named '{self.module}' (option -pym) was found in {places}.")
        code: CodeType | None = spec.loader.get_code(spec.name) if hasattr(spec.loader, "get_code") else None
        if code is None:
            raise UserError(f"The module '{self.module}' (option -pym) has no code that could be run.")
        origin = spec.origin or self.module
        sys.argv = [origin, *self.arguments]
        module = _fresh_main(origin)
        module.__spec__ = spec
        module.__package__ = spec.parent
        module.__loader__ = spec.loader
        exec(code, module.__dict__)


def _find_spec(name: str) -> ModuleSpec | None:
    import importlib.util

    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None


def is_remote(text: str) -> bool:
    """Whether a path is one of another file system than this machine's."""
    return "://" in text and not text.startswith("file://")


def local_path(text: str) -> str:
    """A path without the scheme ``file:``."""
    if text.startswith("file://"):
        return text.removeprefix("file://")
    return text.removeprefix("file:") if text.startswith("file:/") else text


def check_readable(path: str, what: str) -> None:
    """A sentence if nothing readable is at ``path``; ``what`` begins it."""
    if not os.path.exists(path):
        raise UserError(f"{what} does not exist.")
    if not os.access(path, os.R_OK):
        raise UserError(f"{what} cannot be read: permission denied.")


def _fresh_main(path: str) -> ModuleType:
    module = ModuleType("__main__")
    module.__file__ = path
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    module.__dict__["__cached__"] = None
    sys.modules["__main__"] = module
    return module


def _remember_source(path: str, source: bytes) -> None:
    """Tracebacks show the lines that run, also if the file is changed or removed meanwhile."""
    try:
        lines = source.decode("utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError:
        return  # it declares another encoding: read again when a traceback needs it
    linecache.cache[path] = (len(source), None, lines, path)


def _replace_first_path(directory: str) -> None:
    """Put the program's directory where python puts it; our own start (``-P -m``) put nothing there."""
    if not sys.flags.safe_path and sys.path:
        sys.path[0] = directory
    else:
        sys.path.insert(0, directory)


def _put_on_path(files: list[str]) -> None:
    """Make the entries of ``-pyfs`` importable: directories and archives as path entries, single modules by name."""
    modules = {}
    for file in files:
        path = os.path.abspath(local_path(file))
        if path.endswith(".py") and os.path.isfile(path):
            modules[os.path.basename(path).removesuffix(".py")] = path
        elif path not in sys.path:
            sys.path.insert(1, path)
    if modules:
        sys.meta_path.append(SingleModules(modules))


class SingleModules:
    """Finds modules given as single files, without making their neighbours importable."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = paths

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of one of the files, else None."""
        import importlib.util

        file = self.paths.get(name)
        return None if file is None else importlib.util.spec_from_file_location(name, file)
