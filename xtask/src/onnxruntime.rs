//! The ONNX Runtime library: out of its PyPI wheel, checked against hashes that stand here, unpacked once.
//!
//! 1.24 is the C API that the `ort` crate is compiled for (feature `api-24`). The library asks for glibc 2.27 and for symbols of
//! libstdc++ up to `GLIBCXX_3.4.22`, both far below what `provided.al2023` has.

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::venv::Venv;
use crate::{digest, paths, run};

/// The version of the wheel and of the library in it.
pub const VERSION: &str = "1.24.4";

/// One wheel: its platform tag, its SHA-256, and the SHA-256 of the library inside.
struct Pin {
    platform: &'static str,
    wheel: &'static str,
    library: &'static str,
}

const X86_64: Pin = Pin {
    platform: "manylinux_2_28_x86_64",
    wheel: "0d640eb9f3782689b55cfa715094474cd5662f2f137be6a6f847a594b6e9705c",
    library: "2d518e11c7767f9fdc4413bdbeb45acf30db504ff76a82fc19d9238a3f9f6c24",
};
const AARCH64: Pin = Pin {
    platform: "manylinux_2_28_aarch64",
    wheel: "1a5c5a544b22f90859c88617ecb30e161ee3349fcc73878854f43d77f00558b5",
    library: "f373ae5fd4d878ed17ebea26e5480bd3d0a15e3bd6bc94b878e6c1b73998d22a",
};

/// A processor for which the library is pinned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// `x86_64`.
    X86,
    /// `aarch64`.
    Arm,
}

impl Processor {
    /// That of this machine.
    fn own() -> Result<Self> {
        match ARCH {
            "x86_64" => Ok(Self::X86),
            "aarch64" => Ok(Self::Arm),
            other => bail!("no ONNX Runtime is pinned for {other}; x86_64 and aarch64 are supported"),
        }
    }
}

/// Fetches the library of this machine's processor unless it is there with the pinned hash; returns its path.
pub fn ensure() -> Result<PathBuf> {
    ensure_for(Processor::own()?)
}

/// The same for any processor.
pub fn ensure_for(processor: Processor) -> Result<PathBuf> {
    let pin = match processor {
        Processor::X86 => &X86_64,
        Processor::Arm => &AARCH64,
    };
    let mut folder = paths::target().join("onnxruntime").join(VERSION);
    if Processor::own().ok() != Some(processor) {
        folder.push(pin.platform);
    }
    let library = folder.join("libonnxruntime.so");
    if library.exists() && digest::of_file(&library)? == pin.library {
        return Ok(library);
    }
    let folder = library.parent().context("the library's path has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let wheel = download(pin, folder)?;
    unpack(&wheel, &library)?;
    fs::remove_file(&wheel).ok();
    let found = digest::of_file(&library)?;
    if found != pin.library {
        fs::remove_file(&library).ok();
        bail!(
            "libonnxruntime.so {VERSION} has SHA-256 {found}, expected {}: the wheel was changed",
            pin.library
        );
    }
    Ok(library)
}

/// Downloads the wheel with pip, which refuses any other bytes than the pinned ones.
fn download(pin: &Pin, folder: &Path) -> Result<PathBuf> {
    let empty = folder.join("no-packages.txt");
    fs::write(&empty, "").with_context(|| format!("cannot write {}", empty.display()))?;
    let venv = Venv::ensure(&paths::target().join("local/pip"), &empty)?;
    let requirements = folder.join("onnxruntime.txt");
    fs::write(&requirements, format!("onnxruntime=={VERSION} --hash=sha256:{}\n", pin.wheel))
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let mut pip = venv.pip();
    pip.args(["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"])
        .args(["--implementation", "cp", "--python-version", "3.12", "--abi", "cp312"])
        .args(["--platform", pin.platform, "--dest"])
        .arg(folder)
        .arg("--requirement")
        .arg(&requirements);
    run::quiet(&mut pip)
        .with_context(|| format!("cannot download the wheel of onnxruntime {VERSION} from PyPI"))?;
    let wheel = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.with_context(|| format!("pip left no wheel in {}", folder.display()))
}

/// Takes the one library out of the wheel; written beside and renamed, so that a half file never bears the name.
fn unpack(wheel: &Path, library: &Path) -> Result<()> {
    let member = format!("onnxruntime/capi/libonnxruntime.so.{VERSION}");
    let mut archive = zip::ZipArchive::new(File::open(wheel)?).context("the wheel is not a zip")?;
    let mut source = archive.by_name(&member).with_context(|| format!("the wheel holds no {member}"))?;
    let partial = library.with_extension("partial");
    let mut sink = File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
    io::copy(&mut source, &mut sink).context("cannot unpack libonnxruntime.so")?;
    fs::rename(&partial, library).with_context(|| format!("cannot write {}", library.display()))
}
