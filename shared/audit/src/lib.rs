//! The audit document of a promotion: its evidence as a PDF/A-3 that stands on its own.
