"""Deployment on YARN."""
