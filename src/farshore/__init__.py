"""farshore keeps a financial transaction database alive through the loss of an AWS region, and proves it."""

__version__ = "0.1.0"
