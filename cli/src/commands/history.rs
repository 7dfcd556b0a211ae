//! Which version served when, and who changed it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use seatrial_attestation::checkpoint;
use seatrial_attestation::verify::{self, Finding, Standing};
use seatrial_domain::ModelName;
use seatrial_domain::history::{self, ChainTip, HistoryEntry};
use seatrial_domain::served::{Served, Share, served};
use serde_json::{Value, json};

use super::{Session, key};
use crate::evidence::Bucket;
use crate::failure::{Failure, REFUSED};
use crate::output::{self, text};

/// Shows the history, and checks the chain against the model's head and against the signed checkpoints.
pub(crate) async fn history(
    session: &Session,
    model: &ModelName,
    only_served: bool,
    keys: &[PathBuf],
) -> Result<(), Failure> {
    let (entries, chain) = read(session, model).await?;
    let verified = history::verify(model, &entries, Some(&chain));
    let anchors = anchors(session, model, &entries, keys).await?;
    let times = served(&entries);
    let answer = json!({
        "model": model, "served": times, "entries": entries, "chain": chain, "verified": verified.is_ok(),
        "checkpoints": anchors,
    });
    output::print(session.format, &answer, |_| {
        let mut out = times_table(&times);
        if !only_served {
            out.push('\n');
            out.push_str(&entries_table(&entries));
        }
        out.push('\n');
        match &verified {
            Ok(()) => out.push_str(&format!(
                "the chain of {} entries holds; it ends with {}\n",
                entries.len(),
                chain.hash
            )),
            Err(broken) => out.push_str(&format!("THE CHAIN IS BROKEN: {broken}\n")),
        }
        out.push_str(&anchors_line(&anchors));
        out
    })?;
    let broken = |why: String| {
        Failure::new(REFUSED, "broken_chain", format!("the history of {model} does not hold: {why}"))
    };
    verified.map_err(|e| broken(e.to_string()))?;
    match anchors.iter().find(|f| f.standing.is_doubt()) {
        Some(doubt) => Err(broken(format!("{}: {}", doubt.what, doubt.why))),
        None => Ok(()),
    }
}

async fn read(session: &Session, model: &ModelName) -> Result<(Vec<HistoryEntry>, ChainTip), Failure> {
    let control = session.control().await?;
    let mut entries: Vec<HistoryEntry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |e| e.seq);
        let page: Value = control.get(&format!("/v1/models/{model}/history?after={after}&limit=500")).await?;
        let new: Vec<HistoryEntry> = field(&page, "entries")?;
        let chain: ChainTip = field(&page, "chain")?;
        let done = new.is_empty();
        entries.extend(new);
        if done || entries.last().is_some_and(|e| e.seq >= chain.seq) {
            return Ok((entries, chain));
        }
    }
}

/// How the signed checkpoints of the model stand. Whoever may not read them is told so, and is shown the rest.
async fn anchors(
    session: &Session,
    model: &ModelName,
    entries: &[HistoryEntry],
    keys: &[PathBuf],
) -> Result<Vec<Finding>, Failure> {
    let given = key::of_files(keys)?;
    let found = async {
        let keys =
            if given.is_empty() { vec![key::of_deployment(&session.deployment).await?] } else { given };
        let bucket = Bucket::new(&session.deployment.aws().await, session.deployment.need("EvidenceBucket")?);
        Ok::<_, Failure>((keys, bucket.read(&[checkpoint::prefix(model)]).await?))
    };
    Ok(match found.await {
        Ok((keys, files)) => {
            let short = |path: String| path.rsplit('/').next().unwrap_or(&path).to_owned();
            let checkpoints: BTreeMap<_, _> = files.into_iter().map(|(k, bytes)| (short(k), bytes)).collect();
            let findings = verify::history(model, entries.to_vec(), &checkpoints, &keys);
            findings.into_iter().filter(|f| checkpoints.contains_key(&f.what)).collect()
        }
        Err(why) => vec![Finding::new("checkpoints", Standing::NotChecked, why.message)],
    })
}

fn anchors_line(anchors: &[Finding]) -> String {
    let holding = anchors.iter().filter(|f| f.standing == Standing::Holds).count();
    let mut out = String::new();
    if holding > 0 {
        out.push_str(&format!("{holding} signed checkpoints agree with it\n"));
    } else if anchors.is_empty() {
        out.push_str("no checkpoint is signed yet\n");
    }
    for other in anchors.iter().filter(|f| f.standing != Standing::Holds) {
        out.push_str(&format!("{}: {}: {}\n", other.what, other.standing.as_str(), other.why));
    }
    out
}

