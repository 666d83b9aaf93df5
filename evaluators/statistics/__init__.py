"""Statistics of per-sample scores: errors, intervals, paired differences, signal and noise, the split."""
