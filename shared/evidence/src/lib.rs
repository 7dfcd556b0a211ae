//! Observations, tallies, pairs, summaries and the comparison report.
