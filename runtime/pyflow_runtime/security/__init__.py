"""Who belongs to a cluster of several hosts: its certificate authority, and how a process joins."""
