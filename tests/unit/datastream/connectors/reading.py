"""Reads a source as a worker and a coordinator would, in one thread."""

from __future__ import annotations

from typing import Any

from pyflow_yarn.datastream.source import EndOfInput, ReaderContext, Source


def read_all(source: Source[Any], parallelism: int = 1, max_records: int = 4096) -> list[list[Any]]:
    """The records of each subtask; splits are handed out in turn."""
    enumerator = source.create_enumerator(parallelism)
    if enumerator is not None:
        enumerator.open()
    readers = [source.create_reader(ReaderContext(subtask, parallelism)) for subtask in range(parallelism)]
    records: list[list[Any]] = [[] for _ in readers]
    waiting = list(range(parallelism))
    try:
        while waiting:
            subtask = waiting.pop(0)
            reader = readers[subtask]
            try:
                batch = reader.read_batch(max_records)
            except EndOfInput:
                continue
            if batch is None:
                assert enumerator is not None
                split = enumerator.next_split(subtask, "localhost")
                if split is None:
                    reader.no_more_splits()
                else:
                    reader.add_split(split)
            else:
                assert len(batch) <= max_records
                records[subtask].extend(batch)
            waiting.append(subtask)
    finally:
        for reader in readers:
            reader.close()
        if enumerator is not None:
            enumerator.close()
    return records
