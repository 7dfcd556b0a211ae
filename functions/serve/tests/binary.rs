//! The program itself: how it starts, what it says when it cannot, and how it ends. Its registry is a closed port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("seatrial-serve-binary-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn program(scratch: &Scratch, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fn-serve"));
    command.env_clear().env("TMPDIR", &scratch.0).envs([
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "000000000000"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("SEATRIAL_TABLE", "t"),
        ("SEATRIAL_MODELS_BUCKET", "b"),
        ("SEATRIAL_OBSERVATIONS_QUEUE_URL", "http://127.0.0.1:9/q"),
    ]);
    command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn started(scratch: &Scratch, port: u16) -> Child {
    let child = program(scratch, &[("SEATRIAL_LISTEN", &format!("127.0.0.1:{port}"))]).spawn().unwrap();
    let began = Instant::now();
    while get(port, "/v2/health/live").is_none() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success()
    );
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn it_serves_ends_in_order_and_leaves_no_marker() {
    let scratch = Scratch::new();
    let port = free_port();
    let child = started(&scratch, port);
    let answer = get(port, "/v2/models/adult-income/ready").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("route-unreadable"), "{answer}");
    assert!(get(port, "/metrics").unwrap().contains("seatrial_versions_loaded 0"));
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", log(&output));
    assert!(!log(&output).contains("last observations"), "there were none to lose: {}", log(&output));
    let folder = std::fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_dir(folder.join("markers")).unwrap().count(), 0);
}

#[test]
fn the_lock_of_a_killed_process_goes_with_it_and_of_a_living_one_stays() {
    let scratch = Scratch::new();
    let mut killed = started(&scratch, free_port());
    let markers = std::fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap().path().join("markers");
    assert!(fn_serve::journal::wrecks(&markers).unwrap().is_empty());
    signal(&killed, "KILL");
    killed.wait().unwrap();
    let found = fn_serve::journal::wrecks(&markers).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].markers.is_empty(), "it was doing nothing");
}

#[test]
fn what_keeps_it_from_running_is_said_in_one_line() {
    let scratch = Scratch::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (environment, words) in [
        (("SEATRIAL_TABLE", ""), "SEATRIAL_TABLE"),
        (("SEATRIAL_LISTEN", "8080"), "expected an address and a port"),
        (("SEATRIAL_LISTEN", address.as_str()), "is the port taken?"),
        (("SEATRIAL_MODELS", "No Name"), "SEATRIAL_MODELS"),
    ] {
        let output = program(&scratch, &[environment]).output().unwrap();
        let log = log(&output);
        assert_eq!(output.status.code(), Some(1), "{log}");
        // Before it there may be the word that signatures are not checked.
        let said = log.lines().filter(|line| !line.contains("not checked")).count();
        assert!(log.contains(words) && said == 1, "{log}");
    }
}

#[test]
fn without_a_key_a_server_says_once_that_signatures_are_not_checked_and_a_lambda_does_not_start() {
    let scratch = Scratch::new();
    let child = started(&scratch, free_port());
    signal(&child, "TERM");
    let log = log(&child.wait_with_output().unwrap());
    let said: Vec<&str> = log.lines().filter(|line| line.contains("not checked")).collect();
    assert!(said.len() == 1 && said[0].contains("SEATRIAL_SIGNING_KEY is not set"), "{log}");

    let lambda = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9");
    refuses_to_start(&scratch, &[lambda], "SEATRIAL_SIGNING_KEY");
    // A key that does not answer is no reason to go on without it, anywhere.
    let key = ("SEATRIAL_SIGNING_KEY", "alias/seatrial");
    for environment in [&[key][..], &[key, lambda]] {
        refuses_to_start(&scratch, environment, "the signing key alias/seatrial did not answer");
    }
}

fn refuses_to_start(scratch: &Scratch, environment: &[(&str, &str)], words: &str) {
    let output = program(scratch, environment).output().unwrap();
    let log = log(&output);
    assert!(output.status.code() == Some(1) && log.contains(words), "{log}");
    assert!(!log.contains("not checked"), "{log}");
}
