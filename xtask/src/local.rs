//! `cargo xtask local up|down|status`: the whole stack on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::dropped::World;
use crate::emulator::Emulator;
use crate::engine::{ACCOUNT, DEFAULT_PORT, Engine, Options, REGION, Running};
use crate::place::Place;
use crate::stack::{self, STACK, Target};
use crate::template::{Scope, Template};
use crate::zips::{self, Profile};
use crate::{dropped, interrupt, outputs, paths, processes, say};

/// The local engine and the stack on it.
#[derive(Subcommand)]
pub enum Local {
    /// Start the engine if it does not run, and deploy or update the stack.
    Up(Up),
    /// End the engine and every function on it.
    Down,
    /// Say what runs, and where.
    Status(Status),
}

/// How to bring the stack up.
#[derive(Args)]
pub struct Up {
    /// The emulator: ministack unless told otherwise. One that runs already, at AWS_ENDPOINT_URL, is used as it is.
    #[arg(long, value_enum)]
    pub engine: Option<Emulator>,
    /// Port of the engine on 127.0.0.1.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub port: u16,
    /// Enforce IAM policies and signatures, to prove least privilege.
    #[arg(long)]
    pub enforce_iam: bool,
    /// Deploy the small release binaries instead of the quickly built ones.
    #[arg(long)]
    pub release: bool,
    /// Deploy unoptimised binaries with their checks for overflow, as the tests do.
    #[arg(long, conflicts_with = "release")]
    pub debug: bool,
    /// Deploy the zips that are there instead of building them.
    #[arg(long)]
    pub no_build: bool,
    /// An engine of its own, also where AWS_ENDPOINT_URL names one.
    #[arg(skip)]
    pub own: bool,
    /// Set a parameter of the template.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    pub parameters: Vec<(String, String)>,
}

/// How to show the state.
#[derive(Args)]
pub struct Status {
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Forms of output.
#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The folder of the engine that people use.
pub fn folder() -> PathBuf {
    paths::target().join("local")
}

/// Where `up` writes what it made, for an engine in this folder.
pub fn outputs_file(folder: &Path) -> PathBuf {
    folder.join("outputs.json")
}

/// Carries out the command on the engine that people use.
pub fn run(command: &Local) -> Result<()> {
    match command {
        Local::Up(wanted) => {
            let (_, place) = up(&folder(), wanted)?;
            if place.pid.is_some() { show_status(Format::Table) } else { show_outputs(&place) }
        }
        Local::Down => {
            if down(&folder())? {
                say::note("the engine and its functions have ended");
            } else {
                say::note("no engine was running");
            }
            Ok(())
        }
        Local::Status(wanted) => show_status(wanted.output),
    }
}

/// Builds, starts, deploys and verifies; returns where the outputs lie, and where the stack is. Leaves no process behind when the
/// engine was started in vain.
pub fn up(folder: &Path, wanted: &Up) -> Result<(PathBuf, Place)> {
    let template = read_template()?;
    let profile = match (wanted.release, wanted.debug) {
        (true, _) => Profile::Release,
        (false, true) => Profile::Debug,
        (false, false) => Profile::Fast,
    };
    let packed = if wanted.no_build { zips::found()? } else { zips::build(profile)? };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let start = say::step("Local engine");
    let engine = Engine::at(folder);
    let before = engine.running();
    let named = if wanted.own { None } else { runtime()?.block_on(Place::named(wanted.engine))? };
    let place = match (named, &before) {
        (Some(place), _) => place,
        (None, Some(running)) => Place::from(&same(running, wanted)?),
        (None, None) => {
            let emulator = wanted.engine.unwrap_or_default();
            let options = Options { emulator, port: wanted.port, enforce_iam: wanted.enforce_iam };
            Place::from(&engine.start(options)?)
        }
    };
    say::note(format!("{} after {}", place.shown(), say::took(start.elapsed())));
    let deployed = runtime()?.block_on(deploy(&place, &template, &packed, &wanted.parameters));
    let result = deployed.and_then(|outputs| {
        let file = outputs_file(folder);
        outputs::write(&file, &outputs)?;
        interrupt::check()?;
        Ok((file, place.clone()))
    });
    if result.is_err() && before.is_none() && place.pid.is_some() {
        engine.stop()?;
    }
    result
}

/// Ends the engine of this folder; says whether one ran.
pub fn down(folder: &Path) -> Result<bool> {
    let ran = Engine::at(folder).stop()?;
    fs::remove_file(outputs_file(folder)).ok();
    Ok(ran)
}

/// A port that is free now.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// The running engine may be used when it is as it was asked for.
fn same(running: &Running, wanted: &Up) -> Result<Running> {
    if wanted.engine.is_some_and(|engine| engine != running.emulator) {
        bail!("{} runs already: `cargo xtask local down` first", running.emulator.name());
    }
    if running.port != wanted.port {
        bail!(
            "the engine runs already, on port {}: use --port {0}, or `cargo xtask local down` first",
            running.port
        );
    }
    if running.enforce_iam != wanted.enforce_iam {
        bail!(
            "the engine runs already, with another setting of --enforce-iam: `cargo xtask local down` first"
        );
    }
    Ok(running.clone())
}

pub fn read_template() -> Result<String> {
    let path = paths::workspace().join("infra/template.yaml");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", paths::shown(&path)))
}

pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
}

