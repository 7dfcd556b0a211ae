//! What each notice says, in words.

use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::notice::{Notice, NoticeKind, Outcome, Setting};

use super::tame::tame;
use crate::times;

/// The longest comment that is shown; the gate's page and the history have it whole.
const COMMENT: usize = 600;
/// The longest name of a principal.
const PRINCIPAL: usize = 200;

/// A notice in words. Everything in it is fit to be shown anywhere as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// One line: what happened.
    pub(crate) title: String,
    /// What it means, and what there is to do.
    pub(crate) next: String,
    /// The rest: label and value.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// What a person said to it.
    pub(crate) comment: Option<String>,
}

impl Words {
    pub(crate) fn of(notice: &Notice) -> Self {
        let loud = if notice.emergency { "EMERGENCY: " } else { "" };
        let comment = notice.comment.as_deref().map(|c| tame(c, COMMENT)).filter(|c| !c.is_empty());
        Self { title: format!("{loud}{}", title(notice)), next: next(notice), facts: facts(notice), comment }
    }
}

fn what(notice: &Notice) -> String {
    match notice.version {
        Some(version) => format!("{} {version}", notice.model),
        None => notice.model.to_string(),
    }
}

fn title(notice: &Notice) -> String {
    let what = what(notice);
    match notice.kind {
        NoticeKind::GateOpened if notice.automatic => {
            format!("{what} will be approved unless somebody blocks it")
        }
        NoticeKind::GateOpened => format!("{what} waits for a decision"),
        NoticeKind::Reminder if notice.automatic => {
            format!("Reminder: {what} will be approved unless somebody blocks it")
        }
        NoticeKind::Reminder => format!("Reminder: {what} still waits for a decision"),
        NoticeKind::Blocked => format!("The automatic approval of {what} was blocked"),
        NoticeKind::Decided => match (notice.outcome, notice.automatic, notice.emergency) {
            (Some(Outcome::Rejected), ..) => format!("{what} was rejected"),
            (_, _, true) => format!("{what} was approved past its approvers"),
            (_, true, _) => format!("{what} was approved automatically: nobody blocked it"),
            _ => format!("{what} was approved"),
        },
        NoticeKind::Expired => format!("Nobody decided about {what} in time"),
        NoticeKind::CanaryStep => match notice.weight {
            Some(weight) => format!("{what} serves {weight} of the traffic"),
            None => format!("{what} serves a share of the traffic"),
        },
        NoticeKind::RolledBack => match (notice.from, notice.to) {
            (Some(from), Some(to)) => format!("{} was rolled back from {from} to {to}", notice.model),
            _ => format!("The canary of {what} was rolled back"),
        },
        NoticeKind::Crowned => format!("{what} is the champion"),
        NoticeKind::Adopted => format!("{what} was adopted as the champion, without a promotion"),
        NoticeKind::Failed => format!("The promotion of {what} ended without a crown"),
        NoticeKind::Emergency => format!("{} of {what} skipped", skipped(notice)),
        NoticeKind::SettingsChanged => match (notice.setting, notice.policy) {
            (Some(Setting::Benchmark), _) => format!("The benchmark of {} changed", notice.model),
            (_, Some(number)) => format!("The policy of {} changed: number {number}", notice.model),
            _ => format!("The policy of {} changed", notice.model),
        },
    }
}

fn skipped(notice: &Notice) -> String {
    let stages: Vec<_> = notice.skipped.iter().map(|s| s.as_str()).collect();
    match stages.as_slice() {
        [] => "a stage".into(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn next(notice: &Notice) -> String {
    let model = &notice.model;
    match notice.kind {
        NoticeKind::GateOpened | NoticeKind::Reminder if notice.automatic => {
            "The evidence allows it and the policy grants it. Whoever is against it blocks it before the time below; then people decide.".into()
        }
        NoticeKind::GateOpened | NoticeKind::Reminder => {
            "The approvers of the policy decide. Undecided at the time below, the promotion ends like a rejection.".into()
        }
        NoticeKind::Blocked => "It waits for its approvers now.".into(),
        NoticeKind::Decided if notice.outcome == Some(Outcome::Rejected) => {
            "The promotion ends; nothing has changed for callers.".into()
        }
        NoticeKind::Decided => "It goes on to its canary; a first version is crowned at once.".into(),
        NoticeKind::Expired => "The promotion ends like a rejection; nothing has changed for callers.".into(),
        NoticeKind::CanaryStep => "It goes on while it is healthy, and is taken back when it is not.".into(),
        NoticeKind::RolledBack => match notice.to {
            Some(to) => format!("{to} serves everyone."),
            None => "The champion serves everyone.".into(),
        },
        NoticeKind::Crowned => match notice.from {
            Some(from) => format!("{from} is kept ready: `seatrial rollback {model} --champion` brings it back."),
            None => "It is the first one; there is no version to go back to.".into(),
        },
        NoticeKind::Adopted => "It served already and goes on. Nobody compared it with anything; the next version is tried against it.".into(),
        NoticeKind::Failed => "No caller saw it; nothing has changed for them.".into(),
        NoticeKind::Emergency => "An operator went past what the policy asks for. Look at it now.".into(),
        NoticeKind::SettingsChanged => {
            "Promotions that start from now on are judged by it. Who may decide changes at once.".into()
        }
    }
}

fn facts(notice: &Notice) -> Vec<(&'static str, String)> {
    let mut facts = vec![("When", times::moment(notice.at)), ("By", by(&notice.by))];
    if let Some(ends_at) = notice.ends_at {
        let label = if notice.automatic { "Approved by itself at" } else { "Open until" };
        facts.push((label, times::moment(ends_at)));
    }
    if notice.kind != NoticeKind::Emergency && !notice.skipped.is_empty() {
        facts.push(("Skipped", skipped(notice)));
    }
    if let (NoticeKind::RolledBack, Some(weight)) = (notice.kind, notice.weight) {
        facts.push(("It served", weight.to_string()));
    }
    facts.extend(notice.promotion.as_ref().map(|p| ("Promotion", p.to_string())));
    facts.extend(notice.gate.as_ref().map(|g| ("Gate", g.to_string())));
    facts
}

fn by(actor: &Actor) -> String {
    let who = tame(&actor.principal, PRINCIPAL);
    match actor.auth {
        Auth::System => who,
        Auth::Iam => format!("{who} (IAM)"),
        Auth::Oidc => format!("{who} (login)"),
        Auth::Link => format!("{who} (link)"),
        Auth::Local => format!("{who} (local)"),
    }
}
