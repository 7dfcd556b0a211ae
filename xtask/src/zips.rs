//! `cargo xtask build`: compiles the functions and the command line, and packs one zip for each function.
//!
//! A zip holds `bootstrap`, and for functions that run models `lib/libonnxruntime.so`. Its bytes depend on nothing but these files:
//! timestamps are fixed, so the same code has the same hash, and a deployment changes only what changed. The library asks for
//! `libstdc++.so.6`, which is not packed: the `provided.al2023` image has it (its package manager is C++), and a library copied
//! from a newer build machine would ask for a newer glibc than the image has.
//!
//! No `zips.json` lies beside these zips, which may run on this machine only: the construct of `infra/cdk` refuses them, and takes
//! those of `package-lambdas`.

use std::fs::{self, File};
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::{digest, glibc, onnxruntime, paths, run, say, test};

/// Functions that run models and so carry the ONNX Runtime library.
const WITH_MODELS: [&str; 3] = ["evaluate", "replay", "serve"];

/// Which profile of the workspace to build with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Not optimised, with checks for overflow, from the very dependencies that the tests are built with: for the tests, which would
    /// otherwise compile everything twice.
    Debug,
    /// Quick to link: for the local engine.
    Fast,
    /// Small: what ships.
    Release,
}

impl Profile {
    /// Its name in the manifest.
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "dev",
            Self::Fast => "fast",
            Self::Release => "release",
        }
    }
}

impl Profile {
    /// Its folder under `target`.
    fn folder(self) -> PathBuf {
        paths::target().join(if self == Self::Debug { "debug" } else { self.name() })
    }

    /// The command line that is built with the zips.
    pub fn command(self) -> PathBuf {
        self.folder().join("seatrial")
    }
}

/// One packed function.
pub struct Packed {
    /// The function's name, as its folder says it.
    pub name: String,
    /// Its zip.
    pub zip: PathBuf,
    /// The SHA-256 of the zip.
    pub sha256: String,
}

/// Compiles everything, packs what changed, and returns all zips by name.
pub fn build(profile: Profile) -> Result<Vec<Packed>> {
    let start = say::step(format!("Build the functions and the command line (profile {})", profile.name()));
    let names = functions()?;
    compile(profile, &names)?;
    say::note(format!("compiled in {}", say::took(start.elapsed())));
    let library = onnxruntime::ensure()?;
    check_glibc(&library, profile)?;
    let packing = Instant::now();
    fs::create_dir_all(paths::lambda()).context("cannot make target/lambda")?;
    let mut packed = Vec::new();
    let mut fresh = 0;
    for name in names {
        let binary = profile.folder().join(package(&name));
        let (one, new) = pack(&name, &binary, runs_models(&name).then_some(&library), profile)?;
        fresh += usize::from(new);
        packed.push(one);
    }
    let took = say::took(packing.elapsed());
    say::note(format!("{} zips in target/lambda, {fresh} packed anew in {took}", packed.len()));
    say::note(format!("command line: {}", paths::shown(&profile.command())));
    say::note(format!("built in {}", say::took(start.elapsed())));
    Ok(packed)
}

/// The zips that were built before, one for each function; an error names the one that is missing.
pub fn found() -> Result<Vec<Packed>> {
    let one = |name: String| {
        let zip = paths::lambda().join(format!("{name}.zip"));
        if !zip.exists() {
            bail!("{} is missing; run `cargo xtask build`", paths::shown(&zip));
        }
        let sha256 = digest::of_file(&zip)?;
        Ok(Packed { name, zip, sha256 })
    };
    functions()?.into_iter().map(one).collect()
}

/// The names of the functions: the folders under `functions/`.
pub fn functions() -> Result<Vec<String>> {
    let folder = paths::workspace().join("functions");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Whether a function runs models, and so carries the library.
pub fn runs_models(name: &str) -> bool {
    WITH_MODELS.contains(&name)
}

/// The package, and so the binary, of a function.
pub fn package(name: &str) -> String {
    format!("fn-{name}")
}

fn compile(profile: Profile, names: &[String]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::workspace()).args(["build", "--locked", "--bins", "--profile", profile.name()]);
    if profile == Profile::Debug {
        // The tests' own selection: another one unifies the features of dependencies anew.
        cargo.args(["--workspace", "--features", test::SUITE]);
    } else {
        for name in names {
            cargo.args(["--package", &package(name)]);
        }
        cargo.args(["--package", "seatrial-cli"]);
    }
    run::loud(&mut cargo).context("the functions do not compile")
}

