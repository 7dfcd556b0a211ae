//! What changed: files and settings of the package, and the policy it was judged by.

use std::collections::BTreeMap;

use seatrial_domain::change::PolicyRecord;
use seatrial_domain::flat::{self, Difference, Flat};
use seatrial_domain::package::Blob;
use seatrial_domain::policy::Policy;
use seatrial_domain::version::VersionRecord;

/// How many differences a table shows.
const SHOWN: usize = 25;
/// How many files a sentence names.
const FILES: usize = 6;

/// The policies that a gate has to do with.
#[derive(Debug, Clone, Copy)]
pub struct Policies<'a> {
    /// The one pinned for the promotion: its thresholds judged the challenger.
    pub pinned: &'a PolicyRecord,
    /// The one that judged the champion, or else the one before the pinned one; none where there is none.
    pub before: Option<&'a PolicyRecord>,
    /// The one in force now: it says who may decide.
    pub in_force: &'a PolicyRecord,
}

/// What changed, as the page shows it.
pub(crate) struct ChangesView<'a> {
    pub(crate) changelog: &'a str,
    pub(crate) tables: Vec<DiffView>,
}

/// Two documents side by side: a sentence, and a table where they differ.
pub(crate) struct DiffView {
    pub(crate) id: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) text: Vec<String>,
    pub(crate) files: Option<FilesView>,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) rows: Vec<Difference>,
    pub(crate) more: usize,
}

/// Files of two packages.
pub(crate) struct FilesView {
    /// A phrase such as `Changed`, and names.
    pub(crate) groups: Vec<(&'static str, Vec<String>, usize)>,
}

impl<'a> ChangesView<'a> {
    pub(crate) fn new(
        challenger: &'a VersionRecord,
        champion: Option<&VersionRecord>,
        policies: &Policies<'_>,
    ) -> Self {
        let mut tables = vec![config(challenger, champion), policy(policies)];
        tables.extend(in_force(policies));
        Self { changelog: challenger.package.changelog.trim(), tables }
    }
}

impl DiffView {
    fn new(id: &'static str, heading: &'static str, (before, after): (String, String)) -> Self {
        Self { id, heading, text: Vec::new(), files: None, before, after, rows: Vec::new(), more: 0 }
    }

    fn say(mut self, text: impl Into<String>) -> Self {
        self.text.push(text.into());
        self
    }

    fn with(mut self, mut rows: Vec<Difference>) -> Self {
        self.more = rows.len().saturating_sub(SHOWN);
        rows.truncate(SHOWN);
        self.rows = rows;
        self
    }
}

fn config(challenger: &VersionRecord, champion: Option<&VersionRecord>) -> DiffView {
    let heads = (
        champion.map_or_else(|| "Champion".to_owned(), |c| format!("Champion {}", c.version)),
        format!("Challenger {}", challenger.version),
    );
    let view = DiffView::new("config", "Package: files and settings", heads);
    let Some(champion) = champion else {
        return view.say("This is the model's first version: there is nothing to compare it with.");
    };
    let (before, after) = (&champion.package, &challenger.package);
    let files = files(&before.files, &after.files);
    let same = files.is_none();
    let view = DiffView { files, ..view };
    let view = if same { view.say("Every file is the same.") } else { view };
    if before.config.is_empty() || after.config.is_empty() {
        let older = if before.config.is_empty() { champion.version } else { challenger.version };
        return view.say(format!(
            "The settings of {older} were not kept when it was packaged, so they cannot be compared."
        ));
    }
    let found = flat::differences(&before.config, &after.config);
    if found.is_empty() {
        return view.say("The settings of config.yaml are the same.");
    }
    view.with(found)
}

fn files(before: &BTreeMap<String, Blob>, after: &BTreeMap<String, Blob>) -> Option<FilesView> {
    let paths = |keep: &dyn Fn(&String) -> bool, of: &BTreeMap<String, Blob>| {
        let all: Vec<String> = of.keys().filter(|p| keep(p)).cloned().collect();
        let more = all.len().saturating_sub(FILES);
        (all.into_iter().take(FILES).collect::<Vec<_>>(), more)
    };
    let changed =
        |p: &String| before.get(p).is_some_and(|b| after.get(p).is_some_and(|a| a.digest != b.digest));
    let groups = [
        ("Changed", paths(&changed, after)),
        ("Added", paths(&|p| !before.contains_key(p), after)),
        ("Removed", paths(&|p| !after.contains_key(p), before)),
    ];
    let found = groups.into_iter().filter(|(_, (names, _))| !names.is_empty());
    let groups: Vec<_> = found.map(|(what, (names, more))| (what, names, more)).collect();
    (!groups.is_empty()).then_some(FilesView { groups })
}

fn policy(policies: &Policies<'_>) -> DiffView {
    let pinned = &policies.pinned.reference;
    let heading = "Policy: the rules it was judged by";
    let Some(before) = policies.before else {
        let heads = (String::new(), format!("Policy {}", pinned.number));
        return DiffView::new("policy", heading, heads)
            .say(format!("Policy {} is the model's first.", pinned.number));
    };
    let heads =
        (format!("Before: policy {}", before.reference.number), format!("Now: policy {}", pinned.number));
    let view = DiffView::new("policy", heading, heads);
    if before.reference.digest == pinned.digest {
        return view
            .say(format!("Unchanged: policy {} judged the champion as well.", before.reference.number));
    }
    let found = differences(&before.policy, &policies.pinned.policy);
    view.say(format!(
        "Policy {} judged this version; the one before it was policy {}. A rule that was loosened since may be why a \
         version passes.",
        pinned.number, before.reference.number
    ))
    .with(found)
}

/// Whether another policy is in force by now.
fn in_force(policies: &Policies<'_>) -> Option<DiffView> {
    let (pinned, live) = (&policies.pinned.reference, &policies.in_force.reference);
    if pinned == live {
        return None;
    }
    let heads = (format!("Pinned: policy {}", pinned.number), format!("In force: policy {}", live.number));
    let found = differences(&policies.pinned.policy, &policies.in_force.policy);
    let view = DiffView::new("in-force", "Policy: changed since the promotion started", heads).say(format!(
        "Policy {} is in force by now. It says who may decide; thresholds and canary stay those of policy {}.",
        live.number, pinned.number
    ));
    Some(if found.is_empty() { view.say("They say the same.") } else { view.with(found) })
}

fn differences(before: &Policy, after: &Policy) -> Vec<Difference> {
    let flat = |policy: &Policy| serde_json::to_value(policy).map(|v| flat::flatten(&v)).unwrap_or_default();
    let (before, after): (Flat, Flat) = (flat(before), flat(after));
    flat::differences(&before, &after)
}
