//! Whom a notice goes to, and when a delivery that failed is tried again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Notice, NoticeKind, Told};
use crate::access::Access;
use crate::canonical::sha256;
use crate::ids::ModelName;
use crate::policy::{Policy, Role, Webhook};

/// The number of the messages' form.
pub const SCHEMA: u32 = 1;

/// A message of the notices' queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// An entry of a model's history that people may have to be told of.
    Entry {
        /// [`SCHEMA`].
        schema: u32,
        /// The model.
        model: ModelName,
        /// The entry's number.
        seq: u64,
    },
    /// One notice for one receiver.
    Delivery {
        /// [`SCHEMA`].
        schema: u32,
        /// The delivery.
        delivery: Box<Delivery>,
    },
}

/// One notice for one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its name: the same notice to the same receiver has the same one, however often it is tried.
    pub id: String,
    /// What is told.
    pub notice: Notice,
    /// Who is told.
    pub target: Target,
}

/// A receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "via", rename_all = "snake_case")]
pub enum Target {
    /// One person, or a list, by mail.
    Mail {
        /// The address.
        to: String,
        /// Whether it is one of those who are asked to decide.
        asked: bool,
    },
    /// An SNS topic.
    Topic {
        /// Its ARN.
        arn: String,
    },
    /// A webhook of the policy.
    Webhook {
        /// The webhook.
        hook: Webhook,
    },
}

impl Target {
    /// The receiver's name, for logs; never an address that is a secret.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Mail { to, .. } => format!("mail {to}"),
            Self::Topic { arn } => format!("topic {arn}"),
            Self::Webhook { hook } => format!("webhook {}", hook.name),
        }
    }
}

impl Delivery {
    fn new(notice: &Notice, target: Target) -> Self {
        let name = sha256(format!("{}\n{}", notice.id, target.name()).as_bytes());
        Self { id: format!("de_{}", &name.hex()[..24]), notice: notice.clone(), target }
    }

    /// What people have been told of their gate once this is delivered. A topic counts for nothing: it takes a notice though
    /// nobody listens. So does a mail to somebody who is not asked.
    #[must_use]
    pub fn tells(&self) -> Option<Told> {
        let reached = match &self.target {
            Target::Mail { asked, .. } => *asked,
            Target::Webhook { .. } => true,
            Target::Topic { .. } => false,
        };
        Told::by(self.notice.kind).filter(|_| reached)
    }
}

/// All deliveries of a notice, by the policy in force. `involved` are the principals who submitted the version and asked for
/// the promotion; `topic` is the deployment's own.
#[must_use]
pub fn deliveries(
    notice: &Notice,
    policy: &Policy,
    involved: &[&str],
    topic: Option<&str>,
    now: Timestamp,
) -> Vec<Delivery> {
    let mut targets: Vec<Target> = Vec::new();
    let mut add = |target: Target| {
        if !targets.iter().any(|t| t.name().eq_ignore_ascii_case(&target.name())) {
            targets.push(target);
        }
    };
    let access = policy.access();
    let asked: Vec<&str> = access.asked(now).into_iter().map(|p| p.email.as_str()).collect();
    let is_asked = |email: &str| asked.iter().any(|a| a.eq_ignore_ascii_case(email));
    for email in people(notice.kind, &access, &asked, involved) {
        let asked = is_asked(&email);
        add(Target::Mail { to: email, asked });
    }
    for email in &policy.notify.email {
        add(Target::Mail { to: email.clone(), asked: is_asked(email) });
    }
    for arn in policy.notify.topics.iter().map(String::as_str).chain(topic) {
        add(Target::Topic { arn: arn.to_owned() });
    }
    for hook in policy.notify.webhooks.iter().filter(|hook| hook.wants(notice.kind)) {
        add(Target::Webhook { hook: hook.clone() });
    }
    targets.into_iter().map(|target| Delivery::new(notice, target)).collect()
}

