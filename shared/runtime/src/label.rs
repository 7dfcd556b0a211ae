//! Error names are an interface: what `ErrorEquals` in a state machine matches is one of these.

/// A dependency did not answer; trying again may help.
pub const UNAVAILABLE: &str = "Seatrial.Unavailable";
/// The promotion no longer holds the model; nothing was written.
pub const SUPERSEDED: &str = "Seatrial.Superseded";
/// The submission has defects; all are listed.
pub const INVALID_SUBMISSION: &str = "Seatrial.InvalidSubmission";
/// Another promotion of the model runs.
pub const MODEL_BUSY: &str = "Seatrial.ModelBusy";
/// No approval covers what was asked.
pub const NOT_APPROVED: &str = "Seatrial.NotApproved";
/// The request is wrong, or contradicts the state of the model; trying again does not help.
pub const INVALID: &str = "Seatrial.Invalid";
/// Something that should not happen.
pub const INTERNAL: &str = "Seatrial.Internal";

/// How an execution ends whose promotion was rejected before any caller saw the challenger. Raised by the state machine.
pub const REJECTED: &str = "Seatrial.Rejected";
/// How an execution ends whose canary was rolled back. Raised by the state machine.
pub const ROLLED_BACK: &str = "Seatrial.RolledBack";
/// How an execution ends whose promotion never held the model. Raised by the state machine.
pub const NOT_STARTED: &str = "Seatrial.NotStarted";
/// How an execution ends whose evidence manifest could not be written. Raised by the state machine.
pub const UNATTESTED: &str = "Seatrial.Unattested";

/// Every label.
pub const ALL: [&str; 11] = [
    UNAVAILABLE,
    SUPERSEDED,
    INVALID_SUBMISSION,
    MODEL_BUSY,
    NOT_APPROVED,
    INVALID,
    INTERNAL,
    REJECTED,
    ROLLED_BACK,
    NOT_STARTED,
    UNATTESTED,
];
