//! The audit document of a promotion.
