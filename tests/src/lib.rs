//! End-to-end and offline suites.
