//! `cargo xtask package-lambdas`: the zips for real Lambdas, through [cargo-lambda](https://www.cargo-lambda.info).
//!
//! zig links against the glibc of Amazon Linux 2023 whatever this machine has, and for either processor. The same commit gives the
//! same zips: the lock file is kept, the paths of this machine are replaced in what compilers write down, and the zip's bytes depend on
//! its members alone.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::onnxruntime::Processor;
use crate::venv::Venv;
use crate::{digest, glibc, onnxruntime, paths, run, say, zips};

/// What Lambda takes unpacked: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const MOST_UNPACKED: u64 = 250 * 1024 * 1024;

/// The manifest's file. `infra/cdk/lib/artifacts.ts` reads it under the same name.
const MANIFEST: &str = "zips.json";

/// What the manifest says and how; other readers than this release's are told by another number.
const SCHEMA: u32 = 1;

/// What to package.
#[derive(Args)]
pub struct PackageLambdas {
    /// For this processor only; may be given more than once. By default for each that the toolchain can compile for.
    #[arg(long = "arch", value_enum)]
    architectures: Vec<Architecture>,
    /// Only this function; may be given more than once.
    #[arg(long = "function", value_name = "NAME")]
    functions: Vec<String>,
}

/// The processors of Lambda, as its API names them.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Architecture {
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86,
    /// Graviton.
    #[value(name = "arm64")]
    Arm,
}

impl Architecture {
    fn triple(self) -> &'static str {
        match self {
            Self::X86 => "x86_64-unknown-linux-gnu",
            Self::Arm => "aarch64-unknown-linux-gnu",
        }
    }

    fn processor(self) -> Processor {
        match self {
            Self::X86 => Processor::X86,
            Self::Arm => Processor::Arm,
        }
    }

    /// Whether this toolchain has the standard library of the target.
    fn compiles(self) -> Result<bool> {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir", "--target", self.triple()]);
        let folder = run::quiet(&mut rustc).context("cannot ask rustc for its targets")?;
        Ok(Path::new(folder.trim()).exists())
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86 => "x86_64",
            Self::Arm => "arm64",
        })
    }
}

/// What the zips of a folder are. The construct of `infra/cdk` deploys a folder only if this names every zip with its hash.
#[derive(Serialize, Deserialize)]
struct Manifest {
    schema: u32,
    /// The release, which is the workspace's version.
    version: String,
    /// As Lambda's API names it.
    processor: String,
    /// The SHA-256 of each zip by the name of its file.
    zips: BTreeMap<String, String>,
}

impl Manifest {
    /// What was packaged now, and of the manifest before it what is of the same release and processor and still a function's zip.
    ///
    /// Of any other manifest nothing is kept, since nobody could tell such zips from those of now: they are to be packaged anew.
    fn merged(
        before: Option<&str>,
        architecture: Architecture,
        packed: BTreeMap<String, String>,
        functions: &[String],
    ) -> Self {
        let mut now = Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            processor: architecture.to_string(),
            zips: BTreeMap::new(),
        };
        let before = before.and_then(|text| serde_json::from_str::<Self>(text).ok());
        if let Some(before) = before.filter(|before| before.is_like(&now)) {
            now.zips = before.zips;
        }
        now.zips.retain(|zip, _| functions.iter().any(|name| *zip == zip_of(name)));
        now.zips.extend(packed);
        now
    }

    fn is_like(&self, other: &Self) -> bool {
        self.schema == other.schema && self.version == other.version && self.processor == other.processor
    }

    /// The functions whose zips it does not name.
    fn lacks<'a>(&self, functions: &'a [String]) -> Vec<&'a str> {
        functions.iter().map(String::as_str).filter(|name| !self.zips.contains_key(&zip_of(name))).collect()
    }

    /// As it is written. Nothing in it but what it says: the same zips give the same bytes.
    fn text(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The same hashes for people, as `sha256sum` writes and checks them.
    fn sums(&self) -> String {
        self.zips.iter().map(|(zip, sha256)| format!("{sha256}  {zip}\n")).collect()
    }
}

/// The zip of a function.
fn zip_of(name: &str) -> String {
    format!("{name}.zip")
}

