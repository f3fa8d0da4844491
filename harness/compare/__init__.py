"""Two runs beside each other. Importing this package imports none of its modules: the terminal needs the wording."""
