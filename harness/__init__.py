"""Conformance and benchmark test harness for hosted image-generation APIs."""

__version__ = "0.1.0"