/// Packages, and lists what there is.
pub fn run(wanted: &PackageLambdas) -> Result<()> {
    let functions = zips::functions()?;
    let names = chosen(&wanted.functions, functions.clone())?;
    let all = wanted.architectures.is_empty();
    let asked = if all { Architecture::value_variants() } else { &wanted.architectures };
    let mut rows = Vec::new();
    for architecture in asked.iter().copied() {
        if architecture.compiles()? {
            rows.extend(package(architecture, &names, &functions)?);
            continue;
        }
        let lacking = format!(
            "{architecture}: this toolchain has no standard library for {0}; `rustup target add {0}` installs it",
            architecture.triple()
        );
        if !all {
            bail!(lacking);
        }
        say::note(format!("SKIPPED {lacking}"));
    }
    if rows.is_empty() {
        bail!("this toolchain compiles for no processor of Lambda");
    }
    say::out(say::table(
        ["function", "processor", "zip", "unpacked", "newest glibc", "SHA-256 of the zip"],
        rows,
    ));
    Ok(())
}

fn chosen(asked: &[String], all: Vec<String>) -> Result<Vec<String>> {
    if let Some(unknown) = asked.iter().find(|name| !all.contains(name)) {
        bail!("there is no function {unknown:?}; the functions are {}", all.join(", "));
    }
    Ok(if asked.is_empty() { all } else { asked.to_vec() })
}

fn package(architecture: Architecture, names: &[String], functions: &[String]) -> Result<Vec<[String; 6]>> {
    let clock = say::step(format!("Zips for Lambda ({architecture})"));
    let folder = paths::target().join("package").join(architecture.to_string());
    let binaries = compile(architecture, names, &folder)?;
    say::note(format!("compiled in {}", say::took(clock.elapsed())));
    let library = onnxruntime::ensure_for(architecture.processor())?;
    let packing = Instant::now();
    let (mut rows, mut packed) = (Vec::new(), BTreeMap::new());
    for (name, binary) in names.iter().zip(binaries) {
        let library = zips::runs_models(name).then_some(library.as_path());
        let mut newest = (0, 0);
        let mut unpacked = 0;
        for file in [Some(binary.as_path()), library].into_iter().flatten() {
            newest = newest.max(glibc::required(file)?);
            unpacked += fs::metadata(file)?.len();
        }
        if unpacked > MOST_UNPACKED {
            bail!("{name} takes {unpacked} bytes unpacked; Lambda takes at most {MOST_UNPACKED}");
        }
        let zip = folder.join(zip_of(name));
        zips::write(&zip, &binary, library)?;
        let sha256 = digest::of_file(&zip)?;
        packed.insert(zip_of(name), sha256.clone());
        let size = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let version = format!("{}.{}", newest.0, newest.1);
        let row = [
            name.clone(),
            architecture.to_string(),
            size(fs::metadata(&zip)?.len()),
            size(unpacked),
            version,
            sha256,
        ];
        rows.push(row);
    }
    // One that cannot be read says of no zip what it is.
    let before = fs::read_to_string(folder.join(MANIFEST)).ok();
    let manifest = Manifest::merged(before.as_deref(), architecture, packed, functions);
    for (name, text) in [("SHA256SUMS", manifest.sums()), (MANIFEST, manifest.text()?)] {
        let list = folder.join(name);
        fs::write(&list, text).with_context(|| format!("cannot write {}", paths::shown(&list)))?;
    }
    let lacks = manifest.lacks(functions);
    if !lacks.is_empty() {
        say::note(format!(
            "not packaged for {architecture} in this release: {}; the construct refuses the folder without them",
            lacks.join(", ")
        ));
    }
    say::note(format!("packed in {}: {}", say::took(packing.elapsed()), paths::shown(&folder)));
    Ok(rows)
}

/// Compiles with cargo-lambda; the binaries in the order of the names.
fn compile(architecture: Architecture, names: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
    let requirements = paths::workspace().join("infra/requirements-package.txt");
    let venv = Venv::ensure(&paths::target().join("local/package"), &requirements)?;
    let (major, minor) = glibc::AL2023;
    let bin = folder.join("bin");
    let mut cargo = Command::new(venv.program("cargo-lambda"));
    cargo.current_dir(paths::workspace());
    // Our own profile instead of cargo-lambda's: it is what the rest of the project measures.
    cargo.args(["lambda", "build", "--release", "--disable-optimizations", "--locked", "--bins"]);
    cargo.args(["--target", &format!("{}.{major}.{minor}", architecture.triple())]);
    // By its variable: cargo-lambda hands the flag on to `cargo metadata` as well, which does not know it.
    cargo.env("CARGO_TARGET_DIR", paths::target().join("package/build"));
    cargo.arg("--lambda-dir").arg(&bin);
    for name in names {
        cargo.args(["--package", &zips::package(name)]);
    }
    for (variable, value) in same_everywhere()? {
        cargo.env(variable, value);
    }
    // zig comes with the environment; nothing else on this machine is used to link.
    let path = format!("{}:{}", venv.program("").display(), env("PATH").unwrap_or_default());
    run::loud(cargo.env("PATH", path)).context("cargo-lambda cannot build the functions")?;
    names
        .iter()
        .map(|name| {
            let binary = bin.join(zips::package(name)).join("bootstrap");
            binary
                .exists()
                .then_some(binary)
                .with_context(|| format!("cargo-lambda left no binary for {name}"))
        })
        .collect()
}

