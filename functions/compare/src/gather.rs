//! Counting pairs and labels from the data bucket: files are fetched here, a few ahead, and counted on threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt};
use seatrial_artifacts::store::{ObjectMeta, ObjectStore};
use seatrial_domain::canonical;
use seatrial_evidence::columnar::{LabelBook, LabelReader, Pass, Spec, Worker};
use seatrial_evidence::comparison::FrozenObject;
use seatrial_evidence::keys;
use seatrial_evidence::summary::Summary;
use seatrial_evidence::table::TableError;
use seatrial_runtime::Failure;
use seatrial_stats::Merge;
use tokio::sync::mpsc;

/// The largest file of pairs or labels that is read, in bytes.
pub const FILE_LIMIT: u64 = 256 << 20;

/// How many files are read at once while a list is frozen.
pub const READS: usize = 16;

/// How many files each thread has fetched ahead.
const AHEAD: usize = 2;

/// Bytes a row of pairs has at least, where its file's footer was not read.
const ROW_BYTES: u64 = 40;

/// A file to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 it must have, where it was frozen.
    pub sha256: Option<String>,
    /// The S3 version that was frozen.
    pub version_id: Option<String>,
    /// Its rows, where they are known.
    pub rows: Option<u64>,
}

impl From<&FrozenObject> for File {
    fn from(object: &FrozenObject) -> Self {
        Self {
            key: object.key.clone(),
            size: object.size,
            sha256: Some(object.sha256.clone()),
            version_id: object.version_id.clone(),
            rows: object.rows,
        }
    }
}

impl From<&ObjectMeta> for File {
    fn from(object: &ObjectMeta) -> Self {
        Self { key: object.key.clone(), size: object.size, sha256: None, version_id: None, rows: None }
    }
}

/// What is to be counted.
#[derive(Debug)]
pub struct Question {
    /// How.
    pub spec: Spec,
    /// All files of pairs, of whatever partition.
    pub pairs: Vec<File>,
    /// All files of labels.
    pub labels: Vec<File>,
    /// The partitions to count; none for all.
    pub parts: Option<BTreeSet<u16>>,
}

/// The summary of these files. Partitions are spread over threads; whatever the spread, the answer has the same bits.
pub async fn summary(data: &dyn ObjectStore, question: &Question) -> Result<Summary, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (book, mut defects) = labels(data, question, threads).await?;
    if book.by_client() {
        mark(data, question, &book, threads).await?;
    }
    let mut parts: BTreeMap<u16, Vec<File>> = BTreeMap::new();
    for file in &question.pairs {
        let Some(part) = keys::part_of(&file.key) else {
            return Err(Failure::invalid(format!(
                "the file {} is not in a partition; expected a folder part=<number> in its key",
                file.key
            )));
        };
        parts.entry(part).or_default().push(file.clone());
    }
    // Said once for all labels: by whoever counts the first partition.
    let first = parts.keys().next().copied();
    parts.retain(|part, _| question.parts.as_ref().is_none_or(|wanted| wanted.contains(part)));
    let counts = question.parts.is_none() || first.is_some_and(|first| parts.contains_key(&first));
    let spec = Arc::new(question.spec.clone());
    let book = Arc::new(book);
    let running = spread(parts, threads).into_iter().map(|parts| count(data, &spec, &book, parts));
    let mut all = Summary::default();
    for summary in try_join_all(running).await? {
        all.merge(&summary);
    }
    all.defects.unreadable.append(&mut defects);
    all.defects.unusable_labels += if counts { book.unusable() } else { 0 };
    Ok(all)
}

/// Partitions with their files.
type Parts = Vec<(u16, Vec<File>)>;

