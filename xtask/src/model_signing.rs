//! Signatures of packages against the PyPI tool `model_signing`: each takes what the other signed, and both refuse the same
//! changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::venv::Venv;
use crate::{paths, run};

/// The signature in the folder that it signs.
const SIGNATURE: &str = "model.sig";
/// A package: names in bytes that are no ASCII, an empty file, two names that sort by parts and not by text, and what belongs
/// to Git, which nobody signs.
const PACKAGE: [(&str, &str); 6] = [
    ("config.yaml", "task: binary\n"),
    ("weights/model.onnx", "not really a graph\n"),
    ("weights/empty", ""),
    ("weights-x/a", "after weights/\n"),
    ("weights/ünïcode 模型.txt", "ü\n"),
    (".gitignore", "*.tmp\n"),
];
/// Makes a key that is used here and forgotten.
const MAKE_KEY: &str = "\
import pathlib, sys
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
private, public = map(pathlib.Path, sys.argv[1:])
private.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
public.write_bytes(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
";

/// What is needed to sign and to verify, by either side.
struct Bench {
    venv: Venv,
    folder: PathBuf,
    private: PathBuf,
    public: PathBuf,
}

/// Fails with the first signature or change that one side sees otherwise than it should.
pub fn check(features: &str) -> Result<()> {
    let bench = Bench::make(features)?;
    for (signer, signing) in [("seatrial", bench.sign_by_ours()), ("model_signing", bench.sign_by_tool())] {
        bench.make_package()?;
        run::quiet(&mut { signing }).with_context(|| format!("{signer} does not sign"))?;
        bench.both("unchanged", signer, true)?;
        for (what, change) in CHANGES {
            change(&bench.folder).with_context(|| format!("cannot make the package with {what}"))?;
            bench.both(what, signer, false)?;
            bench.restore()?;
            bench.both("put right again", signer, true)?;
        }
    }
    Ok(())
}

type Change = fn(&Path) -> std::io::Result<()>;

const CHANGES: [(&str, Change); 3] = [
    ("a changed byte", |folder| fs::write(folder.join("weights/model.onnx"), "not really a grapH\n")),
    ("a missing file", |folder| fs::remove_file(folder.join("weights/empty"))),
    ("an extra file", |folder| fs::write(folder.join("weights/extra"), "")),
];

impl Bench {
    fn make(features: &str) -> Result<Self> {
        let requirements = paths::workspace().join("tests/oracles/requirements-model-signing.txt");
        let venv = Venv::ensure(&paths::target().join("local/model-signing"), &requirements)?;
        run::build(features, &["--bin", "seatrial", "--example", "verify_folder"])?;
        let place = paths::target().join("local/model-signing-check");
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        let bench = Self {
            venv,
            folder: place.join("package"),
            private: place.join("key.pem"),
            public: place.join("key.pub"),
        };
        let mut make_key = Command::new(bench.venv.python());
        run::quiet(make_key.args(["-c", MAKE_KEY]).arg(&bench.private).arg(&bench.public))?;
        Ok(bench)
    }

    fn make_package(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).context("cannot remove the package of before")?;
        }
        self.restore()
    }

    /// Puts every file of the package in its place, and takes away what does not belong there; the signature stays.
    fn restore(&self) -> Result<()> {
        fs::remove_file(self.folder.join("weights/extra")).ok();
        for (name, content) in PACKAGE {
            let path = self.folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))
                .and_then(|()| fs::write(&path, content))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn sign_by_ours(&self) -> Command {
        let mut command = Command::new(paths::target().join("debug/seatrial"));
        command.arg("sign").arg(&self.folder).arg("--key").arg(&self.private);
        command
    }

    fn sign_by_tool(&self) -> Command {
        let mut command = Command::new(self.venv.program("model_signing"));
        command.args(["sign", "key"]).arg(&self.folder).arg("--private_key").arg(&self.private);
        command.arg("--signature").arg(self.folder.join(SIGNATURE));
        command
    }

    /// Both sides verify the package, and both must say the same.
    fn both(&self, what: &str, signer: &str, holds: bool) -> Result<()> {
        let mut tool = Command::new(self.venv.program("model_signing"));
        tool.args(["verify", "key"]).arg(&self.folder).arg("--public_key").arg(&self.public);
        tool.arg("--signature").arg(self.folder.join(SIGNATURE));
        let mut ours = Command::new(paths::target().join("debug/examples/verify_folder"));
        ours.arg(&self.folder).arg(&self.public);
        for (mut command, words) in [(tool, "Signature mismatch"), (ours, "are not the signed ones")] {
            let expected = if holds { Ok(()) } else { Err(words) };
            says(&mut command, expected)
                .with_context(|| format!("a package that {signer} signed, with {what}"))?;
        }
        Ok(())
    }
}

/// Runs a verifier: it must take the package, or refuse it with these words. A verifier that breaks refuses nothing.
fn says(command: &mut Command, expected: Result<(), &str>) -> Result<()> {
    let line = run::shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (said, taken) = (run::tail(&said, 5), output.status.success());
    match expected {
        Ok(()) => ensure!(taken, "`{line}` refuses it: {said}"),
        Err(words) => {
            ensure!(!taken, "`{line}` takes it");
            ensure!(said.contains(words), "`{line}` does not say {words:?}: {said}");
        }
    }
    Ok(())
}
