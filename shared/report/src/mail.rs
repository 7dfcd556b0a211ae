//! The mail that brings an approver to a gate.
//!
//! It holds nothing that a submitter wrote: no changelog, no segment names, no reasons. What there is to read is on the
//! page behind the link.

use askama::Template;
use jiff::Timestamp;
use seatrial_domain::gate::GateRecord;
use seatrial_domain::verdict::Verdict;

use crate::{RenderError, times};

/// A mail, ready to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Text and HTML hold the link, which is a secret.
        f.debug_struct("Mail").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// What the address in the mail is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// It is one person's right to decide, once.
    Capability,
    /// It only says where the gate is; deciding needs a login.
    Plain,
}

/// The mail about `gate` with `url` in it.
///
/// # Errors
/// When a template cannot be rendered.
pub fn about(gate: &GateRecord, url: &str, address: Address, now: Timestamp) -> Result<Mail, RenderError> {
    let over = gate
        .champion
        .as_ref()
        .map_or_else(|| "as its first champion".to_owned(), |c| format!("over {}", c.version));
    let what = format!("{} {} {over}", gate.model, gate.challenger.version);
    let verdict = match gate.verdict {
        Some(Verdict::Pass) => "Verdict: pass. Every guardrail is within its margin.",
        Some(Verdict::Inconclusive) => {
            "Verdict: inconclusive. The evidence is not enough to say; the page says what is missing."
        }
        Some(Verdict::Fail) => "Verdict: fail. A guardrail is beyond its margin.",
        None => "There is no verdict.",
    };
    let until = format!("{} ({})", times::moment(gate.expires_at), times::distance(gate.expires_at, now));
    let plain = address == Address::Plain;
    let approve = format!("seatrial approvals approve {} --comment \"…\"", gate.id);
    let (what_ref, until_ref, approve_ref) = (what.as_str(), until.as_str(), approve.as_str());
    let text =
        MailText { what: what_ref, verdict, url, until: until_ref, plain, approve: approve_ref }.render()?;
    let html =
        MailHtml { what: what_ref, verdict, url, until: until_ref, plain, approve: approve_ref }.render()?;
    Ok(Mail { subject: format!("Review: promote {what}"), text, html })
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct MailText<'a> {
    what: &'a str,
    verdict: &'a str,
    url: &'a str,
    until: &'a str,
    plain: bool,
    approve: &'a str,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct MailHtml<'a> {
    what: &'a str,
    verdict: &'a str,
    url: &'a str,
    until: &'a str,
    plain: bool,
    approve: &'a str,
}
