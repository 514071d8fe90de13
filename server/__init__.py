"""Holdfast: a self-hosted backup appliance for AWS."""

__version__ = "0.1.0"
