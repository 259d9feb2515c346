"""What the operator's verbs do; the CLI prints it."""
