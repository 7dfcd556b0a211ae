//! Pages in place of the one that was asked for: what is wrong, and what to do.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use seatrial_domain::GateId;
use seatrial_report::message::Message;
use seatrial_runtime::{Failure, label};

use crate::App;
use crate::access::Denied;
use crate::login::{self, Destination};

/// A page in place of the one that was asked for.
#[derive(Debug)]
pub(crate) struct Instead(StatusCode, Box<Message>);

impl Instead {
    pub(crate) fn new(status: StatusCode, message: Message) -> Self {
        Self(status, Box::new(message))
    }
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        match self.1.render() {
            Ok(page) => (self.0, Html(page)).into_response(),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, self.1.title.clone()).into_response(),
        }
    }
}

impl From<Failure> for Instead {
    fn from(failure: Failure) -> Self {
        tracing::error!(label = failure.label, error = failure.chain(), "a page could not be shown");
        if failure.label == label::UNAVAILABLE {
            let message = Message::new(
                "This did not work just now",
                "A part of the service did not answer. Load the page again in a moment.",
            );
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
        }
        let message = Message::new(
            "This page cannot be shown",
            "Something it needs cannot be read, and the reason is in the log of the approvals function.",
        )
        .and("Nothing was decided.");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

/// Commands that do the same with the reader's own AWS credentials or token.
pub(crate) fn commands(gate: Option<&GateId>) -> Vec<String> {
    match gate {
        Some(gate) => vec![
            format!("seatrial approvals show {gate}"),
            format!("seatrial approvals approve {gate} --comment \"why\""),
            format!("seatrial approvals reject {gate} --comment \"why\""),
        ],
        None => vec!["seatrial approvals list".into()],
    }
}

const LINK: &str = "the newest link that was sent to you. If you have none, ask whoever runs this model, or use the command line with your own login:";

/// The same page with what to do: log in where there are logins; open a link, or use the command line.
pub(crate) fn advised(app: &App, message: Message, gate: Option<&GateId>) -> Message {
    let message = match app.logins() {
        Some(_) => {
            let to = gate.map_or_else(|| Destination::parse("/"), Destination::gate);
            message.and(format!("Log in, or open {LINK}")).with_link(&login::address(app, &to), "Log in")
        }
        None => message.and(format!("Open {LINK}")),
    };
    message.with_commands(commands(gate))
}

/// What to say to somebody who sees nothing here.
pub(crate) fn denied(app: &App, why: &Denied, gate: Option<&GateId>) -> Instead {
    let (status, title, what) = match why {
        Denied::NoLink => (
            StatusCode::FORBIDDEN,
            "A link or a login is needed",
            "What is decided here is shown only to people whom the model's policy names, and this browser has no link for this gate and no login."
                .to_owned(),
        ),
        Denied::Unknown => (
            StatusCode::NOT_FOUND,
            "This link is not valid",
            "It may have been cut off by a mail program, or belong to another installation.".to_owned(),
        ),
        Denied::Revoked => {
            (StatusCode::GONE, "This link was taken back", "It does not open anything any more.".to_owned())
        }
        Denied::Expired { at } => {
            let at = at.strftime("%-d %b %Y, %H:%M UTC");
            (
                StatusCode::GONE,
                "This link has expired",
                format!(
                    "It ended on {at}, together with the time to decide. Undecided, the promotion ended like a rejection."
                ),
            )
        }
        Denied::NotApprover { who } => (
            StatusCode::FORBIDDEN,
            "You are not an approver of this model now",
            format!("{who} is not among the approvers that the model's policy names at this moment."),
        ),
        Denied::NotNamed { who } => {
            let message = Message::new(
                "You see nothing here",
                format!("You are logged in as {who}, and the policy of this gate's model does not name you."),
            )
            .and("Ask the model's owner to name you, or log out and log in as somebody whom it names.")
            .with_button(&app.base.to("/logout"), "Log out");
            return Instead::new(StatusCode::FORBIDDEN, message);
        }
    };
    Instead::new(status, advised(app, Message::new(title, what), gate))
}

pub(crate) fn no_such_gate(app: &App) -> Instead {
    let message = Message::new("There is no such gate", "The address may have been cut off.");
    Instead::new(StatusCode::NOT_FOUND, advised(app, message, None))
}

/// Somebody came to log in where nobody can.
pub(crate) fn no_logins(app: &App) -> Instead {
    let message = Message::new(
        "There are no logins here",
        "This installation names no OIDC issuer and client, so nobody can log in with a browser.",
    );
    Instead::new(StatusCode::NOT_FOUND, advised(app, message, None))
}
