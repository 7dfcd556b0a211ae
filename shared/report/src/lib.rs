//! The review page and other views of the comparison report.
