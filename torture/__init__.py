"""What breaks a run or an argument check, done on purpose and counted: `make torture`."""