fn times_table(times: &[Served]) -> String {
    if times.is_empty() {
        return "no version has served yet\n".into();
    }
    let at = |t: &jiff::Timestamp| t.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let share = |s: &Share| format!("{} {} %", s.version, output::short(s.weight.fraction() * 100.0));
    output::table(
        ["from", "until", "who served", "because", "changed by"],
        times.iter().rev().map(|t| {
            [
                at(&t.from),
                t.until.as_ref().map_or_else(|| "now".into(), at),
                t.shares.iter().map(share).collect::<Vec<_>>().join(", "),
                format!("{} (#{})", t.event.replace('_', " "), t.seq),
                t.by.join(", "),
            ]
        }),
    )
}

fn entries_table(entries: &[HistoryEntry]) -> String {
    output::table(
        ["#", "at", "event", "version", "by", "what"],
        entries.iter().map(|e| {
            [
                e.seq.to_string(),
                e.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                e.event.clone(),
                e.version.map(|v| v.to_string()).unwrap_or_default(),
                e.actor.principal.clone(),
                what(e),
            ]
        }),
    )
}

fn field<T: serde::de::DeserializeOwned>(page: &Value, name: &str) -> Result<T, Failure> {
    serde_json::from_value(page.get(name).cloned().unwrap_or(Value::Null))
        .map_err(|e| Failure::unexpected(format!("the API's `{name}` is not what this command reads: {e}")))
}

fn deleted(details: &Value) -> String {
    let bytes = details.get("bytes").and_then(Value::as_u64).unwrap_or_default();
    format!("{} objects, {}", text(details, "/objects"), output::size(bytes))
}

/// What an entry did, in a few words.
fn what(entry: &HistoryEntry) -> String {
    let d = &entry.details;
    let percent = |p: &str| {
        d.pointer(p)
            .and_then(Value::as_f64)
            .map_or_else(String::new, |b| format!("{} %", output::short(b / 100.0)))
    };
    match entry.event.as_str() {
        "weight_shifted" => format!("{} → {}", percent("/from"), percent("/to")),
        "rolled_back" => {
            format!("{} → {}: {}", text(d, "/from/version"), text(d, "/to/version"), text(d, "/reason"))
        }
        "canary_rolled_back" | "promotion_ended" | "version_retired" => text(d, "/reason"),
        "version_collected" => format!("{}: it {}", deleted(d), text(d, "/reason")),
        "collection_resumed" => format!("run {}", text(d, "/run")),
        "collection_finished" => format!("{}, done", deleted(d)),
        "crowned" => format!("standby {}", text(d, "/standby/version")),
        "adopted" => format!("without a promotion: {}", text(d, "/comment")),
        "evidence_recorded" => {
            format!("{} {}", text(d, "/kind"), d.get("verdict").and_then(Value::as_str).unwrap_or_default())
        }
        "gate_decided" => {
            format!("{} {}: {}", text(d, "/kind"), text(d, "/status"), text(d, "/decision/comment"))
        }
        "gate_opened" | "gate_closed" => {
            format!("{} {}", text(d, "/kind"), d.get("status").and_then(Value::as_str).unwrap_or_default())
        }
        "gate_blocked" => format!("automatic approval: {}", text(d, "/comment")),
        "gate_reminded" => format!("ends at {}", text(d, "/ends_at")),
        "gate_links_revoked" => {
            let whose = d.get("of").and_then(Value::as_str).unwrap_or("everybody");
            let then = if d.get("renew") == Some(&Value::Bool(true)) { ", new ones asked for" } else { "" };
            format!("of {whose}{then}")
        }
        "gate_links_sent" => d.get("to").and_then(Value::as_array).map_or_else(String::new, |to| {
            format!("to {}", to.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }),
        "gate_orphaned" => text(d, "/why"),
        "emergency_bypass" => format!("skips the {}: {}", text(d, "/stage"), text(d, "/reason")),
        "policy_set" => format!("number {}", text(d, "/to/number")),
        "shadow_opened" => format!("sample {}", percent("/sample")),
        _ => String::new(),
    }
}
