//! The registry: what Seatrial keeps about models, in memory and on DynamoDB.
//!
//! The rules are the domain's; this crate carries them out. [`ops`] has one operation for each thing that can happen to a
//! model: it reads the head, then what else the domain asks for, lets the domain decide, and commits the
//! [`Change`](seatrial_domain::change::Change) in one transaction that is conditional on the head's revision. On a conflict
//! it does all of that again. [`enforce`] stands between every change and the table, whoever made the change.
//!
//! # The table
//!
//! One table with the text keys `pk` and `sk`. A record is JSON in the attribute `doc`; what conditions name are attributes
//! of their own. The partitions differ by who may touch them, so that `dynamodb:LeadingKeys` in a role says the same as the
//! port in a function's signature.
//!
//! | `pk` | `sk` | what | further attributes |
//! |---|---|---|---|
//! | `MODEL#<model>` | `HEAD` | the head: route, standby, epoch, running promotion, chain's end | `revision`, `epoch` |
//! | | `VERSION#<8 digits>` | a version | `digest`, `status` |
//! | | `DIGEST#<hex>` | which version has these bytes | |
//! | | `PROMOTION#<id>` | a promotion | `status`, `epoch`, `package` |
//! | | `POLICY#<6 digits>` | a policy | `digest` |
//! | `HISTORY#<model>` | `<12 digits>` | an entry of the hash chain | `hash`, `event` |
//! | `GATE#<id>` | `GATE` | a gate and its decisions | `gate`, `kind`, `status`, `model`, `promotion`, `epoch`, `bound_package`, `bound_report`, `bound_policy`, `bound_benchmark`, `gsi1pk`, `gsi1sk` |
//! | `MODELS` | `<model>` | the list of models | `model` |
//! | `TOKEN#<gate>` | `TOKEN` | a waiting execution's task token | `token`, `expires_at_epoch` |
//! | `CAP#<hex>` | `CAP` | a link's right to decide | `gate`, `approver`, `expires_us`, `revoked`, `generation`, `used_at`, `expires_at_epoch` |
//! | `SESSION#<hex>` | `SESSION` | the login of a browser | `expires_at_epoch` |
//! | `SUBMISSION#<model>` | `<id>` | who announced a submission, and its digest | `promotion`, `expires_at_epoch` |
//! | `TALLY#<model>#<epoch>` | `<second>#<arm>#<id>` | a tally | `body`, `expires_at_epoch` |
//! | `TALLY#<model>#<epoch>#shadow` | the same | a tally of `replay` | the same |
//! | `TALLY#<model>#<epoch>#shadow-sum` | the same | a sum of these | the same |
//! | `TARGET#<model>` | `TARGET` | what a target was last seen to do; who drives it at this moment | `held_by`, `held_until_us` |
//! | `WATERMARK#<queue>` | `WATERMARK` | how far a queue is drained | `drained_us` |
//! | `ATTEMPT#<promotion>` | `<observation>` and others | a marker of a replay, a mail, a notice | `attempts`, `finished`, `expires_at_epoch` |
//!
//! The index `gsi1` lists gates: `gsi1pk` is `GATES#<status>`, `gsi1sk` is `<opened_at>#<id>`. The table's time to live is
//! `expires_at_epoch`, in seconds. Its stream tells of decided gates (items whose `sk` is `GATE`, with
//! `status` and `gate`) and of new entries of histories (items with `event`).

#[cfg(feature = "contract")]
pub mod contract;
mod enforce;
mod error;
mod layout;
mod operational;
pub mod ops;
mod plan;
mod ports;
mod records;
mod sessions;
mod store;
pub mod table;
mod targets;
mod told;

pub use enforce::enforce;
pub use error::{CommitError, OpError, Source, StoreError};
pub use ports::{
    AttemptState, Attempts, Capabilities, Commits, GateFilter, Records, Registry, Submissions, Tallies,
    TallyItem, TaskToken, Tokens, Watermarks,
};
pub use sessions::{Session, Sessions};
pub use store::{DynamoRegistry, MemoryRegistry, TableRegistry};
pub use targets::{Targets, standing};
pub use told::{mark_told, was_told};
