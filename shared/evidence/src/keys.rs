//! Where evidence and data lie: one function a kind of object, so that writers, readers and `docs/` agree.

use jiff::Timestamp;
use seatrial_domain::canonical;
use seatrial_domain::ids::{Digest, ModelName, PromotionId};
pub use seatrial_domain::promotion::evidence_prefix;

/// The partition of an observation: the first eight bytes of SHA-256 over its id, modulo `partitions`.
#[must_use]
pub fn partition(observation_id: &str, partitions: u16) -> u16 {
    let digest = canonical::sha256(observation_id.as_bytes());
    let first = u64::from_str_radix(&digest.hex()[..16], 16).unwrap_or(0);
    (first % u64::from(partitions.max(1))) as u16
}

/// The folder of a promotion's pairs in the data bucket.
#[must_use]
pub fn pairs_prefix(model: &ModelName, promotion: &PromotionId) -> String {
    format!("pairs/model={model}/promotion={promotion}/")
}

/// A file of pairs. It is named by its content, so that writing it twice leaves one.
#[must_use]
pub fn pairs(model: &ModelName, promotion: &PromotionId, part: u16, content: &Digest) -> String {
    format!("{}part={part:02}/{}.parquet", pairs_prefix(model, promotion), name(content))
}

/// A file of the serving log in the data bucket.
#[must_use]
pub fn observations(model: &ModelName, at: Timestamp, content: &Digest) -> String {
    format!("observations/model={model}/{}/{}.parquet", date_hour(at), name(content))
}

/// The folder of a model's labels in the data bucket.
#[must_use]
pub fn labels_prefix(model: &ModelName) -> String {
    format!("labels/model={model}/")
}

/// A file of labels in the data bucket.
#[must_use]
pub fn labels(model: &ModelName, at: Timestamp, content: &Digest) -> String {
    format!("{}{}/{}.parquet", labels_prefix(model), date_hour(at), name(content))
}

/// A file of signals in the data bucket.
#[must_use]
pub fn signals(model: &ModelName, at: Timestamp, content: &Digest) -> String {
    format!("signals/model={model}/{}/{}.parquet", date_hour(at), name(content))
}

/// The folders of a model's `observations`, `labels` or `signals` for each hour from `from` to `to`, both included.
#[must_use]
pub fn hours(kind: &str, model: &ModelName, from: Timestamp, to: Timestamp) -> Vec<String> {
    let (first, last) = (from.as_second().div_euclid(3_600), to.as_second().div_euclid(3_600));
    let starts = (first..=last).filter_map(|hour| Timestamp::from_second(hour * 3_600).ok());
    starts.map(|start| format!("{kind}/model={model}/{}/", date_hour(start))).collect()
}

/// The folders of the days from `from` to `to`, of a kind of data that is filed by day and hour (`labels`).
#[must_use]
pub fn days(kind: &str, model: &ModelName, from: Timestamp, to: Timestamp) -> Vec<String> {
    let day = |at: Timestamp| at.as_second().div_euclid(86_400);
    let starts = (day(from)..=day(to)).filter_map(|day| Timestamp::from_second(day * 86_400).ok());
    starts.map(|start| format!("{kind}/model={model}/{}/", start.strftime("date=%Y-%m-%d"))).collect()
}

/// The partition that a file of pairs lies in, by its key.
#[must_use]
pub fn part_of(key: &str) -> Option<u16> {
    key.split('/').find_map(|folder| folder.strip_prefix("part="))?.parse().ok()
}

/// The folder of what was counted over single partitions of a frozen list, by the list's digest.
#[must_use]
pub fn summaries_prefix(model: &ModelName, promotion: &PromotionId, inputs: &Digest) -> String {
    format!("{}summaries/{}/", evidence_prefix(model, promotion), name(inputs))
}

/// What was counted over one partition of a frozen list.
#[must_use]
pub fn part_summary(model: &ModelName, promotion: &PromotionId, inputs: &Digest, part: u16) -> String {
    format!("{}part={part:02}.json", summaries_prefix(model, promotion, inputs))
}

/// A file of refused entries in the data bucket.
#[must_use]
pub fn dead_letters(at: Timestamp, content: &Digest) -> String {
    format!("dead-letters/{}/{}.jsonl", date_hour(at), name(content))
}

/// The name of an object by its content. 128 bits: objects are written only where none is, so two contents of one name would
/// lose the second.
fn name(content: &Digest) -> &str {
    &content.hex()[..32]
}

fn date_hour(at: Timestamp) -> String {
    at.strftime("date=%Y-%m-%d/hour=%H").to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hours_name_the_folders_that_files_lie_in() {
        let model: ModelName = "m".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (from, to) = (at("2026-01-31T22:59:59Z"), at("2026-02-01T00:00:00Z"));
        let folders = hours("signals", &model, from, to);
        assert_eq!(folders.len(), 3);
        let file = signals(&model, to, &canonical::sha256(b"x"));
        assert!(file.starts_with(&folders[2]), "{file} {folders:?}");
        assert!(hours("signals", &model, to, from).is_empty());
    }

    #[test]
    fn days_hold_the_files_of_all_their_hours() {
        let model: ModelName = "m".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (from, to) = (at("2026-01-31T23:59:59Z"), at("2026-02-01T00:00:00Z"));
        let folders = days("labels", &model, from, to);
        assert_eq!(folders.len(), 2);
        assert!(labels(&model, to, &canonical::sha256(b"x")).starts_with(&folders[1]));
        let promotion = PromotionId::derive(&model, "x", 1);
        assert_eq!(part_of(&pairs(&model, &promotion, 7, &canonical::sha256(b"x"))), Some(7));
        assert_eq!(part_of("labels/model=m/x"), None);
    }

    #[test]
    fn partitions_are_even_and_stay() {
        let mut counts = [0_u32; 8];
        for n in 0..8_000 {
            counts[usize::from(partition(&format!("id-{n}"), 8))] += 1;
        }
        assert!(counts.iter().all(|c| (850..1_150).contains(c)), "{counts:?}");
        assert_eq!(partition("abc", 64), partition("abc", 64));
        assert_eq!(partition("abc", 1), 0);
    }
}
