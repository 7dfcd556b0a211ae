//! Ann, who gets a link by mail, opens it, reads the page, and decides with its form. No script, no API.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, header};
use serde_json::Value;

/// Ann's mail program and browser.
pub struct Approver {
    mailbox: String,
    client: Client,
    read: usize,
}

/// What deciding left behind.
pub struct Decided {
    /// The gate's plain address.
    pub page: String,
    /// What the page answered.
    pub status: StatusCode,
}

impl Approver {
    pub fn new(mailbox: &str) -> Result<Self> {
        let client = Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(20)).build()?;
        Ok(Self { mailbox: mailbox.to_owned(), client, read: 0 })
    }

    /// Waits for the next mail with a link.
    pub async fn link(&mut self, patience: Duration) -> Result<String> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let caught: Value = self.client.get(&self.mailbox).send().await?.json().await?;
            let mails: Vec<&Value> = caught["messages"]
                .as_object()
                .into_iter()
                .flat_map(|accounts| accounts.values())
                .filter_map(Value::as_array)
                .flatten()
                .collect();
            // Notices of what happened come too; only an invitation has a link of her own.
            let body = |mail: &Value| mail["BodyText"].as_str().unwrap_or_default().to_owned();
            let link =
                |body: String| body.split_whitespace().find(|word| word.contains("/l/")).map(str::to_owned);
            if let Some(link) = mails.into_iter().filter_map(|mail| link(body(mail))).nth(self.read) {
                self.read += 1;
                return Ok(link);
            }
            if tokio::time::Instant::now() > deadline {
                bail!("no mail came within {} s", patience.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Opens the link twice (as a mail scanner would before her), keeps the page, and approves with a comment.
    pub async fn approve(&self, link: &str, comment: &str, keep: &Path) -> Result<Decided> {
        self.client.get(link).send().await?;
        let opened = self.client.get(link).send().await?;
        if opened.status() != StatusCode::SEE_OTHER {
            bail!("the link answered {} instead of leading to the review page", opened.status());
        }
        let cookie = opened
            .headers()
            .get(header::SET_COOKIE)
            .and_then(|c| c.to_str().ok())
            .and_then(|c| c.split(';').next())
            .context("the link set no cookie")?
            .to_owned();
        let location =
            opened.headers().get(header::LOCATION).and_then(|l| l.to_str().ok()).context("no address")?;
        let page = reqwest::Url::parse(link)?.join(location)?;
        let html = self.client.get(page.clone()).header(header::COOKIE, &cookie).send().await?.text().await?;
        std::fs::write(keep, &html).with_context(|| format!("cannot write {}", keep.display()))?;
        let token =
            attribute(&html, "name=\"token\" value=\"").context("the page has no form to decide with")?;
        let shown =
            attribute(&html, "name=\"shown\" value=\"").context("the page does not say what it shows")?;
        let action = attribute(&html, "action=\"").context("the page's form has no address")?;
        let origin = page.origin().ascii_serialization();
        let form = [("token", &*token), ("shown", &*shown), ("comment", comment), ("decision", "approve")];
        let answer = self
            .client
            .post(page.join(&action)?)
            .header(header::COOKIE, &cookie)
            .header(header::ORIGIN, origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encode(&form))
            .send()
            .await?;
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            bail!("the decision was refused ({status}): {}", plain(&answer.text().await?));
        }
        Ok(Decided { page: page.to_string(), status })
    }
}

fn attribute(html: &str, before: &str) -> Option<String> {
    let (_, rest) = html.split_once(before)?;
    Some(rest.split_once('"')?.0.replace("&amp;", "&"))
}

fn encode(form: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut out, b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                out.push(char::from(b));
            } else {
                out.push_str(&format!("%{b:02X}"));
            }
            out
        })
    };
    form.iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// The text of a page, for an error message.
fn plain(html: &str) -> String {
    let main = html.split_once("<main").map_or(html, |(_, rest)| rest);
    let mut inside = false;
    let text: String = main
        .chars()
        .filter(|c| {
            match c {
                '<' => inside = true,
                '>' => {
                    inside = false;
                    return false;
                }
                _ => {}
            }
            !inside
        })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}
