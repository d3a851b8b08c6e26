"""A kind, a provider and a reporter for recipe-runner, to start from."""
