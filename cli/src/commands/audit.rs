//! The audit pack of a promotion, made again from what is stored, and archives for auditors.

mod export;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use seatrial_attestation::checkpoint;
use seatrial_attestation::manifest::{DOCUMENTS, document_path};
use seatrial_attestation::verify::{Files, Finding, Verification, verify};
use seatrial_audit::{Document, document, seal};
use seatrial_domain::ids::VersionName;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, evidence_prefix};
use seatrial_domain::{ModelName, canonical};
use serde::Serialize;

use super::{Session, key, verify as verifying};
use crate::evidence::{Bucket, Collected};
use crate::failure::{Failure, NOT_FOUND, REFUSED};
use crate::output;

/// Which promotion, and where the documents go.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    /// Which promotion.
    #[command(flatten)]
    which: Option<Which>,
    /// The folder the documents go to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Another thing than making the documents.
    #[command(subcommand)]
    command: Option<AuditCommand>,
}

/// A promotion, by what it was to do.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The model.
    #[arg(long)]
    model: ModelName,
    /// The champion it was compared with: `v1`, or `first` for a first version.
    #[arg(long)]
    from: Option<String>,
    /// The version that was promoted.
    #[arg(long)]
    to: Option<VersionName>,
    /// The promotion, where several were from and to the same versions [default: the last that ended].
    #[arg(long, value_name = "pr_…")]
    promotion: Option<String>,
    /// The public key that must have signed it, as PEM [default: the deployment's].
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
}

/// What else can be done with a pack.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Write one .zip archive with all evidence, the checkpoints, the public key, and a README for the auditor.
    #[command(
        after_help = "Example:\n  seatrial audit export --model credit-risk --from v1 --to v2 --file audit.zip"
    )]
    Export {
        /// Which promotion.
        #[command(flatten)]
        which: Which,
        /// The archive.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
}

/// A pack as it lies in the bucket.
struct Pack {
    promotion: PromotionRecord,
    /// Everything in the promotion's folder and the model's checkpoints, by its key.
    stored: Collected,
    /// The folder's, by path below it, documents left out.
    files: Files,
    keys: Vec<seatrial_attestation::PublicKey>,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    promotion: String,
    file: PathBuf,
    /// Of the signed manifest.
    manifest: Option<String>,
    /// Of the document that was made.
    document: String,
    /// Of the one that is stored.
    stored: Option<String>,
    /// Whether both are the same bytes.
    same: bool,
    /// What is in doubt.
    doubt: Option<Finding>,
}

/// Carries the command out.
pub(crate) async fn run(session: &Session, audit: Audit) -> Result<(), Failure> {
    match (audit.command, audit.which) {
        (Some(AuditCommand::Export { which, file }), _) => {
            let pack = Pack::fetch(session, &which).await?;
            export::export(session.format, &pack, &file)
        }
        (None, Some(which)) => make(session, &which, &audit.dir).await,
        (None, None) => Err(Failure::invalid("name the promotion: --model M --from v1 --to v2")),
    }
}

/// Makes the document again, compares it with the stored one, and writes it.
async fn make(session: &Session, which: &Which, dir: &Path) -> Result<(), Failure> {
    let pack = Pack::fetch(session, which).await?;
    let verification = verify(&pack.files, &pack.keys);
    let again = pack.document()?;
    let name = again.file_name.clone();
    let (bytes, sealed) = pack.sealed(&again)?;
    std::fs::create_dir_all(dir).map_err(|e| cannot_write(dir, &e))?;
    let file = dir.join(&name);
    std::fs::write(&file, &bytes).map_err(|e| cannot_write(&file, &e))?;
    let digest = canonical::sha256(&bytes);
    let stored = pack.stored_document(&name).map(|b| canonical::sha256(b).to_string());
    let made = Made {
        promotion: pack.promotion.id.to_string(),
        file,
        manifest: pack.promotion.evidence.get(&EvidenceKind::Manifest).map(|m| m.digest.to_string()),
        same: stored.as_deref() == Some(digest.to_string().as_str()),
        document: digest.to_string(),
        stored,
        doubt: doubt(&verification),
    };
    output::print(session.format, &made, table)?;
    if let Some(doubt) = &made.doubt {
        return Err(verifying::doubted(doubt));
    }
    if !sealed {
        let why = format!(
            "{name} has no stored seal: the promotion is not attested yet; what was made is unsealed"
        );
        return Err(Failure::new(REFUSED, "unsealed", why));
    }
    if !made.same {
        let why = format!(
            "the stored document is not what its evidence gives: stored {}, made {digest}",
            made.stored.as_deref().unwrap_or("nothing")
        );
        return Err(Failure::new(verifying::CHANGED, "changed", why));
    }
    Ok(())
}

