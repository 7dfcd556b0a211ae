//! Where a stack is deployed to: an emulator that was started here, or one that runs already and that `AWS_ENDPOINT_URL` names.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::emulator::Emulator;
use crate::engine::Running;

/// An emulator that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The URL of its gateway, without a slash at the end.
    pub endpoint: String,
    /// Which one it is.
    pub emulator: Emulator,
    /// Does it enforce IAM policies and signatures, as far as is known?
    pub enforce_iam: bool,
    /// Its process, where it was started here.
    pub pid: Option<i32>,
}

impl From<&Running> for Place {
    fn from(running: &Running) -> Self {
        Self {
            endpoint: running.endpoint(),
            emulator: running.emulator,
            enforce_iam: running.enforce_iam,
            pid: Some(running.pid),
        }
    }
}

impl Place {
    /// How people call it.
    pub fn shown(&self) -> String {
        match self.pid {
            Some(pid) => format!("{} at {} (pid {pid})", self.emulator.name(), self.endpoint),
            None => format!("{} at {}, which was running", self.emulator.name(), self.endpoint),
        }
    }

    /// The emulator that `AWS_ENDPOINT_URL` names, if it is set; an error where nothing useful answers there.
    pub async fn named(wanted: Option<Emulator>) -> Result<Option<Self>> {
        let Some(endpoint) = variable() else { return Ok(None) };
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !endpoint.starts_with("http://") {
            bail!(
                "AWS_ENDPOINT_URL is {endpoint:?}; an emulator answers at http://host:port (a real account: `cargo xtask test --engine aws`)"
            );
        }
        let mut found = None;
        for emulator in Emulator::ALL {
            if answers(&endpoint, emulator.health()).await {
                found = Some(emulator);
                break;
            }
        }
        let emulator = found.with_context(|| {
            format!("AWS_ENDPOINT_URL is {endpoint}, but neither MiniStack nor LocalStack answers there")
        })?;
        if wanted.is_some_and(|wanted| wanted != emulator) {
            bail!(
                "AWS_ENDPOINT_URL is {endpoint}, where {} answers: unset it, or choose --engine {0}",
                emulator.name()
            );
        }
        // The image as it is published has neither HTTP APIs nor SES v2, and fails late and unclearly without them.
        if emulator == Emulator::Localstack && !answers(&endpoint, emulator.mailbox()).await {
            bail!(
                "the LocalStack at {endpoint} has no HTTP APIs and no SES v2; tests/engine/localstack_launcher.py adds them (docs/deploy.md tells how a container is started with it)"
            );
        }
        Ok(Some(Self { endpoint, emulator, enforce_iam: false, pid: None }))
    }
}

#[expect(clippy::disallowed_methods, reason = "the name that all of AWS's tools know")]
fn variable() -> Option<String> {
    std::env::var("AWS_ENDPOINT_URL").ok().filter(|value| !value.is_empty())
}

async fn answers(endpoint: &str, path: &str) -> bool {
    let Ok(client) = reqwest::Client::builder().timeout(Duration::from_secs(5)).build() else { return false };
    client.get(format!("{endpoint}{path}")).send().await.is_ok_and(|answer| answer.status().is_success())
}