/// Packs one function unless its zip was made from the very same files; says whether it was packed anew.
fn pack(name: &str, binary: &Path, library: Option<&PathBuf>, profile: Profile) -> Result<(Packed, bool)> {
    let zip = paths::lambda().join(format!("{name}.zip"));
    let stamp = paths::lambda().join(format!("{name}.inputs"));
    let mut inputs = format!("bootstrap {}\n", digest::of_file(binary)?);
    if let Some(library) = library {
        inputs += &format!("lib/libonnxruntime.so {}\n", digest::of_file(library)?);
    }
    let same = zip.exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == inputs);
    if !same {
        check_glibc(binary, profile)?;
        let stripped = stripped(binary, profile)?;
        write(&zip, stripped.as_deref().unwrap_or(binary), library.map(PathBuf::as_path))?;
        if let Some(copy) = stripped {
            fs::remove_file(&copy).with_context(|| format!("cannot remove {}", copy.display()))?;
        }
        fs::write(&stamp, inputs).with_context(|| format!("cannot write {}", stamp.display()))?;
        let size = fs::metadata(&zip).map(|meta| meta.len()).unwrap_or(0);
        say::note(format!("{name}.zip: {:.1} MB", size as f64 / 1e6));
    }
    let sha256 = digest::of_file(&zip)?;
    Ok((Packed { name: name.to_owned(), zip, sha256 }, !same))
}

/// A copy without what only debuggers read, of binaries that the linker did not strip. They are three times as large with it.
fn stripped(binary: &Path, profile: Profile) -> Result<Option<PathBuf>> {
    if profile != Profile::Debug {
        return Ok(None);
    }
    let name = binary.file_name().context("a binary without a name")?;
    let copy = paths::lambda().join(name).with_extension("stripped");
    run::quiet(Command::new("strip").arg("--strip-debug").arg("-o").args([&copy, &binary.to_owned()]))
        .context("cannot strip a binary; `strip` comes with binutils, as the linker does")?;
    Ok(Some(copy))
}

/// Writes a zip; half a file never bears the name.
pub fn write(zip: &Path, binary: &Path, library: Option<&Path>) -> Result<()> {
    let bytes = archive(binary, library)?;
    let partial = zip.with_extension("partial");
    fs::write(&partial, bytes).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, zip).with_context(|| format!("cannot write {}", zip.display()))
}

/// The bytes of a zip that depend on nothing but its files.
fn archive(binary: &Path, library: Option<&Path>) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let members = [("bootstrap", Some(binary)), ("lib/libonnxruntime.so", library)];
    for (member, source) in members.into_iter().filter_map(|(member, source)| Some((member, source?))) {
        zip.start_file(member, options)?;
        let mut file = File::open(source).with_context(|| format!("cannot open {}", source.display()))?;
        io::copy(&mut file, &mut zip).with_context(|| format!("cannot pack {}", source.display()))?;
    }
    zip.flush()?;
    Ok(zip.finish()?.into_inner())
}

/// Refuses what ships, and warns about what runs here only, when it asks for a newer glibc than Amazon Linux 2023 has.
fn check_glibc(artifact: &Path, profile: Profile) -> Result<()> {
    let needs = match glibc::needs(artifact) {
        Ok(needs) => needs,
        Err(error) if profile != Profile::Release => {
            say::note(format!("{error:#}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if needs.too_new.is_empty() {
        return Ok(());
    }
    let message = needs.refusal(artifact);
    if profile == Profile::Release {
        bail!(message);
    }
    say::note(format!("this zip runs on this machine only: {message}"));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let own = std::env::current_exe().unwrap();
        let file = paths::workspace().join("Cargo.toml");
        let first = archive(&file, Some(&own)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2100));
        assert!(first == archive(&file, Some(&own)).unwrap());
        let mut zip = zip::ZipArchive::new(Cursor::new(first)).unwrap();
        let names: Vec<String> =
            (0..zip.len()).map(|i| zip.by_index(i).unwrap().name().unwrap().into_owned()).collect();
        assert_eq!(names, ["bootstrap", "lib/libonnxruntime.so"]);
        assert_eq!(zip.by_index(0).unwrap().unix_mode().unwrap() & 0o777, 0o755);
    }

    #[test]
    fn every_function_with_a_model_exists() {
        let all = functions().unwrap();
        assert!(WITH_MODELS.iter().all(|name| all.iter().any(|found| found == name)));
    }
}