/// Partitions for each thread: the largest first, each to the thread that has least.
fn spread(parts: BTreeMap<u16, Vec<File>>, threads: usize) -> Vec<Parts> {
    let size = |files: &[File]| files.iter().map(|file| file.size).sum::<u64>();
    let mut parts: Parts = parts.into_iter().collect();
    parts.sort_by_key(|(part, files)| (std::cmp::Reverse(size(files)), *part));
    let mut spread: Vec<(u64, Parts)> = vec![Default::default(); threads.max(1)];
    for (part, files) in parts {
        if let Some(least) = spread.iter_mut().min_by_key(|(load, _)| *load) {
            least.0 += size(&files);
            least.1.push((part, files));
        }
    }
    spread.into_iter().map(|(_, parts)| parts).filter(|parts| !parts.is_empty()).collect()
}

/// What a thread is told.
enum Step {
    Begin(Pass, u64),
    File(Box<File>, Bytes),
    End,
}

/// Counts partitions on a thread of their own, while this task fetches what they need.
async fn count(
    data: &dyn ObjectStore,
    spec: &Arc<Spec>,
    book: &Arc<LabelBook>,
    parts: Parts,
) -> Result<Summary, Failure> {
    let mut steps = Vec::new();
    for (part, files) in parts {
        let rows = files.iter().map(|file| file.rows.unwrap_or(file.size / ROW_BYTES)).sum();
        for pass in Pass::over(part, rows) {
            steps.push((Some((pass, rows)), None));
            steps.extend(files.iter().map(|file| (None, Some(file.clone()))));
            steps.push((None, None));
        }
    }
    let (spec, book) = (Arc::clone(spec), Arc::clone(book));
    let worker = Worker::new(spec, book).map_err(|e| refused("the labels", &e))?;
    let fetched = stream::iter(steps).map(|(begin, file)| async move {
        Ok(match (begin, file) {
            (Some((pass, rows)), _) => Step::Begin(pass, rows),
            (_, Some(file)) => {
                let bytes = fetch(data, &file).await?;
                Step::File(Box::new(file), bytes)
            }
            (None, None) => Step::End,
        })
    });
    on_thread(fetched.buffered(AHEAD), move |steps| {
        let mut worker = worker;
        let mut unreadable = BTreeMap::new();
        for step in steps {
            match step {
                Step::Begin(pass, rows) => worker.begin(pass, rows),
                Step::File(file, bytes) => {
                    verify(&file, &bytes)?;
                    let read = worker.file(bytes);
                    of_file(&file, read, &mut unreadable)?;
                }
                Step::End => worker.end().map_err(|e| refused("a partition", &e))?,
            }
        }
        let mut summary = worker.finish();
        summary.defects.unreadable.append(&mut unreadable);
        Ok(summary)
    })
    .await
}

/// All labels, and the files of them that cannot be read.
async fn labels(
    data: &dyn ObjectStore,
    question: &Question,
    threads: usize,
) -> Result<(LabelBook, BTreeMap<String, String>), Failure> {
    let spec = &question.spec;
    let only = question.parts.as_ref().filter(|parts| parts.len() == 1).and_then(|p| p.first().copied());
    let running = shares(&question.labels, threads).into_iter().map(|files| {
        let mut reader = LabelReader::new(spec.partitions, spec.numbers, only);
        on_thread(fetched(data, files), move |steps| {
            let mut unreadable = BTreeMap::new();
            for (file, bytes) in steps {
                verify(&file, &bytes)?;
                let read = reader.file(bytes);
                of_file(&file, read, &mut unreadable)?;
            }
            Ok((reader, unreadable))
        })
    });
    let mut unreadable = BTreeMap::new();
    let mut readers = Vec::new();
    for (reader, mut found) in try_join_all(running).await? {
        readers.push(reader);
        unreadable.append(&mut found);
    }
    if readers.is_empty() {
        readers.push(LabelReader::new(spec.partitions, spec.numbers, only));
    }
    Ok((LabelBook::new(readers), unreadable))
}

/// Notes in the book which pairs share a client id: over all partitions, whichever are counted.
async fn mark(
    data: &dyn ObjectStore,
    question: &Question,
    book: &LabelBook,
    threads: usize,
) -> Result<(), Failure> {
    // The book is borrowed here, so this work stays on this task; it looks at two columns only.
    let files = shares(&question.pairs, threads).into_iter().flatten().collect();
    let mut steps = std::pin::pin!(fetched(data, files));
    while let Some(step) = steps.next().await {
        let (file, bytes) = step?;
        verify(&file, &bytes)?;
        // A file that cannot be read is named when it is counted.
        if let Err(e @ TableError::Classes) = book.mark(bytes) {
            return Err(refused(&file.key, &e));
        }
    }
    Ok(())
}