/// Parameters that are other here than on AWS: HTTP APIs are reached by path instead of by DNS, and mail is caught by the engine.
fn of_this_machine(place: &Place) -> [(String, String); 2] {
    let address = place.emulator.api_address(&place.endpoint);
    [("ApiAddress".to_owned(), address), ("MailFrom".to_owned(), dropped::MAIL_FROM.to_owned())]
}

async fn deploy(
    place: &Place,
    text: &str,
    packed: &[zips::Packed],
    asked: &[(String, String)],
) -> Result<BTreeMap<String, String>> {
    let start = say::step(format!("Stack {STACK}"));
    let template = Template::parse(text)?;
    let sdk = stack::sdk(&place.endpoint).await;
    let target = Target::emulated(&sdk);
    let mut keys = target.upload(packed).await?;
    say::note(format!("{} artifacts uploaded after {}", keys.len() - 1, say::took(start.elapsed())));
    keys.extend(of_this_machine(place));
    let asked: BTreeMap<String, String> = asked.iter().cloned().collect();
    let parameters = stack::choose(&template, &keys, &asked)?;
    let deployed = target.deploy(text, parameters).await?;
    let did = if deployed.changed { "deployed" } else { "unchanged" };
    say::note(format!("{} resources {did} after {}", deployed.physical.len(), say::took(start.elapsed())));
    let scope = Scope {
        parameters: &deployed.parameters,
        physical: &deployed.physical,
        account: ACCOUNT,
        region: REGION,
        stack: STACK,
    };
    dropped::apply(&World { template: &template, scope: &scope, sdk: &sdk }).await?;
    say::note(format!("done after {}", say::took(start.elapsed())));
    Ok(outputs::collect(place, &deployed.outputs))
}

/// What was deployed to an engine that is not ours to end.
fn show_outputs(place: &Place) -> Result<()> {
    let file = outputs_file(&folder());
    let mut rows = vec![["engine".to_owned(), place.shown()], ["outputs".to_owned(), paths::shown(&file)]];
    rows.extend(outputs::read(&file)?.into_iter().map(|(name, value)| [name, value]));
    say::out(say::table(["what", "value"], rows));
    Ok(())
}

fn show_status(format: Format) -> Result<()> {
    let folder = folder();
    let running = Engine::at(&folder).running();
    let known = if running.is_some() { outputs::read(&outputs_file(&folder)).ok() } else { None };
    let functions =
        running.as_ref().map_or(0, |running| processes::of_session(running.pid).len().saturating_sub(1));
    match format {
        Format::Json => {
            let value = json!({
                "running": running.is_some(),
                "engine": running,
                "function_processes": functions,
                "outputs_file": known.is_some().then(|| outputs_file(&folder)),
                "outputs": known,
            });
            say::out(serde_json::to_string_pretty(&value)?);
        }
        Format::Table => match running {
            None => say::out("No local engine runs. `cargo xtask local up` starts one."),
            Some(running) => {
                let log = paths::shown(&Engine::at(&folder).log());
                let mut rows = vec![
                    [
                        "engine".to_owned(),
                        format!(
                            "{} at {} (pid {}, {functions} function processes)",
                            running.emulator.name(),
                            running.endpoint(),
                            running.pid
                        ),
                    ],
                    ["log".to_owned(), log],
                ];
                match known {
                    Some(outputs) => {
                        rows.push(["outputs".to_owned(), paths::shown(&outputs_file(&folder))]);
                        rows.extend(outputs.into_iter().map(|(name, value)| [name, value]));
                    }
                    None => {
                        rows.push([
                            "stack".to_owned(),
                            "not deployed: run `cargo xtask local up`".to_owned(),
                        ]);
                    }
                }
                say::out(say::table(["what", "value"], rows));
            }
        },
    }
    Ok(())
}
