"""The files that travel with an application on YARN."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from pyflow_yarn.client.application import PROGRAM_ARCHIVE, PROGRAM_FOLDER
from pyflow_yarn.client.blobs import Blob, directory_blob, file_blob, zip_blob
from pyflow_yarn.client.launch import Launch
from pyflow_yarn.client.program import Program, check_readable, is_remote, local_path
from pyflow_yarn.client.sources import local_modules
from pyflow_yarn.configuration.options import (
    PYTHON_ARCHIVES,
    PYTHON_FILES,
    PYTHON_REQUIREMENTS,
    YARN_SHIP_ARCHIVES,
    YARN_SHIP_FILES,
)
from pyflow_yarn.deployment.yarn.container_python import requirements_are_packed
from pyflow_yarn.deployment.yarn.staging import Staging
from pyflow_yarn.errors import ConfigurationError, UserError
from pyflow_yarn.yarn import LocalFile

ARCHIVES = (".tar.gz", ".tar", ".tgz", ".dst", ".jar", ".zip")


def shared_files(staging: Staging, configuration: Mapping[str, str]) -> dict[str, LocalFile]:
    """What ``yarn.ship-files`` and ``yarn.ship-archives`` lay into every container."""
    shipment = Shipment(staging)
    for entry in YARN_SHIP_FILES.read(configuration) or ():
        shipment.ship(entry)
    for entry in YARN_SHIP_ARCHIVES.read(configuration) or ():
        if not entry.endswith(ARCHIVES):
            raise ConfigurationError(
                f"'{entry}' in {YARN_SHIP_ARCHIVES.key} is no archive: its name has to end with {', '.join(ARCHIVES)}."
            )
        shipment.ship(entry, archive=True)
    return shipment.files


class Shipment:
    """Files of a user, staged, by their names in the container that they travel to."""

    def __init__(self, staging: Staging) -> None:
        self.files: dict[str, LocalFile] = {}
        self._staging = staging

    def launch(self, program: Program, configuration: Mapping[str, str]) -> Launch:
        """What the program is there: its script with the modules beside it, and what the options name."""
        script = self._script(program.script) if program.script else ""
        files = [self.ship(entry) for entry in program.files]
        return Launch(
            program=Program(script=script, module=program.module, arguments=program.arguments, files=files),
            configuration=self._configuration(configuration),
        )

    def _script(self, script: str) -> str:
        if is_remote(script):
            return self.ship(script)
        path = os.path.abspath(local_path(script))
        name = os.path.basename(path)
        self.files[PROGRAM_ARCHIVE] = self._stage(zip_blob({name: path, **local_modules(path)}), PROGRAM_ARCHIVE)
        return f"{PROGRAM_FOLDER}/{name}"

    def _configuration(self, configuration: Mapping[str, str]) -> dict[str, str]:
        result = dict(configuration)
        for option in (PYTHON_FILES, PYTHON_ARCHIVES):
            entries = [entry.strip() for entry in (option.read(configuration) or "").split(",")]
            if any(entries):
                result[option.key] = ",".join(self._entry(entry) for entry in entries if entry)
        if requirements_are_packed(configuration):
            del result[PYTHON_REQUIREMENTS.key]
        elif requirements := PYTHON_REQUIREMENTS.read(configuration):
            file, separator, packages = requirements.partition("#")
            result[PYTHON_REQUIREMENTS.key] = f"{self.ship(file)}{separator}{packages and self.ship(packages)}"
        return result

    def _entry(self, entry: str) -> str:
        path, separator, name = entry.partition("#")
        return f"{self.ship(path)}{separator}{name}"

    def ship(self, entry: str, archive: bool = False) -> str:
        """A file or folder, local or not, by its name in the container; ``archive``: unpacked there."""
        path = local_path(entry).rstrip("/")
        name = os.path.basename(path)
        if is_remote(path):
            file = LocalFile(path, archive=archive)
        elif os.path.isdir(path):
            file = replace(self._stage(directory_blob(path), f"{name}.zip"), archive=True)
        else:
            check_readable(path, f"The file '{entry}' to ship")
            file = replace(self._stage(file_blob(path), name), archive=archive)
        if self.files.setdefault(name, file) != file:
            raise UserError(f"Two different files are called {name}, but they travel to one folder: rename one.")
        return name

    def _stage(self, blob: Blob, name: str) -> LocalFile:
        return self._staging.stage(blob, name)