fn shares(files: &[File], threads: usize) -> Vec<Vec<File>> {
    let share = |n| files.iter().skip(n).step_by(threads.max(1)).cloned().collect::<Vec<_>>();
    (0..threads.max(1)).map(share).filter(|share| !share.is_empty()).collect()
}

fn fetched(
    data: &dyn ObjectStore,
    files: Vec<File>,
) -> impl futures::Stream<Item = Result<(File, Bytes), Failure>> + '_ {
    let one = move |file: File| async move {
        let bytes = fetch(data, &file).await?;
        Ok((file, bytes))
    };
    stream::iter(files).map(one).buffered(AHEAD)
}

/// Runs `work` on a thread over what `steps` gives, at most a few ahead. An error of either side ends both.
async fn on_thread<S: Send + 'static, T: Send + 'static>(
    steps: impl futures::Stream<Item = Result<S, Failure>>,
    work: impl FnOnce(&mut dyn Iterator<Item = S>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (to, mut from) = mpsc::channel::<S>(1);
    let thread = tokio::task::spawn_blocking(move || work(&mut std::iter::from_fn(|| from.blocking_recv())));
    let mut steps = std::pin::pin!(steps);
    let mut failed = None;
    while let Some(step) = steps.next().await {
        match step {
            Ok(step) => {
                // The thread is gone when it failed: its own error says why.
                if to.send(step).await.is_err() {
                    break;
                }
            }
            Err(e) => {
                failed = Some(e);
                break;
            }
        }
    }
    drop(to);
    let done = thread.await.map_err(|e| Failure::internal("counting pairs on a thread", e))?;
    failed.map_or(done, Err)
}

/// What a file's reading means: one that cannot be read is named, and what no report can be made of is refused.
fn of_file(
    file: &File,
    read: Result<(), TableError>,
    unreadable: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    match read {
        Ok(()) => Ok(()),
        Err(e @ (TableError::Format { .. } | TableError::Column { .. })) => {
            tracing::error!(file = file.key, error = %e, "a file of evidence cannot be read");
            unreadable.insert(file.key.clone(), e.to_string());
            Ok(())
        }
        Err(e) => Err(refused(&file.key, &e)),
    }
}

fn refused(what: &str, e: &TableError) -> Failure {
    Failure::invalid(format!("no report can be made: in {what} {e}"))
}

async fn fetch(data: &dyn ObjectStore, file: &File) -> Result<Bytes, Failure> {
    let found = data.get(&file.key, FILE_LIMIT).await?;
    found.ok_or_else(|| match &file.sha256 {
        Some(sha256) => Failure::invalid(format!(
            "the frozen input {} is gone; its version {} and SHA-256 {sha256} stand in the frozen list",
            file.key,
            file.version_id.as_deref().unwrap_or("(none)"),
        )),
        None => {
            Failure::unavailable("reading evidence", format!("{} vanished after it was listed", file.key))
        }
    })
}

/// The bytes of a file, which are those that were frozen.
pub(crate) async fn fetch_verified(data: &dyn ObjectStore, file: &File) -> Result<Bytes, Failure> {
    let bytes = fetch(data, file).await?;
    verify(file, &bytes)?;
    Ok(bytes)
}

/// The bytes of a frozen object must be those that were frozen.
fn verify(file: &File, bytes: &Bytes) -> Result<(), Failure> {
    let Some(frozen) = &file.sha256 else { return Ok(()) };
    let found = canonical::sha256(bytes);
    if found.hex() == frozen {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "the frozen input {} has the SHA-256 {} now, and had {frozen} when it was frozen; no report is made of changed evidence",
        file.key,
        found.hex(),
    )))
}
