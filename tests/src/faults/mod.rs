//! Faults at every task of every state machine: what is injected, what must come of it, and how that is looked at.
//!
//! The plan is made from the machines as they are written, so a new state is in it the day it is added.

mod fault;
#[cfg(feature = "engine")]
mod lane;
#[cfg(feature = "engine")]
mod oracle;
mod plan;
mod runs;
mod table;

pub use fault::{Fault, ONLY_SOMEWHERE, Times};
#[cfg(feature = "engine")]
pub use lane::Lane;
pub use plan::{Case, Consequence, Plan, Target, plan};
pub use runs::{End, REJECTED, ROLLED_BACK, Run, Way};
