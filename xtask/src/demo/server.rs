//! The data plane as a plain server: the binary of the `serve` function, outside Lambda.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::{local, paths};

/// A running server; it ends with this value.
pub struct Server {
    process: Child,
    /// Where it answers.
    pub base: String,
}

impl Server {
    /// Starts the server on a free port and waits until it is alive.
    pub async fn start(outputs: &BTreeMap<String, String>, folder: &Path) -> Result<Self> {
        let port = local::free_port()?;
        let get = |name: &str| outputs.get(name).with_context(|| format!("the stack has no output {name}"));
        let binary = paths::target().join("fast/fn-serve");
        let log = std::fs::File::create(folder.join("serve.log")).context("cannot write the server's log")?;
        let state = folder.join("serve");
        std::fs::create_dir_all(&state).context("cannot make the server's folder")?;
        let process = Command::new(&binary)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", &state)
            .env("AWS_ENDPOINT_URL", get("Endpoint")?)
            .env("AWS_REGION", get("Region")?)
            .env("AWS_ACCESS_KEY_ID", get("Account")?)
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("SEATRIAL_TABLE", get("TableName")?)
            .env("SEATRIAL_MODELS_BUCKET", get("ModelsBucket")?)
            .env("SEATRIAL_OBSERVATIONS_QUEUE_URL", get("ObservationsQueueUrl")?)
            .env("SEATRIAL_ONNXRUNTIME", crate::onnxruntime::ensure()?)
            .env("SEATRIAL_LISTEN", format!("127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot write the server's log")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", paths::shown(&binary)))?;
        let mut server = Self { process, base: format!("http://127.0.0.1:{port}") };
        server.wait(folder).await?;
        Ok(server)
    }

    async fn wait(&mut self, folder: &Path) -> Result<()> {
        for _ in 0..100 {
            if let Some(status) = self.process.try_wait()? {
                bail!(
                    "the data plane ended ({status}); its log is {}",
                    paths::shown(&folder.join("serve.log"))
                );
            }
            if reqwest::get(format!("{}/v2/health/live", self.base))
                .await
                .is_ok_and(|a| a.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!(
            "the data plane did not answer within 10 s; its log is {}",
            paths::shown(&folder.join("serve.log"))
        )
    }

    /// Ends the server: it flushes what it has to report first.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.process.id() {
            crate::processes::signal(pid as i32, rustix::process::Signal::TERM);
        }
        tokio::time::timeout(Duration::from_secs(10), self.process.wait())
            .await
            .context("the data plane did not end")??;
        Ok(())
    }
}
