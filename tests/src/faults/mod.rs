//! Faults at every task of every state machine: what is injected, what must come of it, and how that is looked at.
//!
//! The plan is made from the machines as they are written, so a new state is in it the day it is added.

#[cfg(feature = "engine")]
mod lane;
#[cfg(feature = "engine")]
mod oracle;
mod plan;
mod runs;
mod table;

#[cfg(feature = "engine")]
pub use lane::Lane;
pub use plan::{Case, Consequence, Fault, ONLY_SOMEWHERE, Plan, Target, Times, plan};
pub use runs::Run;
