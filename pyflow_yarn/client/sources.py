"""The program's own source files: modules beside the script that workers need, and the texts for tracebacks."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

from pyflow_yarn.client.failures import is_ours
from pyflow_yarn.deployment.layout import RUNTIME_PACKAGE

_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)
_OUR_PACKAGES = ("pyflow_yarn", RUNTIME_PACKAGE)


def main_file() -> str:
    """The absolute path of the script that is ``__main__``, "" if there is none (an interactive session)."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(file) if isinstance(file, str) and os.path.isfile(file) else ""


def local_modules(script: str) -> dict[str, str]:
    """The pure Python modules of the script's directory that it uses: name in an archive -> file.

    Those it has imported, and those that it or they import by a statement inside a function.
    """
    directory = os.path.dirname(os.path.realpath(script))
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and name != "__main__":
            entry = _archive_name(name, file)
            if entry and _belongs(os.path.realpath(file), directory):
                found[entry] = file
    pending = [script, *found.values()]
    while pending:
        for top in _imported_names(_read(pending.pop())):
            if top in sys.builtin_module_names or top in _OUR_PACKAGES or top in sys.stdlib_module_names:
                continue
            for entry, file in _module_files(directory, top):
                if entry not in found and os.path.realpath(file) != os.path.realpath(script):
                    found[entry] = file
                    pending.append(file)
    return found


def _archive_name(module: str, file: str) -> str:
    """Where the module stands below a path entry, "" if its file is not where its name says."""
    if not file.endswith(".py"):
        return ""
    base = module.replace(".", "/")
    path = file.replace(os.sep, "/")
    return next((name for name in (f"{base}/__init__.py", f"{base}.py") if path.endswith(f"/{name}")), "")


def _belongs(file: str, directory: str) -> bool:
    """Whether the file is the user's own: below the directory, and neither installed nor ours."""
    if not file.startswith(directory.rstrip(os.sep) + os.sep) or is_ours(file):
        return False
    installed = {"site-packages", "dist-packages"} & set(file[len(directory) :].split(os.sep))
    return not installed and not file.startswith(os.path.dirname(os.path.realpath(os.__file__)) + os.sep)


def _imported_names(source: str) -> set[str]:
    names: set[str] = set()
    for origin, listed in _IMPORT.findall(source):
        for name in [origin] if origin else listed.split(","):
            top = name.strip().partition(" ")[0].partition(".")[0]
            if top:
                names.add(top)
    return names


def _module_files(directory: str, name: str) -> Iterator[tuple[str, str]]:
    """The files of the module or package of that name in the directory."""
    single = os.path.join(directory, f"{name}.py")
    package = os.path.join(directory, name)
    if os.path.isfile(os.path.join(package, "__init__.py")):
        for folder, folders, files in os.walk(package):
            folders[:] = [entry for entry in folders if entry != "__pycache__"]
            for file in files:
                if file.endswith(".py"):
                    path = os.path.join(folder, file)
                    yield os.path.relpath(path, directory).replace(os.sep, "/"), path
    elif os.path.isfile(single):
        yield f"{name}.py", single


def source_texts(script: str, modules: dict[str, str]) -> dict[str, str]:
    """The text of every source file by the name that tracebacks use, cells of a notebook included."""
    import linecache

    texts = {file: _read(file) for file in (script, *modules.values()) if file}
    for name, entry in list(linecache.cache.items()):
        if len(entry) == 4 and name not in texts and not os.path.exists(name) and not is_ours(name):
            texts[name] = "".join(entry[2])
    return texts


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
