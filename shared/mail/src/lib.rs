//! Sending mail: to approvers about their gate (`gate`), to everybody about what happened (`notify`).

use async_trait::async_trait;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use seatrial_report::mail::Mail;
use seatrial_runtime::Failure;

/// Sends a mail to one person.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands `mail` over for `to`.
    ///
    /// # Errors
    /// When it was not taken.
    async fn send(&self, to: &str, mail: &Mail) -> Result<(), Failure>;
}

/// Amazon SES.
#[derive(Debug, Clone)]
pub struct Ses {
    client: Client,
    from: String,
}

impl Ses {
    /// Sends in the name of `from`, which must be a verified identity.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, from: &str) -> Self {
        Self { client: Client::new(config), from: from.to_owned() }
    }
}

#[async_trait]
impl Mailer for Ses {
    async fn send(&self, to: &str, mail: &Mail) -> Result<(), Failure> {
        let unsendable = |e| Failure::internal("writing the mail", e);
        let content = |data: &str| Content::builder().data(data).charset("UTF-8").build().map_err(unsendable);
        let body = Body::builder().text(content(&mail.text)?).html(content(&mail.html)?).build();
        let message = Message::builder().subject(content(&mail.subject)?).body(body).build();
        // One mail a person: nobody sees another approver's address, and each link has one recipient.
        let sending = self
            .client
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(to).build())
            .content(EmailContent::builder().simple(message).build());
        sending.send().await.map(|_| ()).map_err(|e| Failure::unavailable("handing a mail to SES", e))
    }
}
