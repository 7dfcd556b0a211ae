//! What is known about a benchmark beside its rows: its age, and how often it has been used.

use std::collections::BTreeSet;

use jiff::Timestamp;
use seatrial_domain::head::BenchmarkRef;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_evidence::report::OfflineFacts;
use seatrial_stats::reuse::optimism;

/// From how many candidates on their number is warned of.
const MANY_CANDIDATES: u64 = 10;
/// From how many days on a benchmark is called old.
const OLD_DAYS: i64 = 180;

/// The facts about the benchmark when `record` is evaluated. `promotions` are those of the model, in order of their start.
///
/// What is counted is distinct candidates: the same bytes learn nothing from being judged twice.
pub(crate) fn facts(
    promotions: &[PromotionRecord],
    record: &PromotionRecord,
    reference: &BenchmarkRef,
    rows: u64,
) -> OfflineFacts {
    let same = |p: &&PromotionRecord| p.benchmark.as_ref().is_some_and(|b| b.digest == reference.digest);
    let earlier = promotions.iter().take_while(|p| p.id != record.id).filter(same);
    let candidates: BTreeSet<_> =
        earlier.map(|p| p.challenger.digest.hex()).chain([record.challenger.digest.hex()]).collect();
    OfflineFacts {
        benchmark: reference.digest.clone(),
        set_at: Some(reference.set_at),
        rows,
        judged_candidates: Some(candidates.len() as u64),
        live_shift: None,
    }
}

/// What a person who decides should know about it, a sentence each.
pub(crate) fn notes(facts: &OfflineFacts, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(k) = facts.judged_candidates.filter(|k| *k >= MANY_CANDIDATES) {
        let luck = optimism(k, facts.rows, 0.05).unwrap_or(1.0) * 100.0;
        notes.push(format!(
            "this benchmark has judged {k} candidates: whoever keeps what does well on it learns the benchmark itself (Blum & Hardt 2015). By luck alone the best of {k} may look up to {luck:.1} points better in a share such as accuracy than it is (95 %), and more if candidates were chosen in view of earlier scores; set a fresh one with `seatrial benchmark set`"
        ));
    }
    let age = facts.set_at.map(|at| now.duration_since(at).as_hours() / 24);
    if let Some(days) = age.filter(|days| *days >= OLD_DAYS) {
        notes.push(format!(
            "the benchmark is {days} days old; it says how versions would have done on the traffic of that time"
        ));
    }
    notes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn facts(candidates: u64) -> OfflineFacts {
        OfflineFacts {
            benchmark: seatrial_domain::canonical::sha256(b"benchmark"),
            set_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            rows: 8_000,
            judged_candidates: Some(candidates),
            live_shift: None,
        }
    }

    #[test]
    fn a_fresh_benchmark_needs_no_warning_and_a_worn_one_does() {
        let soon = "2026-02-01T00:00:00Z".parse().unwrap();
        assert!(notes(&facts(9), soon).is_empty());
        let worn = notes(&facts(25), soon);
        assert_eq!(worn.len(), 1);
        assert!(worn[0].contains("25 candidates") && worn[0].contains("up to 2.0 points better"), "{worn:?}");
        let old = notes(&facts(1), "2027-01-01T00:00:00Z".parse().unwrap());
        assert!(old[0].contains("365 days old"), "{old:?}");
    }
}
