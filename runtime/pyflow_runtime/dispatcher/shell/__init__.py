"""The outside world of the control plane: its process, sessions, stores, coordinators and clock."""