/// The people of the policy who are written to. Of a gate's opening those who are asked hear by `gate` itself, each with their
/// own way to decide; of a canary's steps nobody is woken.
fn people(kind: NoticeKind, access: &Access, asked: &[&str], involved: &[&str]) -> Vec<String> {
    let mut emails: Vec<String> = Vec::new();
    let with = |role: Role| access.with(role).map(|p| p.email.clone()).collect::<Vec<_>>();
    let involved = || involved.iter().filter_map(|p| access.person(p)).map(|p| p.email.clone());
    match kind {
        NoticeKind::GateOpened | NoticeKind::CanaryStep => {}
        NoticeKind::Reminder => emails.extend(asked.iter().map(|a| (*a).to_owned())),
        NoticeKind::Blocked | NoticeKind::Decided | NoticeKind::Expired => {
            emails.extend(asked.iter().map(|a| (*a).to_owned()));
            emails.extend(involved());
        }
        NoticeKind::RolledBack | NoticeKind::Crowned | NoticeKind::Adopted | NoticeKind::Failed => {
            emails.extend(with(Role::Operator));
            emails.extend(with(Role::Owner));
            emails.extend(involved());
        }
        NoticeKind::Emergency => emails.extend(access.people.iter().map(|p| p.email.clone())),
        NoticeKind::SettingsChanged => emails.extend(with(Role::Owner)),
    }
    emails
}

/// How often a delivery is tried: with the waits below this takes about four hours.
pub const MOST_ATTEMPTS: u32 = 12;

/// The first wait after a failed delivery, and the longest, in seconds.
const FIRST_WAIT: u64 = 15;
const LONGEST_WAIT: u64 = 3_600;

/// How long to wait after the `attempt`th try (from 1) of the delivery `id`: twice as long each time up to an hour, less a
/// part of up to a half that differs from delivery to delivery, so that a receiver that comes back is not met by all at once.
#[must_use]
pub fn backoff_seconds(attempt: u32, id: &str) -> u32 {
    let doubled = FIRST_WAIT.saturating_mul(1_u64 << attempt.saturating_sub(1).min(20));
    let whole = doubled.min(LONGEST_WAIT);
    let drawn = sha256(format!("{id}\n{attempt}").as_bytes());
    let part = u64::from_str_radix(&drawn.hex()[..4], 16).unwrap_or(0);
    u32::try_from(whole - whole * part / (2 * 0x1_0000)).unwrap_or(u32::MAX)
}

/// What a receiver's answer means for a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// It has it.
    Taken,
    /// It may take it later, not before so many seconds where it says so.
    Later(Option<u32>),
    /// It will not take it.
    Never,
}

