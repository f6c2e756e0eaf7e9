"""Operating-system processes: forking them, ending with their parents, seeing them end."""
