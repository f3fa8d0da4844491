"""Sphinx configuration."""

from importlib.metadata import version as installed_version

project = "harness"
project_copyright = "the harness contributors"
version = release = installed_version("vision-harness")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"harness {release}"
