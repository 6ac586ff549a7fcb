"""What exchanges say in numbers: durations, quantiles, cost, coverage."""
