//! The two emulators: what each is started with, and where its things are. Nothing else knows which one runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::engine::{ACCOUNT, Options, REGION};
use crate::venv::Venv;
use crate::{paths, python};

/// An emulator of AWS that needs neither Docker nor an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Emulator {
    /// Quick, and the only one that enforces IAM.
    #[default]
    Ministack,
    /// Stricter: it refuses what AWS refuses.
    Localstack,
}

impl Emulator {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ministack, Self::Localstack];

    /// Its name, as options and files have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ministack => "ministack",
            Self::Localstack => "localstack",
        }
    }

    /// The virtual environment it runs in, made where it is not there yet.
    pub fn venv(self) -> Result<Venv> {
        let file = |name: &str| paths::workspace().join("tests/engine").join(name);
        let folder = |name: &str| paths::target().join("local").join(name);
        match self {
            Self::Ministack => Venv::ensure(&folder("venv"), &file("requirements.txt")),
            Self::Localstack => {
                let python = python::of(python::LOCALSTACK)?;
                Venv::ensure_with(&python, &folder("localstack"), &file("requirements-localstack.txt"))
            }
        }
    }

    /// The program that starts it.
    pub fn launcher(self) -> PathBuf {
        paths::workspace().join("tests/engine").join(format!("{}_launcher.py", self.name()))
    }

    /// The variables it is started with, beside those of every program. There are no others: both hand on what they have.
    pub fn environment(self, options: Options, tmp: &Path) -> Vec<(&'static str, String)> {
        let port = options.port;
        match self {
            Self::Ministack => {
                let mut all = vec![
                    ("GATEWAY_PORT", port.to_string()),
                    ("BIND_HOST", "127.0.0.1".to_owned()),
                    ("MINISTACK_HOST", "127.0.0.1".to_owned()),
                    ("IOT_MTLS_ENABLED", "0".to_owned()),
                    ("SFTP_ENABLED", "0".to_owned()),
                    ("MINISTACK_REGION", REGION.to_owned()),
                    ("MINISTACK_ACCOUNT_ID", ACCOUNT.to_owned()),
                    ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
                ];
                if options.enforce_iam {
                    all.push(("AUTH", "true".to_owned()));
                }
                all
            }
            Self::Localstack => vec![
                ("GATEWAY_LISTEN", format!("127.0.0.1:{port}")),
                ("FILESYSTEM_ROOT", tmp.display().to_string()),
                // Seconds before an event is tried again, twice that before the last try: as short as on MiniStack. AWS takes minutes.
                ("LAMBDA_RETRY_BASE_DELAY", "1".to_owned()),
            ],
        }
    }

    /// Where it answers once it is ready.
    pub const fn health(self) -> &'static str {
        match self {
            Self::Ministack => "/_ministack/health",
            Self::Localstack => "/_localstack/health",
        }
    }

    /// Where mail is shown that was sent.
    pub const fn mailbox(self) -> &'static str {
        match self {
            Self::Ministack => "/_ministack/ses/messages",
            Self::Localstack => "/_aws/mail",
        }
    }

    /// How HTTP APIs are reached without DNS: a value of the template's parameter `ApiAddress`.
    pub fn api_address(self, endpoint: &str) -> String {
        let prefix = match self {
            Self::Ministack => "/_aws/execute-api",
            Self::Localstack => "/_aws/http-api",
        };
        format!("{endpoint}{prefix}/{{api}}/$default")
    }

    /// How long an orderly end is waited for. LocalStack may never come to it, and saves nothing.
    pub const fn ends_within(self) -> Duration {
        match self {
            Self::Ministack => Duration::from_secs(30),
            Self::Localstack => Duration::from_secs(2),
        }
    }

    /// Does it check signatures and policies, when it is asked to?
    pub const fn enforces_iam(self) -> bool {
        matches!(self, Self::Ministack)
    }
}
