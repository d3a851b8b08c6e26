"""Tests of pipelines: a YAML file in, cases out or every problem at once; what came of a run in, faults out."""
