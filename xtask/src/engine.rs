//! A local engine: an emulator with its remedies, in a session of its own, on 127.0.0.1 only.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::emulator::Emulator;
use crate::processes::{self, Process};
use crate::venv::Venv;
use crate::{rights, run};

/// The account of every local engine. A template rule knows it: only here a local identity is allowed.
pub const ACCOUNT: &str = "000000000000";
/// The region of the local engine.
pub const REGION: &str = "us-east-1";
/// Where it listens unless told otherwise.
pub const DEFAULT_PORT: u16 = 4566;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is noted down about a running engine, so that a later call finds exactly this one.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Running {
    /// Which emulator it is.
    #[serde(default)]
    pub emulator: Emulator,
    /// Its process id, which is its session too.
    pub pid: i32,
    /// Its start in clock ticks since the machine's: with the pid it names one process for good.
    pub started: u64,
    /// The port of its gateway.
    pub port: u16,
    /// Are IAM policies and signatures enforced?
    pub enforce_iam: bool,
}

impl Running {
    /// The URL of its gateway.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// How to start an engine.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which emulator.
    pub emulator: Emulator,
    /// The port of the gateway.
    pub port: u16,
    /// Enforce IAM policies and signatures.
    pub enforce_iam: bool,
}

/// One engine's folder: pid file, log, temporary files.
#[derive(Clone, Debug)]
pub struct Engine {
    folder: PathBuf,
}

impl Engine {
    /// The engine whose state lies in `folder`.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// Where the engine writes what it says.
    pub fn log(&self) -> PathBuf {
        self.folder.join("engine.log")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("engine.json")
    }

    /// The engine that runs, if it is the very process that was started here.
    pub fn running(&self) -> Option<Running> {
        let noted: Running = serde_json::from_str(&fs::read_to_string(self.pid_file()).ok()?).ok()?;
        let process = processes::find(noted.pid)?;
        (process.started == noted.started && !process.zombie).then_some(noted)
    }

    /// Processes left of an engine that ended without ending its functions.
    fn leftovers(&self) -> Vec<Process> {
        let noted = fs::read_to_string(self.pid_file())
            .ok()
            .and_then(|text| serde_json::from_str::<Running>(&text).ok());
        match noted {
            Some(noted) => processes::of_session(noted.pid)
                .into_iter()
                .filter(|process| process.started >= noted.started)
                .collect(),
            None => Vec::new(),
        }
    }

    /// Starts the engine and waits until it answers. On any failure no process is left.
    pub fn start(&self, options: Options) -> Result<Running> {
        if !Path::new("/proc/self/stat").exists() {
            bail!(
                "the local engine runs the Linux binaries of the functions: use Linux (WSL and containers do)"
            );
        }
        self.stop()?;
        check_port(options.port)?;
        if options.enforce_iam && !options.emulator.enforces_iam() {
            bail!(
                "{} checks no IAM policies: leave --enforce-iam out, or use ministack",
                options.emulator.name()
            );
        }
        let venv = options.emulator.venv()?;
        let tmp = self.folder.join("tmp");
        fs::create_dir_all(&tmp).with_context(|| format!("cannot make {}", tmp.display()))?;
        let mut child = self.launch(&venv, &tmp, options)?;
        match self.settle(&mut child, options) {
            Ok(running) => Ok(running),
            Err(error) => {
                child.kill().ok();
                child.wait().ok();
                end_session(i32::try_from(child.id()).unwrap_or(0));
                fs::remove_file(self.pid_file()).ok();
                Err(error)
            }
        }
    }

    /// Starts the launcher with nothing in its environment but what it needs: the engine hands it on to every Lambda.
    fn launch(&self, venv: &Venv, tmp: &Path, options: Options) -> Result<Child> {
        let log =
            File::create(self.log()).with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut command = Command::new(venv.python());
        command
            .arg(options.emulator.launcher())
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", tmp)
            .env("TMPDIR", tmp)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(options.emulator.environment(options, tmp))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if options.enforce_iam {
            command.arg(rights::ledger(&self.folder));
        }
        command.spawn().with_context(|| format!("cannot start `{}`", run::shown(&command)))
    }

    /// Notes the process down, waits for its health, and looks where it listens.
    fn settle(&self, child: &mut Child, options: Options) -> Result<Running> {
        let pid = i32::try_from(child.id()).context("the process id does not fit")?;
        let process = processes::find(pid).with_context(|| self.died())?;
        let running = Running {
            emulator: options.emulator,
            pid,
            started: process.started,
            port: options.port,
            enforce_iam: options.enforce_iam,
        };
        let noted = serde_json::to_string_pretty(&running)?;
        fs::write(self.pid_file(), noted)
            .with_context(|| format!("cannot write {}", self.pid_file().display()))?;
        let mut dead = false;
        let healthy = processes::wait_until(PATIENCE, || {
            dead = !matches!(child.try_wait(), Ok(None));
            dead || answers(options.port, options.emulator.health())
        });
        if dead {
            bail!(self.died());
        }
        if !healthy {
            bail!(
                "the engine does not answer after {} s; the end of its log:\n{}",
                PATIENCE.as_secs(),
                self.log_end()
            );
        }
        let open = processes::listening(&processes::of_session(pid));
        if let Some(address) = open.iter().find(|address| !address.ip().is_loopback()) {
            bail!("the engine listens on {address}, which others can reach; it was stopped");
        }
        Ok(running)
    }

    fn died(&self) -> String {
        format!(
            "the engine ended right after its start; the end of its log ({}):\n{}",
            self.log().display(),
            self.log_end()
        )
    }

    fn log_end(&self) -> String {
        run::tail(&fs::read_to_string(self.log()).unwrap_or_default(), 15)
    }

    /// Ends the engine and every process of its session, waits, and makes sure; says whether one ran.
    pub fn stop(&self) -> Result<bool> {
        let running = self.running();
        if let Some(running) = &running {
            processes::signal(running.pid, Signal::TERM);
            processes::wait_until(running.emulator.ends_within(), || self.running().is_none());
        }
        let left = self.leftovers();
        for process in &left {
            processes::signal(process.pid, Signal::KILL);
        }
        if !processes::wait_until(Duration::from_secs(5), || self.leftovers().is_empty()) {
            let pids: Vec<String> = self.leftovers().iter().map(|process| process.pid.to_string()).collect();
            bail!("these processes of the engine do not end: {}", pids.join(", "));
        }
        fs::remove_file(self.pid_file()).ok();
        fs::remove_dir_all(self.folder.join("tmp")).ok();
        Ok(running.is_some() || !left.is_empty())
    }
}

/// Ends what is left of a session that was just started.
fn end_session(session: i32) {
    if session > 0 {
        for process in processes::of_session(session) {
            processes::signal(process.pid, Signal::KILL);
        }
    }
}

/// Refuses with one sentence when the port is taken.
fn check_port(port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_err()
        && TcpListener::bind(address).is_ok()
    {
        return Ok(());
    }
    let owner = processes::listener_on(port).unwrap_or_else(|| "another program".to_owned());
    bail!("port {port} is taken by {owner}; stop it, or choose another one with --port");
}

/// Does an engine answer at this path?
fn answers(port: u16, path: &str) -> bool {
    use std::io::{Read, Write};
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let mut first = [0; 15];
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut first).is_ok()
        && first.starts_with(b"HTTP/1.1 200")
}
