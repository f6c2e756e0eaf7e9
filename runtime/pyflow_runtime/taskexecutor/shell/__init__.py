"""The outside world of the TaskExecutor: its process, sessions, workers, zygotes, files and clock."""
