//! Submissions, packages and evidence: what people hand in, how it is checked, and how it is kept so that its bytes never
//! change.
//!
//! - [`store`]: the port to one bucket, on S3 and in memory.
//! - [`submission`]: the folder people hand in, and every check of it. The same code runs in the command line and in the
//!   Lambda.
//! - [`package`]: a version as an OCI image, content-addressed, and how it is read back.
//! - [`evidence`]: immutable objects that decisions rest on.
//!
//! Nothing here runs, unpickles or renders what was submitted.

pub mod evidence;
pub mod package;
pub mod store;
pub mod submission;

pub use evidence::{get_evidence, put_evidence, put_evidence_as};
pub use package::{
    CARD_TYPE, Manifest, Package, PublishError, ReadError, SignVersionError, Trust, attach_card,
    benchmark_key, blob_key, fetch_blob, fetch_version, load_version, name_version, publish, read_file,
    sign_stored_version, sign_version, signature_key,
};
pub use store::{
    Buckets, BytesChunks, Chunks, DeletingStore, FileChunks, MemoryS3, MemoryStore, ObjectMeta, ObjectStore,
    Parts, S3Buckets, S3Store, StoreError, get_to_file, s3_client,
};
pub use submission::{
    Announcement, Defect, Entry, Folder, InspectError, Inspected, Listing, OnProgress, Prefix, Progress,
    Source, Stage, Unpacked, inspect, inspect_announced, submission_prefix, unpack, upload_submission,
};