fn doubt(verification: &Verification) -> Option<Finding> {
    verification.doubt().cloned()
}

fn cannot_write(path: &Path, e: &std::io::Error) -> Failure {
    Failure::invalid(format!("{} cannot be written: {e}", path.display()))
}

fn table(made: &Made) -> String {
    let stored = match (&made.stored, made.same) {
        (Some(_), true) => "the same bytes".to_owned(),
        (Some(other), false) => format!("OTHER BYTES: {other}"),
        (None, _) => "none is stored".to_owned(),
    };
    output::facts([
        ("wrote", made.file.display().to_string()),
        ("promotion", made.promotion.clone()),
        ("manifest", made.manifest.clone().unwrap_or_default()),
        ("document", made.document.clone()),
        ("stored", stored),
        ("doubt", made.doubt.as_ref().map_or_else(|| "none".into(), |d| format!("{}: {}", d.what, d.why))),
    ])
}

impl Pack {
    /// Reads a promotion's pack with the caller's own rights.
    async fn fetch(session: &Session, which: &Which) -> Result<Self, Failure> {
        let promotion = find(session, which).await?;
        let keys = match key::of_files(&which.keys)? {
            given if given.is_empty() => vec![key::of_deployment(&session.deployment).await?],
            given => given,
        };
        let prefix = evidence_prefix(&promotion.model, &promotion.id);
        let bucket = Bucket::new(&session.deployment.aws().await, session.deployment.need("EvidenceBucket")?);
        let stored = bucket.read(&[prefix.clone(), checkpoint::prefix(&promotion.model)]).await?;
        let mut files = Files::default();
        for (path, bytes) in &stored {
            if let Some(path) = path.strip_prefix(&prefix).filter(|p| !p.starts_with(DOCUMENTS)) {
                files.evidence.insert(path.to_owned(), bytes.clone());
            }
        }
        Ok(Self { promotion, stored, files, keys })
    }

    fn document(&self) -> Result<Document, Failure> {
        document(&self.files, &self.keys).map_err(|e| Failure::new(REFUSED, "no_document", e.to_string()))
    }

    /// The document with its stored seal, and whether there is one.
    fn sealed(&self, document: &Document) -> Result<(Vec<u8>, bool), Failure> {
        match self.stored_document(&format!("{}.dsse.json", document.file_name)) {
            None => Ok((document.body.clone(), false)),
            Some(envelope) => {
                let sealed =
                    seal(&document.body, envelope).map_err(|e| Failure::unexpected(e.to_string()))?;
                Ok((sealed, true))
            }
        }
    }

    /// A stored document of the present manifest.
    fn stored_document(&self, name: &str) -> Option<&[u8]> {
        let manifest = self.promotion.evidence.get(&EvidenceKind::Manifest)?;
        let prefix = evidence_prefix(&self.promotion.model, &self.promotion.id);
        let key = prefix + &document_path(&manifest.digest, name);
        self.stored.get(&key).map(Vec::as_slice)
    }
}

/// The promotion that is meant.
async fn find(session: &Session, which: &Which) -> Result<PromotionRecord, Failure> {
    let path = format!("/v1/models/{}/promotions", which.model);
    let all: Vec<PromotionRecord> = session.control().await?.get(&path).await?;
    let from =
        |p: &PromotionRecord| p.champion.as_ref().map_or_else(|| "first".into(), |c| c.version.to_string());
    let meant = |p: &PromotionRecord| {
        which.promotion.as_ref().is_none_or(|id| p.id.as_str() == id)
            && which.from.as_ref().is_none_or(|v| from(p) == *v)
            && which.to.is_none_or(|v| p.challenger.version == v)
    };
    let known: Vec<String> = all
        .iter()
        .map(|p| format!("{} ({} to {}, {})", p.id, from(p), p.challenger.version, p.status.as_str()))
        .collect();
    let mut found: Vec<PromotionRecord> = all.into_iter().filter(meant).collect();
    found.sort_by_key(|p| (p.ended_at, p.started_at));
    found.pop().ok_or_else(|| {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Failure::new(
            NOT_FOUND,
            "not_found",
            format!("model {} has no such promotion; it has {known}", which.model),
        )
    })
}
