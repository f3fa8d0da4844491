"""For plugin authors: pytest fixtures and checks of the contracts.

In a conftest.py: `pytest_plugins = ["harness.testing.fixtures"]`; in a test: `from harness.testing import conformance`.
"""
