//! The mail that people get, as the local engine catches it.

use serde_json::Value;

use super::{Stack, until};

/// One mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// To whom.
    pub to: String,
    /// What about.
    pub subject: String,
    /// Subject, text and HTML, together.
    pub all: String,
    /// The address in it.
    pub link: String,
}

impl Stack {
    /// The mails about a model, oldest first.
    pub async fn mails(&self, model: &str) -> Vec<Mail> {
        let answer = self.plain("GET", self.out("Mailbox"), "").await.json();
        let boxes = answer["messages"].as_object().into_iter().flat_map(|accounts| accounts.values());
        let mails = boxes.filter_map(Value::as_array).flatten();
        mails
            .filter(|m| m["Subject"].as_str().is_some_and(|s| s.split_whitespace().any(|word| word == model)))
            .map(|m| {
                let text = m["BodyText"].as_str().unwrap_or_default();
                let link = text.split_whitespace().find(|w| w.contains("/l/") || w.contains("/g/"));
                Mail {
                    to: m["To"].to_string(),
                    subject: m["Subject"].as_str().unwrap_or_default().to_owned(),
                    all: m.to_string(),
                    link: link.unwrap_or_default().to_owned(),
                }
            })
            .collect()
    }

    /// The mails that ask somebody to decide about a version of a model, oldest first.
    pub async fn invitations(&self, model: &str) -> Vec<Mail> {
        let mails = self.mails(model).await;
        mails.into_iter().filter(|m| m.subject.starts_with("Review: ")).collect()
    }

    /// The link of the `n`th invitation to decide about a model, from 0.
    pub async fn link(&self, model: &str, n: usize) -> String {
        until("the mail with the link", 30, async || {
            self.invitations(model).await.get(n).map(|m| m.link.clone())
        })
        .await
    }
}
