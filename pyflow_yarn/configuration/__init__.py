"""Configuration: typed options, and where their values come from."""
