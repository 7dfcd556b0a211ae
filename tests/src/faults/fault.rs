//! What can go wrong at a task, in the words of the plan, of the machine, and of the engine.

use anyhow::{Result, bail};

/// What can go wrong at a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The call is refused for now; nothing was done.
    Throttled,
    /// The task takes too long. A function has done nothing; a gate is open and nobody has decided.
    Timeout,
    /// The task takes too long, and what it called goes on: its effect comes when the machine is further on, or has ended.
    Overtaken,
    /// It fails for a reason that no retry cures; nothing was done.
    Permanent,
    /// The effect is there, the answer is lost with the process.
    Crash,
    /// The same call twice.
    Duplicate,
    /// An error of Step Functions itself after the effect, which no `States.ALL` catches.
    Runtime,
    /// An answer that is larger than Step Functions passes on, which no `States.ALL` catches either.
    Oversize,
    /// An answer with nothing in it that the machine reads.
    Garbled,
    /// The promotion's execution is stopped from outside, after the effect.
    StopParent,
    /// The canary's execution is stopped from outside, after the effect.
    StopChild,
    /// Whoever answers a task token does not get through.
    CallbackLost,
    /// The answer of a task token gets through, and whoever gave it is not told so.
    CallbackRepeated,
    /// The record of the stream that leads to the answer of a task token is given up.
    CallbackForgotten,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Throttled,
        Self::Timeout,
        Self::Overtaken,
        Self::Permanent,
        Self::Crash,
        Self::Duplicate,
        Self::Runtime,
        Self::Oversize,
        Self::Garbled,
        Self::StopParent,
        Self::StopChild,
        Self::CallbackLost,
        Self::CallbackRepeated,
        Self::CallbackForgotten,
    ];

    /// Whether it strikes when what the task is for has been done.
    #[must_use]
    pub const fn is_after_the_effect(self) -> bool {
        !matches!(self, Self::Throttled | Self::Timeout | Self::Overtaken | Self::Permanent)
    }

    /// Its name in the list of cases.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Overtaken => "overtaken",
            Self::Permanent => "permanent error",
            Self::Crash => "crash after the effect",
            Self::Duplicate => "duplicate",
            Self::Runtime => "States.Runtime",
            Self::Oversize => "oversize output",
            Self::Garbled => "garbled output",
            Self::StopParent => "parent stopped",
            Self::StopChild => "child stopped",
            Self::CallbackLost => "lost callback",
            Self::CallbackRepeated => "repeated callback",
            Self::CallbackForgotten => "forgotten callback",
        }
    }

    /// The error that the machine sees; none where it sees nothing.
    pub(super) const fn error(self, kind: Kind) -> Option<&'static str> {
        match (self, kind) {
            (Self::Throttled, Kind::Execution) => Some("StepFunctions.ExecutionLimitExceededException"),
            (Self::Throttled, _) => Some("Lambda.TooManyRequestsException"),
            (Self::Timeout | Self::Overtaken, _) => Some("States.Timeout"),
            (Self::Permanent, Kind::Execution) => Some("StepFunctions.AccessDeniedException"),
            (Self::Permanent, _) => Some("Seatrial.Internal"),
            (Self::Crash, Kind::Execution) => Some("StepFunctions.SdkClientException"),
            (Self::Crash, _) => Some("Runtime.ExitError"),
            (Self::Runtime, _) => Some("States.Runtime"),
            (Self::Oversize, _) => Some("States.DataLimitExceeded"),
            (Self::Garbled, _) => Some("States.QueryEvaluationError"),
            (Self::StopChild, _) => Some("States.TaskFailed"),
            (
                Self::StopParent
                | Self::Duplicate
                | Self::CallbackLost
                | Self::CallbackRepeated
                | Self::CallbackForgotten,
                _,
            ) => None,
        }
    }

    /// Whether it strikes the answer of a task token.
    pub(super) const fn is_of_a_callback(self) -> bool {
        matches!(self, Self::CallbackLost | Self::CallbackRepeated | Self::CallbackForgotten)
    }
}

/// The faults that cannot strike every task, each with the reason. All others strike all of them.
pub const ONLY_SOMEWHERE: [(Fault, &str); 5] = [
    (
        Fault::Overtaken,
        "what opens a gate answers at once, and the timeout of a wait for people is an answer of its own",
    ),
    (Fault::CallbackLost, "only a task that waits for a task token is answered by one"),
    (Fault::CallbackRepeated, "only a task that waits for a task token is answered by one"),
    (Fault::CallbackForgotten, "only a task that waits for a task token is answered by one"),
    (
        Fault::StopChild,
        "only a canary's own tasks, and the task that waits for a canary, have a child that runs",
    ),
];

/// How often a fault strikes. Where no retry answers its error, once is as good as always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Times {
    /// The first attempt only.
    Once,
    /// Every attempt.
    Always,
}

/// What a task calls, and how it waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    Callback,
    Execution,
}

impl Kind {
    pub(super) fn of(resource: &str) -> Result<Self> {
        match resource.split_once(":states:::") {
            Some((_, "lambda:invoke")) => Ok(Self::Function),
            Some((_, "lambda:invoke.waitForTaskToken")) => Ok(Self::Callback),
            Some((_, "states:startExecution.sync:2")) => Ok(Self::Execution),
            _ => bail!(
                "no fault is known for tasks of {resource}: say in `faults/fault.rs` what can go wrong there"
            ),
        }
    }
}

/// The fault in the words of `engine/localstack_parts/faults.py`.
pub(super) const fn rule(fault: Fault, kind: Kind, is_child: bool) -> &'static str {
    match (fault, kind) {
        (Fault::Throttled, _) => "throttled",
        (Fault::Timeout, Kind::Callback) | (Fault::Overtaken, Kind::Execution) => "late",
        (Fault::Overtaken, _) => "overtaken",
        (Fault::Timeout, _) => "timeout",
        (Fault::Permanent, _) => "permanent",
        (Fault::Crash, _) => "crash",
        (Fault::Duplicate, _) => "duplicate",
        (Fault::Runtime, _) => "runtime",
        (Fault::Oversize, _) => "oversize",
        (Fault::Garbled, _) => "garbled",
        (Fault::StopParent, _) if is_child => "stop_parent",
        (Fault::StopChild, Kind::Execution) => "stop_child",
        (Fault::StopParent | Fault::StopChild, _) => "stop",
        (Fault::CallbackLost, _) => "lost",
        (Fault::CallbackRepeated, _) => "repeated",
        (Fault::CallbackForgotten, _) => "forgotten",
    }
}
