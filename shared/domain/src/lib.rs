//! What Seatrial means by its words, and every rule that decides.
//!
//! This crate is pure: it knows no AWS SDK, no clock, no environment and no randomness. It is given facts and returns
//! decisions; `shared/registry` carries them out. The central idea is [`change`]: each thing that can happen to a model
//! is one function from the facts to a [`change::Change`], a set of records that is committed in one transaction,
//! conditional on the revision of the model's [`head::Head`].

pub mod access;
pub mod artifact;
pub mod bound;
pub mod canonical;
pub mod change;
pub mod compliance;
pub mod flat;
pub mod gate;
pub mod head;
pub mod history;
pub mod ids;
pub mod inventory;
pub mod links;
pub mod notice;
pub mod package;
pub mod policy;
pub mod promotion;
pub mod refusal;
pub mod retention;
pub mod rights;
pub mod route;
pub mod served;
pub mod submission;
pub mod target;
pub mod task;
pub mod verdict;
pub mod version;

pub use ids::{Digest, GateId, ModelName, PromotionId, VersionName};
pub use refusal::Refusal;
pub use verdict::Verdict;