/// What the status of an HTTP answer means, and what its `Retry-After` says in seconds. Redirects are not followed, so they
/// are a refusal.
#[must_use]
pub const fn receipt(status: u16, retry_after: Option<u32>) -> Receipt {
    match status {
        200..300 => Receipt::Taken,
        408 | 425 | 429 | 500.. => Receipt::Later(retry_after),
        _ => Receipt::Never,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ids::Actor;
    use crate::policy::{Approver, Person, WebhookFormat};

    fn notice(kind: NoticeKind) -> Notice {
        Notice {
            id: "no_0123".into(),
            kind,
            model: ModelName::parse("m").unwrap(),
            sequence: 1,
            at: Timestamp::UNIX_EPOCH,
            by: Actor::function("x"),
            emergency: false,
            promotion: None,
            version: None,
            gate: None,
            outcome: None,
            automatic: false,
            ends_at: None,
            weight: None,
            from: None,
            to: None,
            skipped: vec![],
            setting: None,
            policy: None,
            comment: None,
        }
    }

    fn policy() -> Policy {
        let mut policy = Policy::default();
        policy.approval.approvers = vec![Approver { email: "ann@example.com".into(), principals: vec![] }];
        let person = |email: &str, role| Person {
            email: email.into(),
            principals: vec![format!("AIDA{}", &email[..3])],
            roles: [role].into(),
            emergency: false,
        };
        policy.people = vec![
            person("sue@example.com", Role::Submitter),
            person("olga@example.com", Role::Operator),
            person("owen@example.com", Role::Owner),
            person("aud@example.com", Role::Auditor),
        ];
        policy.notify.email = vec!["team@example.com".into(), "ANN@example.com".into()];
        policy.notify.webhooks = vec![Webhook {
            name: "ops".into(),
            format: WebhookFormat::Slack,
            url: None,
            events: [NoticeKind::Reminder, NoticeKind::Failed].into(),
        }];
        policy
    }

    fn told(kind: NoticeKind) -> Vec<String> {
        let found = deliveries(
            &notice(kind),
            &policy(),
            &["AIDAsue", "nobody"],
            Some("arn:t"),
            Timestamp::UNIX_EPOCH,
        );
        found.iter().map(|d| d.target.name().replace("@example.com", "")).collect()
    }

    #[test]
    fn each_is_told_what_concerns_them_and_nobody_twice() {
        use NoticeKind as K;
        let everybody =
            ["mail sue", "mail olga", "mail owen", "mail aud", "mail ann", "mail team", "topic arn:t"];
        let cases: [(K, &[&str]); 7] = [
            (K::GateOpened, &["mail team", "mail ANN", "topic arn:t"]),
            (K::Reminder, &["mail ann", "mail team", "topic arn:t", "webhook ops"]),
            (K::Decided, &["mail ann", "mail sue", "mail team", "topic arn:t"]),
            (K::CanaryStep, &["mail team", "mail ANN", "topic arn:t"]),
            (
                K::Failed,
                &[
                    "mail olga",
                    "mail owen",
                    "mail sue",
                    "mail team",
                    "mail ANN",
                    "topic arn:t",
                    "webhook ops",
                ],
            ),
            (K::Emergency, &everybody),
            (K::SettingsChanged, &["mail owen", "mail team", "mail ANN", "topic arn:t"]),
        ];
        for (kind, expected) in cases {
            assert_eq!(told(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_delivery_keeps_its_name_and_no_two_share_one() {
        let all = || deliveries(&notice(NoticeKind::Emergency), &policy(), &[], None, Timestamp::UNIX_EPOCH);
        assert_eq!(all(), all());
        let mut other = notice(NoticeKind::Emergency);
        other.id = "no_0124".into();
        let other = deliveries(&other, &policy(), &[], None, Timestamp::UNIX_EPOCH);
        let ids: BTreeSet<_> = all().into_iter().chain(other.clone()).map(|d| d.id).collect();
        assert_eq!(ids.len(), 2 * other.len());
    }

    #[test]
    fn only_what_reaches_those_who_are_asked_tells_them() {
        let found = |kind| {
            let all = deliveries(&notice(kind), &policy(), &[], Some("arn:t"), Timestamp::UNIX_EPOCH);
            all.iter().filter(|d| d.tells().is_some()).map(|d| d.target.name()).collect::<Vec<_>>()
        };
        assert_eq!(found(NoticeKind::Reminder), ["mail ann@example.com", "webhook ops"]);
        assert_eq!(found(NoticeKind::GateOpened), ["mail ANN@example.com"]);
        assert!(found(NoticeKind::Decided).is_empty() && found(NoticeKind::Failed).is_empty());
    }

    #[test]
    fn waits_grow_to_an_hour_and_differ_from_delivery_to_delivery() {
        let waits: Vec<u32> = (1..=12).map(|n| backoff_seconds(n, "de_1")).collect();
        for (n, wait) in waits.iter().enumerate() {
            let whole = (15_u32 << n).min(3_600);
            assert!((whole / 2..=whole).contains(wait), "attempt {}: {wait}", n + 1);
        }
        assert!(backoff_seconds(u32::MAX, "de_1") <= 3_600 && backoff_seconds(0, "de_1") <= 15);
        let spread: BTreeSet<_> = (0..50).map(|n| backoff_seconds(9, &format!("de_{n}"))).collect();
        assert!(spread.len() > 40, "{spread:?}");
        assert_eq!(backoff_seconds(3, "de_1"), backoff_seconds(3, "de_1"));
    }

    #[test]
    fn only_what_time_may_cure_is_tried_again() {
        for status in [200, 202, 204] {
            assert_eq!(receipt(status, Some(9)), Receipt::Taken, "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(receipt(status, Some(9)), Receipt::Later(Some(9)), "{status}");
        }
        for status in [101, 301, 302, 307, 400, 401, 403, 404, 410, 422] {
            assert_eq!(receipt(status, Some(9)), Receipt::Never, "{status}");
        }
    }
}
