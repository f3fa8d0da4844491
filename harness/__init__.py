"""harness: how accurate, how fast and how well explained is a vision model?"""

__version__ = "0.1.0"
