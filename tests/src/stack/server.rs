//! The data plane as a plain server: the binary of the `serve` function, outside Lambda.

use std::net::TcpListener;
use std::process::Stdio;

use aws_credential_types::provider::ProvideCredentials;
use tokio::process::{Child, Command};

use super::{Stack, until};

/// A running server; it ends with this value.
pub struct Server {
    _process: Child,
    /// Where it answers.
    pub base: String,
}

impl Stack {
    /// Starts the data plane on a free port, with its files in `folder`, and waits until it is alive.
    pub async fn serve(&self, folder: &std::path::Path) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        std::fs::create_dir_all(folder).expect("a folder for the server");
        let log = std::fs::File::create(folder.join("serve.log")).expect("the server's log");
        let provider = self.sdk.credentials_provider().expect("credentials");
        let credentials = provider.provide_credentials().await.expect("credentials");
        let endpoint = self.outputs.get("Endpoint").map(|endpoint| ("AWS_ENDPOINT_URL", endpoint.as_str()));
        let session = credentials.session_token().map(|token| ("AWS_SESSION_TOKEN", token));
        let process = Command::new(self.cli.with_file_name("fn-serve"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", folder)
            .envs(endpoint)
            .envs(session)
            .env("AWS_REGION", self.out("Region"))
            .env("AWS_ACCESS_KEY_ID", credentials.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key())
            // By it a server knows an emulator's deployment, where versions may run on this machine.
            .env("SEATRIAL_ACCOUNT", self.out("Account"))
            .env("SEATRIAL_TABLE", self.out("TableName"))
            .env("SEATRIAL_MODELS_BUCKET", self.out("ModelsBucket"))
            .env("SEATRIAL_OBSERVATIONS_QUEUE_URL", self.out("ObservationsQueueUrl"))
            .env("SEATRIAL_SIGNING_KEY", self.out("SigningKeyArn"))
            .env("SEATRIAL_ONNXRUNTIME", &self.onnxruntime)
            .env("SEATRIAL_LISTEN", format!("127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the server's log"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("fn-serve lies beside the command line");
        let base = format!("http://127.0.0.1:{port}");
        let alive = format!("{base}/v2/health/live");
        until("the data plane", 20, async || {
            reqwest::get(&alive).await.is_ok_and(|a| a.status().is_success()).then_some(())
        })
        .await;
        Server { _process: process, base }
    }
}
