//! The gate on glibc: an artifact may only ask for symbols that `provided.al2023` has.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, run};

/// The glibc of Amazon Linux 2023, as (major, minor).
pub const AL2023: (u32, u32) = (2, 34);

/// What a binary asks for: the newest version, and the symbols that are newer than Amazon Linux 2023.
#[derive(Debug, PartialEq, Eq)]
pub struct Needs {
    /// The newest version of glibc among the symbols.
    pub newest: (u32, u32),
    /// Symbols that Amazon Linux 2023 lacks, with the version each wants.
    pub too_new: Vec<String>,
}

impl Needs {
    /// Why an artifact does not run on Amazon Linux 2023.
    pub fn refusal(&self, artifact: &Path) -> String {
        let (major, minor) = AL2023;
        format!(
            "{} asks for glibc {}.{}, but provided.al2023 has {major}.{minor}: {}. `cargo xtask package-lambdas` links against the older one",
            paths::shown(artifact),
            self.newest.0,
            self.newest.1,
            self.too_new.join(", ")
        )
    }
}

/// The newest version that an artifact asks for; an error when Amazon Linux 2023 lacks it.
pub fn required(artifact: &Path) -> Result<(u32, u32)> {
    let needs = needs(artifact)?;
    if needs.too_new.is_empty() {
        return Ok(needs.newest);
    }
    bail!(needs.refusal(artifact))
}

/// Reads what a binary asks for, with `objdump -T`.
pub fn needs(binary: &Path) -> Result<Needs> {
    if !run::exists("objdump") {
        bail!(
            "objdump is missing, so the glibc of the artifacts cannot be checked; install the package `binutils`"
        );
    }
    let mut command = Command::new("objdump");
    command.arg("-T").arg(binary);
    Ok(parse(
        &run::quiet(&mut command)
            .with_context(|| format!("cannot read the symbols of {}", paths::shown(binary)))?,
    ))
}

/// Finds `(GLIBC_2.34) name` in each line of a symbol table.
fn parse(symbols: &str) -> Needs {
    let mut needs = Needs { newest: (0, 0), too_new: Vec::new() };
    for line in symbols.lines() {
        let Some((_, rest)) = line.split_once("GLIBC_") else { continue };
        let version: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let mut numbers = version.split('.').map_while(|part| part.parse().ok());
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        needs.newest = needs.newest.max(found);
        if found > AL2023 {
            let name = line.split_whitespace().next_back().unwrap_or("?");
            needs.too_new.push(format!("{name} (GLIBC_{version})"));
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_symbols_are_named() {
        let table = "\
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.34) pthread_join
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.2.5) memcpy
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.35) hypot
0000000000000000      DF *UND*  0000000000000000 (GCC_3.0)   _Unwind_Resume
";
        assert_eq!(parse(table), Needs { newest: (2, 35), too_new: vec!["hypot (GLIBC_2.35)".to_owned()] });
    }

    #[test]
    fn a_static_binary_needs_nothing() {
        assert_eq!(parse("no symbols\n"), Needs { newest: (0, 0), too_new: Vec::new() });
    }
}
