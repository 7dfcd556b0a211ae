//! Notices as people and machines read them: mail, plain text, Slack, Teams, JSON.
//!
//! Whatever a person or a submitter wrote is data in every one of them: escaped where there is markup, put where no markup is
//! read, and without anything that a mail program or a chat would make a link of. The only address is the gate's plain one,
//! which gives nobody a right.

mod chat;
mod json;
mod tame;
mod words;

use askama::Template;
use seatrial_domain::notice::{Delivery, Notice};
use serde_json::Value;

use crate::RenderError;
use crate::mail::Mail;
use words::Words;

/// What a notice is rendered from.
#[derive(Debug, Clone)]
pub struct View<'a> {
    notice: &'a Notice,
    words: Words,
    address: Option<String>,
}

impl<'a> View<'a> {
    /// A view of `notice`. `approvals` is what the addresses of gates begin with, without a slash at the end.
    #[must_use]
    pub fn of(notice: &'a Notice, approvals: &str) -> Self {
        let address = notice.gate.as_ref().map(|gate| format!("{approvals}/g/{gate}"));
        Self { notice, words: Words::of(notice), address }
    }

    /// One line.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.words.title
    }

    /// As a mail.
    ///
    /// # Errors
    /// When a template cannot be rendered.
    pub fn mail(&self) -> Result<Mail, RenderError> {
        let html = Html { words: &self.words, address: self.address.as_deref(), loud: self.notice.emergency };
        Ok(Mail { subject: self.subject().to_owned(), text: self.text()?, html: html.render()? })
    }

    /// As plain text.
    ///
    /// # Errors
    /// When the template cannot be rendered.
    pub fn text(&self) -> Result<String, RenderError> {
        Text { words: &self.words, address: self.address.as_deref() }.render()
    }

    /// As the message of a Slack incoming webhook.
    #[must_use]
    pub fn slack(&self) -> Value {
        chat::slack(&self.words, self.address.as_deref(), self.notice.emergency)
    }

    /// As the message of a Teams workflow.
    #[must_use]
    pub fn teams(&self) -> Value {
        chat::teams(&self.words, self.address.as_deref(), self.notice.emergency)
    }

    /// As Seatrial's own JSON. It is the same however often the delivery is tried.
    #[must_use]
    pub fn json(&self, delivery: &Delivery) -> Value {
        json::document(self.notice, &delivery.id, &self.words.title, self.address.as_deref())
    }
}

#[derive(Template)]
#[template(path = "notice.txt")]
struct Text<'a> {
    words: &'a Words,
    address: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Html<'a> {
    words: &'a Words,
    address: Option<&'a str>,
    loud: bool,
}
