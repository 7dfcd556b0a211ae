//! The history, and the list of everything.

use seatrial_domain::history::HistoryEntry;
use seatrial_report::{numbers, times, words};

use super::{nothing, withheld};
use crate::block::{Block, Cell, Table, code, fact, figures, words as column};
use crate::evidence::{Evidence, Part};

/// How many of the last entries are shown, whatever they are about: a model's history goes on for years.
const RECENT: usize = 60;

pub(super) fn history(evidence: &Evidence) -> Vec<Block> {
    let entries = match &evidence.history {
        Part::Read(entries) => entries,
        Part::Withheld(why) => return vec![withheld(why.clone())],
        Part::Absent => return vec![withheld("No history-….json is among the evidence.")],
    };
    if entries.is_empty() {
        return nothing("The history has no entry.");
    }
    let about = evidence.about().map(|a| a.promotion);
    let columns = vec![figures("No."), column("When", 0.0), column("What", 3.4), column("Who", 1.0)];
    let mut table = Table::new("Entries; those of this promotion are marked", columns);
    let own = |e: &HistoryEntry| e.promotion.is_some() && e.promotion == about;
    let late = entries.len().saturating_sub(RECENT);
    let shown = entries.iter().enumerate().filter(|(place, e)| *place >= late || own(e));
    table.rows = shown.map(|(_, e)| entry(e, own(e))).collect();
    let left_out = entries.len() - table.rows.len();
    let said = "The hash of an entry is the SHA-256 of its canonical JSON, which names the hash of the entry before: whoever changes one \
                has to change all that follow.";
    let checked = evidence.verification.findings.iter().find(|f| f.what == "history");
    let mut blocks = vec![Block::text(said)];
    if let Some(found) = checked {
        let tone = if found.standing.is_doubt() { "bad" } else { "good" };
        blocks.push(Block::note(
            tone,
            format!("The history {}", found.standing.as_str()),
            words::sentence(&found.why),
        ));
    }
    blocks.push(Block::Table(table));
    if left_out > 0 {
        blocks.push(Block::text(format!(
            "{} earlier entries of other promotions are in history-….json, which is attached; the check above covers them.",
            numbers::count(left_out as u64)
        )));
    }
    blocks
}

fn entry(e: &HistoryEntry, own: bool) -> Vec<Cell> {
    let version = e.version.map_or_else(String::new, |v| format!(" {v}"));
    let what =
        Cell::from(format!("{}{version}", words::metric_name(&e.event))).below_code(e.hash.to_string());
    let what = if own { what.toned("own") } else { what };
    vec![e.seq.to_string().into(), times::moment(e.at).into(), what, e.actor.principal.as_str().into()]
}

pub(super) fn manifest(evidence: &Evidence) -> Vec<Block> {
    let Some(manifest) = &evidence.manifest else {
        return vec![withheld("No manifest can be read: what the evidence consists of is not known.")];
    };
    let mut facts = Vec::new();
    if let Some(digest) = &evidence.manifest_digest {
        facts.push(code("Manifest", digest.to_string()));
    }
    match &evidence.verification.signed_by {
        Some(key) => facts.push(code("Signed by key", key.as_str())),
        None => facts.push(fact("Signed by key", "none of the given keys")),
    }
    let sum = manifest.subject.iter().map(|s| s.size).sum();
    facts.push(fact(
        "Objects",
        format!("{} with {} bytes", numbers::count(manifest.subject.len() as u64), numbers::count(sum)),
    ));
    facts.push(code("Folder", manifest.folder()));
    let columns = vec![column("Object", 1.0), figures("Bytes"), column("Standing", 0.0)];
    let mut table = Table::new("Objects, with their SHA-256 and S3 version", columns);
    let folder = manifest.folder();
    let finding = |path: &str| evidence.verification.findings.iter().find(|f| f.what == path);
    for subject in &manifest.subject {
        let path = subject.name.strip_prefix(&folder).unwrap_or(&subject.name);
        let version = subject.version_id.as_ref().map_or_else(String::new, |v| format!("\nversion {v}"));
        let (word, tone) = finding(path).map_or(("not checked", "unsure"), |f| {
            (f.standing.as_str(), if f.standing.is_doubt() { "bad" } else { "good" })
        });
        table.rows.push(vec![
            Cell::code(path).below_code(format!("{}{version}", subject.digest.sha256)),
            numbers::count(subject.size).into(),
            Cell::from(word).toned(tone),
        ]);
    }
    vec![Block::facts(facts), Block::Table(table)]
}
