//! Cold-start config, logs, metrics, error labels and HTTP helpers of every function.
