"""What we claim about speed, runnable: ``make bench``. Each figure stands beside its yardstick, measured in turns."""
