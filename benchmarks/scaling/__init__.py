"""What a spectrum of a large model costs on many GPUs: formulas, their tables, their check."""
