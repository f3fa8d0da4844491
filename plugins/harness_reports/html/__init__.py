"""One self-contained HTML file: tables, plots and pictures of a run."""
