//! Which addresses a hook may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// What the deployment lets hooks reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The deployment's parameter that names the hosts, for messages.
    parameter: &'static str,
    /// Hosts, or `host:port` where the port is not 443; lower case. Empty: none.
    hosts: Vec<String>,
    /// Whether plain `http://127.0.0.1` is allowed too: on an emulator only.
    local: bool,
}

impl Allowed {
    /// Hosts separated by commas, as the deployment's `parameter` gives them. `local`: whether this is an emulator.
    #[must_use]
    pub fn of(parameter: &'static str, hosts: &str, local: bool) -> Self {
        let hosts = hosts.split(',').map(|h| h.trim().to_lowercase()).filter(|h| !h.is_empty());
        Self { parameter, hosts: hosts.collect(), local }
    }

    /// Whether this may be called by its text alone, and what is wrong otherwise. Its addresses are looked at when they are
    /// known.
    pub(crate) fn url(&self, text: &str) -> Result<Hook, String> {
        let url = Url::parse(text).map_err(|e| format!("its address cannot be read ({e})"))?;
        let host = url.host_str().ok_or("its address names no host")?.to_lowercase();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "its address holds a user or a password; send secrets in a way that is not recorded".into()
            );
        }
        let port = url.port_or_known_default().unwrap_or(443);
        if url.scheme() == "http" && host == "127.0.0.1" {
            return if self.local {
                Ok(Hook { url, host, port, local: true })
            } else {
                Err("its address is this machine's own; expected https and a public host".into())
            };
        }
        if url.scheme() != "https" {
            return Err(format!("its address begins with {}; expected https", url.scheme()));
        }
        let full = if port == 443 { host.clone() } else { format!("{host}:{port}") };
        if !self.hosts.contains(&full) {
            return Err(format!(
                "the deployment does not allow {full} to be called; name it in the parameter {}",
                self.parameter
            ));
        }
        Ok(Hook { url, host, port, local: false })
    }
}

/// An address that may be called if it leads to public machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) url: Url,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether it is this machine's own, on an emulator.
    pub(crate) local: bool,
}

/// Whether an address is one of the public internet: a hook must not reach into the account's own network, or to the
/// metadata of the machine it runs on.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => public_v4(v4),
        IpAddr::V6(v6) => public_v6(v6),
    }
}

fn public_v4(a: Ipv4Addr) -> bool {
    let [first, second, third, _] = a.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let protocols = first == 192 && second == 0 && third == 0;
    let benchmarks = first == 198 && (18..20).contains(&second);
    let relays = first == 192 && second == 88 && third == 99;
    !(first == 0
        || first >= 224
        || a.is_private()
        || a.is_loopback()
        || a.is_link_local()
        || a.is_documentation()
        || shared
        || protocols
        || benchmarks
        || relays)
}

/// Only global unicast (2000::/3), and of that neither documentation nor what carries an IPv4 address inside.
fn public_v6(a: Ipv6Addr) -> bool {
    if let Some(v4) = a.to_ipv4_mapped() {
        return public_v4(v4);
    }
    let [first, second, ..] = a.segments();
    let global = first & 0xe000 == 0x2000;
    let documentation = (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second < 0x1000);
    let tunnels = first == 0x2002 || (first == 0x2001 && second < 0x0200);
    global && !documentation && !tunnels
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for public in ["8.8.8.8", "93.184.215.14", "2606:4700::6810:84e5", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "::a00:1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn only_allowed_hosts_over_https() {
        let allowed = Allowed::of("CheckHosts", "Checks.example.com, other.example.com:8443", false);
        assert!(allowed.url("https://checks.example.com/a?b=c").is_ok());
        assert!(allowed.url("https://CHECKS.example.com:443/").is_ok());
        assert!(allowed.url("https://other.example.com:8443/").is_ok());
        for (url, word) in [
            ("http://checks.example.com/", "expected https"),
            ("https://checks.example.com:444/", "does not allow"),
            ("https://other.example.com/", "does not allow"),
            ("https://evil.example.com/checks.example.com", "does not allow"),
            ("https://checks.example.com.evil.example/", "does not allow"),
            ("https://checks.example.com@evil.example/", "user or a password"),
            ("https://169.254.169.254/latest", "does not allow"),
            ("http://127.0.0.1:8080/", "this machine's own"),
            ("file:///etc/passwd", "names no host"),
            ("nonsense", "cannot be read"),
        ] {
            let found = allowed.url(url).unwrap_err();
            assert!(found.contains(word), "{url}: {found}");
        }
        assert!(
            Allowed::default().url("https://checks.example.com/").is_err(),
            "an empty list allows nothing"
        );
        assert!(Allowed::of("CheckHosts", "", true).url("http://127.0.0.1:8080/").unwrap().local);
        assert!(Allowed::of("CheckHosts", "", true).url("http://127.0.0.2:8080/").is_err());
    }
}
