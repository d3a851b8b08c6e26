"""Events or a state in, something to read out. Each report is a file; none knows another."""
