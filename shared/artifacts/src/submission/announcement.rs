//! `submission.json`: written last, it says that a submission is complete.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use seatrial_domain::submission::Announced;
use seatrial_domain::{Digest, ModelName};
use serde::{Deserialize, Serialize};

use super::Defect;
use super::inspect::HashedFile;

/// The name of the file that completes a submission.
pub const ANNOUNCEMENT: &str = "submission.json";

/// The folder of a submission in the submissions bucket.
#[must_use]
pub fn submission_prefix(model: &ModelName, id: &str) -> String {
    format!("submissions/{model}/{id}/")
}

/// What a submission says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// 1.
    pub schema: u32,
    /// The model it is for. It must be the one in the prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Every file, so that a damaged upload is noticed. May be left out by those who upload by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<AnnouncedFile>>,
    /// Who says they submitted it: shown, and never an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
}

/// One announced file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnouncedFile {
    /// Its path in the submission.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256: 64 hexadecimal digits.
    pub sha256: String,
}

impl Announcement {
    /// The announcement of these files.
    #[must_use]
    pub fn of(model: &ModelName, files: &[HashedFile], submitted_by: &str) -> Self {
        let file = |f: &HashedFile| AnnouncedFile {
            path: f.path.clone(),
            size: f.size,
            sha256: f.digest.hex().to_owned(),
        };
        Self {
            schema: 1,
            model: Some(model.to_string()),
            files: Some(files.iter().map(file).collect()),
            submitted_by: Some(submitted_by.to_owned()),
        }
    }

    /// Reads an announcement.
    ///
    /// # Errors
    /// The defect, when it is not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Defect> {
        let form = "a JSON object {\"schema\": 1, \"model\": …, \"files\": [{\"path\", \"size\", \"sha256\"}], \"submitted_by\": …}";
        let parsed: Self =
            serde_json::from_slice(bytes).map_err(|e| Defect::new(ANNOUNCEMENT, e.to_string(), form))?;
        if parsed.schema != 1 {
            return Err(Defect::new(ANNOUNCEMENT, parsed.schema.to_string(), "1").at("schema"));
        }
        Ok(parsed)
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn to_bytes(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec_pretty(self).map(Bytes::from)
    }

    /// The defect of a submission whose completing file is not the one that was announced.
    pub(super) fn not_as_announced(found: &str, by: &Announced) -> Defect {
        let expected = format!("the digest {}, which {} announced at {}", by.digest, by.by.principal, by.at);
        Defect::new(ANNOUNCEMENT, found, expected)
            .fix("somebody replaced the file after it was announced; submit again under a new id")
    }

    /// The defect of an announced submission that leaves open what its files are: then the announced digest would vouch for
    /// none of them.
    pub(super) fn covers_all(&self, by: &Announced) -> Option<Defect> {
        self.files.is_none().then(|| {
            Defect::new(
                ANNOUNCEMENT,
                "no list",
                format!("every file with its SHA-256, because {} announced it", by.by.principal),
            )
            .at("files")
        })
    }

    /// What of the announcement is not what arrived.
    #[must_use]
    pub fn check(&self, model: &ModelName, arrived: &[HashedFile]) -> Vec<Defect> {
        let mut defects = Vec::new();
        if let Some(named) = self.model.as_ref().filter(|m| *m != model.as_str()) {
            defects.push(
                Defect::new(ANNOUNCEMENT, named, format!("{model}, the model of the prefix")).at("model"),
            );
        }
        let Some(files) = &self.files else { return defects };
        let by_path: BTreeMap<&str, &HashedFile> = arrived.iter().map(|f| (f.path.as_str(), f)).collect();
        for (i, file) in files.iter().enumerate() {
            let place = format!("files[{i}]");
            match by_path.get(file.path.as_str()) {
                None => defects.push(
                    Defect::new(
                        ANNOUNCEMENT,
                        format!("{}, which did not arrive", file.path),
                        "only files that were uploaded",
                    )
                    .at(place)
                    .fix("upload the submission again"),
                ),
                Some(real) if !same(real, file) => defects.push(
                    Defect::new(
                        &file.path,
                        format!("{} bytes with SHA-256 {}", real.size, real.digest.hex()),
                        format!("{} bytes with SHA-256 {}, as submission.json says", file.size, file.sha256),
                    )
                    .fix("the file changed on its way; upload the submission again"),
                ),
                Some(_) => {}
            }
        }
        let announced: BTreeSet<&str> = files.iter().map(|f| f.path.as_str()).collect();
        for file in arrived.iter().filter(|f| !announced.contains(f.path.as_str())) {
            defects.push(
                Defect::new(&file.path, "a file that submission.json does not list", "only listed files")
                    .fix("list it or remove it"),
            );
        }
        defects
    }
}

fn same(real: &HashedFile, announced: &AnnouncedFile) -> bool {
    let said = Digest::parse(&format!("sha256:{}", announced.sha256.to_ascii_lowercase()));
    real.size == announced.size && said.is_ok_and(|d| d == real.digest)
}
