//! Who is told of what happens to a model, beside the people who decide.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::notice::NoticeKind;

/// Where notices go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Mail addresses that get every notice, for example a team's list.
    pub email: Vec<String>,
    /// SNS topics by ARN, beside the deployment's own; their names begin with [`TOPIC_PREFIX`].
    pub topics: Vec<String>,
    /// Addresses that notices are posted to.
    pub webhooks: Vec<Webhook>,
}

/// What the names of topics begin with that a policy may name: the role of `notify` publishes to no other.
pub const TOPIC_PREFIX: &str = "seatrial-";

/// The form that a webhook takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    /// A Slack incoming webhook: Block Kit.
    Slack,
    /// A Microsoft Teams workflow: an Adaptive Card in a message.
    Teams,
    /// Seatrial's own JSON, signed.
    Generic,
}

/// One webhook. Its secrets are no part of the policy: the address of a Slack or Teams webhook, and the key that signs a
/// generic one, are parameters of the deployment's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its name in the policy, in logs and in the names of its parameters.
    pub name: String,
    /// What it is sent.
    pub format: WebhookFormat,
    /// For `generic`: its https address, where that is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it is told of; empty: of everything.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub events: BTreeSet<NoticeKind>,
}

impl Webhook {
    /// Whether it is told of `kind`.
    #[must_use]
    pub fn wants(&self, kind: NoticeKind) -> bool {
        self.events.is_empty() || self.events.contains(&kind)
    }

    fn defect(&self) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            return Some(format!(
                "{:?} is not a name of 1 to 64 letters, digits, '-', '_' or '.'",
                self.name
            ));
        }
        match (self.format, &self.url) {
            (WebhookFormat::Generic, Some(url))
                if !url.starts_with("https://") && !url.starts_with("http://127.0.0.1:") =>
            {
                Some(format!("{:?} has {url:?}, which is not an https address", self.name))
            }
            (WebhookFormat::Slack | WebhookFormat::Teams, Some(_)) => Some(format!(
                "{:?} has its url here, where it can be read; whoever knows it can post: put it into the webhook's parameter \
                 (docs/notify.md)",
                self.name
            )),
            _ => None,
        }
    }
}

impl Notify {
    /// Everything that is wrong, as field and problem.
    pub(super) fn defects(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        for (field, count, most) in [
            ("notify.email", self.email.len(), 50),
            ("notify.topics", self.topics.len(), 10),
            ("notify.webhooks", self.webhooks.len(), 20),
        ] {
            if count > most {
                found.push((field, format!("has {count} entries; expected at most {most}")));
            }
        }
        let wrong = self.email.iter().filter(|email| !super::check::is_address(email));
        found.extend(wrong.map(|email| ("notify.email", format!("{email:?} is not a mail address"))));
        let wrong = self.topics.iter().filter(|arn| !is_topic(arn));
        found.extend(wrong.map(|arn| {
            let problem = format!(
                "{arn:?} is not the ARN of an SNS topic whose name begins with {TOPIC_PREFIX}; notices are published to no other"
            );
            ("notify.topics", problem)
        }));
        for (place, hook) in self.webhooks.iter().enumerate() {
            found.extend(hook.defect().map(|problem| ("notify.webhooks", problem)));
            if self.webhooks[..place].iter().any(|w| w.name == hook.name) {
                found.push(("notify.webhooks", format!("{:?} stands twice", hook.name)));
            }
        }
        found
    }
}

fn is_topic(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    match parts.as_slice() {
        ["arn", partition, "sns", region, account, name] => {
            !partition.is_empty()
                && !region.is_empty()
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit())
                && name.starts_with(TOPIC_PREFIX)
                && name.len() <= 256
                && name.chars().all(plain)
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hook(format: WebhookFormat, url: Option<&str>) -> Webhook {
        Webhook { name: "ops".into(), format, url: url.map(Into::into), events: BTreeSet::new() }
    }

    #[test]
    fn secrets_stay_out_and_every_defect_is_named() {
        let notify = Notify {
            email: vec!["team@example.com".into(), "no address".into()],
            topics: vec![
                "arn:aws:sns:eu-west-1:123456789012:seatrial-news".into(),
                "arn:aws:sns:eu-west-1:123456789012:payments".into(),
                "seatrial-news".into(),
            ],
            webhooks: vec![
                hook(WebhookFormat::Generic, Some("https://hooks.example.com/a")),
                hook(WebhookFormat::Slack, Some("https://hooks.slack.com/services/T/B/secret")),
                Webhook { name: "a/b".into(), ..hook(WebhookFormat::Teams, None) },
                Webhook {
                    name: "plain".into(),
                    ..hook(WebhookFormat::Generic, Some("http://hooks.example.com/"))
                },
            ],
        };
        let found = notify.defects();
        let said: Vec<_> = found.iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
        assert_eq!(said.len(), 7, "{said:#?}");
        assert!(said[0].contains("no address"), "{said:#?}");
        assert!(said[1].contains("payments") && said[2].contains("\"seatrial-news\""), "{said:#?}");
        assert!(
            said[3].contains("parameter") && !said[3].contains("secret"),
            "the address is not repeated: {}",
            said[3]
        );
        assert!(said[4].contains("stands twice") && said[5].contains("a/b"), "{said:#?}");
        assert!(said[6].contains("not an https address"), "{said:#?}");
        assert_eq!(Notify::default().defects(), vec![]);
    }

    #[test]
    fn a_webhook_without_events_wants_all_of_them_and_misspelt_ones_are_refused() {
        let all: Webhook = serde_json::from_str(r#"{"name":"ops","format":"slack"}"#).unwrap();
        assert!(NoticeKind::ALL.iter().all(|kind| all.wants(*kind)));
        let some: Webhook =
            serde_json::from_str(r#"{"name":"ops","format":"generic","events":["rolled_back","failed"]}"#)
                .unwrap();
        assert!(some.wants(NoticeKind::Failed) && !some.wants(NoticeKind::CanaryStep));
        assert!(
            serde_json::from_str::<Webhook>(r#"{"name":"ops","format":"slack","events":["crownd"]}"#)
                .is_err()
        );
        assert!(serde_json::from_str::<Webhook>(r#"{"name":"ops","format":"slack","secret":"x"}"#).is_err());
    }
}
