//! Versions that are out of use: retired and collected as the plan says, one model in each minute of the hour.

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};
use seatrial_artifacts::package::{CollectError, remains, remove};
use seatrial_domain::retention::{Collecting, Fate, Freed, minute_of};
use seatrial_domain::{ModelName, VersionName};
use seatrial_registry::ops;
use seatrial_runtime::Failure;
use serde_json::Value;

use crate::Sweep;

/// How long after its beginning a call deletes: it ends before its own limit, and another goes on.
const DELETES: SignedDuration = SignedDuration::from_secs(270);

/// The model whose versions are to be looked at now, whatever the minute: `{"retention": "<model>"}`.
pub(crate) fn asked(event: &Value) -> Result<Option<ModelName>, Failure> {
    let Some(name) = event.get("retention") else { return Ok(None) };
    let wrong = || Failure::invalid(format!("`retention` is {name}; expected the name of a model"));
    ModelName::parse(name.as_str().ok_or_else(wrong)?).map(Some).map_err(|_| wrong())
}

impl<C: Fn() -> Timestamp + Send + Sync> Sweep<'_, C> {
    /// Whether this call is the one in the minute of this model.
    pub(crate) fn is_minute_of(&self, model: &ModelName) -> bool {
        let minute = self.began.as_second().div_euclid(60).rem_euclid(60);
        minute == i64::from(minute_of(model))
    }

    /// Takes up a collection that was broken off, once the run that began it cannot delete any more.
    pub(crate) async fn go_on_collecting(&mut self, model: &ModelName) {
        if !self.has_time() {
            return;
        }
        let went_on = self.take_up(model).await;
        self.note(went_on);
    }

    async fn take_up(&self, model: &ModelName) -> Result<Option<String>, Failure> {
        let Some(head) = self.ports.registry.head(model).await? else { return Ok(None) };
        if head.collecting.is_none() {
            return Ok(None);
        }
        let taken = self.ops().resume_collection(model).await?;
        match taken.value.filter(|_| taken.fresh) {
            Some(ours) => self.delete(model, &ours).await,
            None => Ok(None),
        }
    }

    /// Does what the plan of this model says. What this call does not begin, that of the next hour does.
    pub(crate) async fn keep_to_the_plan(&mut self, model: &ModelName) {
        if !self.has_time() {
            return;
        }
        let plan = match ops::kept(self.ports.registry, model).await {
            Ok(kept) => kept.plan((self.clock)()),
            Err(e) => return self.note(Err(e.into())),
        };
        for line in plan.with(Fate::Retire) {
            let retired = self.ops().retire_by_policy(model, line.version).await;
            self.note(retired.map_err(Failure::from).map(|r| {
                r.fresh.then(|| format!("{} of {model} is retired: it {}", line.version, line.why))
            }));
        }
        // The oldest first: a blob goes with the last version that needs it, as the plan counts it.
        let mut due: Vec<_> = plan.with(Fate::Collect).collect();
        due.sort_by_key(|line| (line.due, line.version.number()));
        for line in due {
            if !self.has_time() {
                return;
            }
            if self.collect(model, line.version).await.is_break() {
                return;
            }
        }
    }

    /// Collects one version: the transaction first, from which on nobody can load it, then the bytes.
    async fn collect(&mut self, model: &ModelName, version: VersionName) -> ControlFlow<()> {
        let begun = match self.commit(model, version).await {
            Ok(Some(begun)) => begun,
            // Somebody else was first.
            Ok(None) => return ControlFlow::Break(()),
            Err(failure) => {
                self.note(Err(failure));
                return ControlFlow::Break(());
            }
        };
        let Freed { objects, bytes } = begun.freed;
        self.note(Ok(Some(format!("{version} of {model} is collected: {objects} objects, {bytes} bytes"))));
        let deleted = self.delete(model, &begun).await;
        // What is not finished keeps the next from beginning.
        let whole = matches!(&deleted, Ok(Some(_)));
        self.note(deleted);
        if whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// The deletion that is ours to do.
    async fn commit(&self, model: &ModelName, version: VersionName) -> Result<Option<Collecting>, Failure> {
        let kept = ops::kept(self.ports.registry, model).await?;
        let Some(record) = self.ports.registry.version(model, version).await? else { return Ok(None) };
        let staying = kept.staying(version);
        let found = remains(self.ports.models, model, &record.reference(), &staying).await;
        let found = found.map_err(failed)?.freed();
        let begun = self.ops().collect_version(model, version, found).await?;
        Ok(begun.value.filter(|_| begun.fresh))
    }

    /// Deletes what is left of the version in a run of ours, and says so when nothing is.
    async fn delete(&self, model: &ModelName, collecting: &Collecting) -> Result<Option<String>, Failure> {
        // Read after the collection was committed: whatever was registered before it is among these, and nothing is meanwhile.
        let kept = ops::kept(self.ports.registry, model).await?;
        let version = collecting.version.version;
        let found = remains(self.ports.models, model, &collecting.version, &kept.staying(version)).await;
        let go_on = || {
            let now = (self.clock)();
            collecting.deletes_at(now) && now.duration_since(self.began) < DELETES
        };
        let removed = remove(self.ports.models, &found.map_err(failed)?, &go_on).await.map_err(failed)?;
        if !removed.whole {
            tracing::warn!(%model, %version, ?removed, "the time of this run is over; another goes on");
            return Ok(None);
        }
        let Freed { objects, bytes } = removed.freed;
        self.ops().finish_collection(model, collecting, removed.freed).await?;
        Ok(Some(format!("the bytes of {version} of {model} are deleted: {objects} objects, {bytes} bytes")))
    }
}

fn failed(error: CollectError) -> Failure {
    if error.is_transient() {
        Failure::unavailable("deleting what a collected version has", error)
    } else {
        Failure::internal(&format!("collecting a version ({error})"), error)
    }
}
