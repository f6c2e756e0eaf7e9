"""Files that travel with jobs, named by the sha256 of their content."""