/// Flags that keep this machine's paths out of binaries.
fn same_everywhere() -> Result<[(&'static str, String); 3]> {
    let home = match env("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"),
    };
    let places = [(paths::workspace(), "/seatrial"), (home, "/cargo")];
    let rust: Vec<String> =
        places.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
    let c: Vec<String> =
        places.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).collect();
    // An unit separator, since a path may hold a space.
    Ok([("CARGO_ENCODED_RUSTFLAGS", rust.join("\u{1f}")), ("CFLAGS", c.join(" ")), ("CXXFLAGS", c.join(" "))])
}

#[expect(clippy::disallowed_methods, reason = "cargo and the search path are told by the environment")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_function_is_refused_with_the_known_ones() {
        let all = || vec!["crown".to_owned(), "shift".to_owned()];
        let error = chosen(&["crwon".to_owned()], all()).unwrap_err().to_string();
        assert!(error.contains("crwon") && error.contains("crown, shift"), "{error}");
        assert_eq!(chosen(&[], all()).unwrap().len(), 2);
        assert_eq!(chosen(&["shift".to_owned()], all()).unwrap(), ["shift"]);
    }

    fn named(zips: &[(&str, &str)]) -> BTreeMap<String, String> {
        zips.iter().map(|(zip, sha256)| ((*zip).to_owned(), (*sha256).to_owned())).collect()
    }

    fn functions() -> [String; 2] {
        ["crown".to_owned(), "shift".to_owned()]
    }

    #[test]
    fn the_manifest_says_release_processor_and_hashes_and_the_sums_the_same() {
        let packed = named(&[("shift.zip", "22"), ("crown.zip", "11")]);
        let manifest = Manifest::merged(None, Architecture::Arm, packed, &functions());
        let expected = r#"{
  "schema": 1,
  "version": "VERSION",
  "processor": "arm64",
  "zips": {
    "crown.zip": "11",
    "shift.zip": "22"
  }
}
"#;
        assert_eq!(manifest.text().unwrap(), expected.replace("VERSION", env!("CARGO_PKG_VERSION")));
        assert_eq!(manifest.sums(), "11  crown.zip\n22  shift.zip\n");
        assert!(manifest.lacks(&functions()).is_empty());
    }

    #[test]
    fn a_function_that_is_packaged_alone_leaves_the_others_listed() {
        let both = named(&[("crown.zip", "11"), ("shift.zip", "22")]);
        let before = Manifest::merged(None, Architecture::X86, both, &functions()).text().unwrap();
        let alone = || named(&[("shift.zip", "33")]);
        let after = Manifest::merged(Some(&before), Architecture::X86, alone(), &functions());
        assert_eq!(after.zips, named(&[("crown.zip", "11"), ("shift.zip", "33")]));
        assert_eq!(after.sums(), "11  crown.zip\n33  shift.zip\n");
        let gone = Manifest::merged(Some(&before), Architecture::X86, alone(), &["shift".to_owned()]);
        assert_eq!(gone.zips, alone(), "crown is no function any more");
    }

    #[test]
    fn of_another_release_processor_or_schema_no_zip_stays_listed() {
        let both = named(&[("crown.zip", "11"), ("shift.zip", "22")]);
        let right = Manifest::merged(None, Architecture::X86, both, &functions()).text().unwrap();
        let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
        let others = [
            right.replace(&version, "\"0.0.1\""),
            right.replace("x86_64", "arm64"),
            right.replace("\"schema\": 1", "\"schema\": 2"),
            right[..right.len() / 2].to_owned(),
            String::new(),
        ];
        for other in others {
            assert_ne!(other, right);
            let alone = named(&[("shift.zip", "33")]);
            let after = Manifest::merged(Some(&other), Architecture::X86, alone.clone(), &functions());
            assert_eq!(after.zips, alone, "{other}");
            assert_eq!(after.lacks(&functions()), ["crown"]);
        }
    }

    #[test]
    fn no_path_of_this_machine_is_left_to_compilers() {
        let [(_, rust), (_, c), (_, cxx)] = same_everywhere().unwrap();
        let workspace = paths::workspace().display().to_string();
        assert!(rust.contains(&format!("--remap-path-prefix={workspace}=/seatrial")));
        assert!(c.contains(&format!("-ffile-prefix-map={workspace}=/seatrial")) && c == cxx);
    }
}
