//! Processes and their sockets, read from `/proc`: who belongs to a session, and where it listens.
//!
//! A process id alone may have been given to another program since it was noted down; together with the start time it is ours.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// One line of `/proc/<pid>/stat`, as far as it is used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    /// The session it belongs to: the pid of the process that called `setsid`.
    pub session: i32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
    /// Has it ended, and only waits to be reaped?
    pub zombie: bool,
}

/// The process of this id, if there is one.
pub fn find(pid: i32) -> Option<Process> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// All living processes of a session, itself included.
pub fn of_session(session: i32) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(find)
        .filter(|process| process.session == session && !process.zombie)
        .collect()
}

/// Sends a signal; a process that is gone is no error.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process(pid, signal).ok();
    }
}

/// Waits until `done` holds; says whether it did in time.
pub fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
}

/// The addresses on which these processes listen for TCP connections.
pub fn listening(processes: &[Process]) -> Vec<SocketAddr> {
    let sockets: HashSet<u64> = processes.iter().flat_map(|process| sockets_of(process.pid)).collect();
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| parse_listeners(&table))
        .filter(|(_, inode)| sockets.contains(inode))
        .map(|(address, _)| address)
        .collect()
}

/// The inodes of the sockets a process holds open.
fn sockets_of(pid: i32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// The name of the program that listens on this port of 127.0.0.1, as far as we may see it.
pub fn listener_on(port: u16) -> Option<String> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let inodes: HashSet<u64> = parse_listeners(&table)
        .into_iter()
        .filter(|(address, _)| address.port() == port)
        .map(|(_, inode)| inode)
        .collect();
    fs::read_dir("/proc").ok()?.find_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        sockets_of(pid).iter().any(|inode| inodes.contains(inode)).then(|| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim())
        })
    })
}

/// The fields of a stat line; the name in parentheses may contain spaces and parentheses itself.
fn parse_stat(line: &str) -> Option<Process> {
    let pid = line.split(' ').next()?.parse().ok()?;
    let rest: Vec<&str> = line.get(line.rfind(')')? + 2..)?.split_whitespace().collect();
    Some(Process {
        pid,
        session: rest.get(3)?.parse().ok()?,
        started: rest.get(19)?.parse().ok()?,
        zombie: *rest.first()? == "Z",
    })
}

/// The listening sockets of a `/proc/net/tcp` table with their inodes.
fn parse_listeners(table: &str) -> Vec<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (*fields.get(3)? == LISTEN).then_some(())?;
            Some((parse_address(fields.get(1)?)?, fields.get(9)?.parse().ok()?))
        })
        .collect()
}

/// `0100007F:11D6`: words in the byte order of the machine, in hexadecimal.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<[u8; 4]> = (0..host.len() / 8)
        .map(|i| Some(u32::from_str_radix(host.get(i * 8..i * 8 + 8)?, 16).ok()?.to_ne_bytes()))
        .collect::<Option<_>>()?;
    let ip = match words.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(*word)),
        [_, _, _, _] => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line = "77 (a) b)) S 1 77 70 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9";
        let process = parse_stat(line).unwrap();
        assert_eq!((process.pid, process.session, process.started, process.zombie), (77, 70, 4242, false));
    }

    #[test]
    fn this_process_is_found() {
        let own = find(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.started > 0 && !own.zombie);
    }

    #[test]
    fn addresses_are_read_in_the_order_of_the_machine() {
        assert_eq!(parse_address("0100007F:11D6").unwrap(), "127.0.0.1:4566".parse().unwrap());
        assert_eq!(parse_address("00000000:0050").unwrap(), "0.0.0.0:80".parse().unwrap());
        assert_eq!(
            parse_address("00000000000000000000000001000000:0050").unwrap(),
            "[::1]:80".parse().unwrap()
        );
    }

    #[test]
    fn a_listener_of_this_process_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = find(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(listening(&[own]).contains(&listener.local_addr().unwrap()));
    }
}
