//! What the registry keeps beside models: tokens, links, tallies, watermarks and attempt markers. None of it is part of the
//! history, and each kind has partitions of its own, so that access rights can tell them apart.

use std::ops::Range as Seconds;

use async_trait::async_trait;
use jiff::Timestamp;
use seatrial_domain::gate::Capability;
use seatrial_domain::ids::SubmissionId;
use seatrial_domain::submission::Announced;
use seatrial_domain::{Digest, GateId, ModelName, PromotionId};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::layout::{self, DOC, corrupt, text};
use crate::ports::{
    AttemptState, Attempts, Capabilities, Submissions, Tallies, TallyItem, TaskToken, Tokens, Watermarks,
};
use crate::store::TableRegistry;
use crate::table::{Action, Attr, Cond, Item, Key, Range, TTL, Table, Write};

fn item(attributes: impl IntoIterator<Item = (&'static str, Attr)>) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn ttl(at: Timestamp) -> (&'static str, Attr) {
    (TTL, Attr::N(at.as_second()))
}

#[async_trait]
impl<T: Table> Tokens for TableRegistry<T> {
    async fn put_token(
        &self,
        gate: &GateId,
        token: &TaskToken,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let put = Action::Put(item([("token", text(token.expose())), ttl(expires_at)]));
        let write = Write { key: layout::token_key(gate), action: put, condition: Cond::Always };
        self.table.write(&write).await.map(|_| ())
    }

    async fn token(&self, gate: &GateId) -> Result<Option<TaskToken>, StoreError> {
        let found = self.table.get(&layout::token_key(gate)).await?;
        Ok(found.and_then(|mut item| match item.remove("token") {
            Some(Attr::S(token)) => Some(TaskToken::new(token)),
            _ => None,
        }))
    }

    async fn delete_token(&self, gate: &GateId, token: &TaskToken) -> Result<(), StoreError> {
        // answer: reads token 1, answers it ──────────────► deletes if it is still token 1 → kept
        // gate:                     a retry puts token 2 ─┘  (and is answered in its turn)
        let condition = Cond::Eq("token", text(token.expose()));
        let write = Write { key: layout::token_key(gate), action: Action::Delete, condition };
        self.table.write(&write).await.map(|_| ())
    }
}

#[async_trait]
impl<T: Table> Capabilities for TableRegistry<T> {
    async fn put_capability(&self, hash: &Digest, capability: &Capability) -> Result<(), StoreError> {
        // A repeated call must not make a used or revoked link fresh again.
        let put = Action::Put(layout::capability_item(capability)?);
        let write = Write { key: layout::capability_key(hash), action: put, condition: Cond::Absent };
        self.table.write(&write).await.map(|_| ())
    }

    async fn capability(&self, hash: &Digest) -> Result<Option<Capability>, StoreError> {
        let at = layout::capability_key(hash);
        self.table.get(&at).await?.map(|item| layout::read_capability(&at, &item)).transpose()
    }

    async fn revoke(&self, hash: &Digest) -> Result<bool, StoreError> {
        let set = Action::Set(item([("revoked", Attr::B(true))]));
        self.table
            .write(&Write { key: layout::capability_key(hash), action: set, condition: Cond::Exists })
            .await
    }
}

#[async_trait]
impl<T: Table> Submissions for TableRegistry<T> {
    async fn announce(&self, announced: &Announced) -> Result<Announced, StoreError> {
        let key = layout::submission_key(&announced.model, &announced.id);
        let put = Action::Put(layout::submission_item(announced)?);
        // sue: announces s1 ─► kept        eve: announces s1 ─► refused, and is told that it is sue's
        let write = Write { key: key.clone(), action: put, condition: Cond::Absent };
        if self.table.write(&write).await? {
            return Ok(announced.clone());
        }
        let kept = self.announced(&announced.model, &announced.id).await?;
        kept.ok_or_else(|| corrupt(&key, "the announcement that was there a moment ago", "it is gone"))
    }

    async fn take_announced(
        &self,
        model: &ModelName,
        id: &SubmissionId,
        promotion: &PromotionId,
    ) -> Result<Option<Announced>, StoreError> {
        // sue:  announces s1, completes it ─► promotion 1 takes it     the event comes again ─► promotion 1 has it still
        // eve:                    writes the same file once more ─► promotion 2 does not get it: sue did not ask for that one
        let free = Cond::Any(vec![Cond::Missing(TAKEN_BY), Cond::Eq(TAKEN_BY, text(promotion))]);
        let write = Write {
            key: layout::submission_key(model, id),
            action: Action::Set(item([(TAKEN_BY, text(promotion))])),
            condition: Cond::All(vec![Cond::Exists, free]),
        };
        if self.table.write(&write).await? { self.announced(model, id).await } else { Ok(None) }
    }

    async fn announced(&self, model: &ModelName, id: &SubmissionId) -> Result<Option<Announced>, StoreError> {
        let at = layout::submission_key(model, id);
        self.table.get(&at).await?.map(|item| layout::read(&at, &item)).transpose()
    }

    async fn taken_by(
        &self,
        model: &ModelName,
        id: &SubmissionId,
    ) -> Result<Option<PromotionId>, StoreError> {
        let at = layout::submission_key(model, id);
        match self.table.get(&at).await?.as_ref().and_then(|item| item.get(TAKEN_BY)) {
            Some(Attr::S(promotion)) => {
                PromotionId::parse(promotion).map(Some).map_err(|e| corrupt(&at, "a promotion's name", e))
            }
            _ => Ok(None),
        }
    }
}

/// The attribute of an announcement that names the promotion which has taken it.
const TAKEN_BY: &str = "promotion";

/// A tally's fields beside its body, so that the list needs no sort keys.
#[derive(Serialize, Deserialize)]
struct TallyMeta {
    second: i64,
    arm: String,
    id: String,
}

#[async_trait]
impl<T: Table> Tallies for TableRegistry<T> {
    async fn put_tally(&self, tally: &TallyItem) -> Result<bool, StoreError> {
        let meta = TallyMeta { second: tally.second, arm: tally.arm.clone(), id: tally.id.clone() };
        let key = Key {
            pk: layout::tally_pk(&tally.model, tally.epoch, &tally.arm),
            sk: format!("{}#{}#{}", layout::tally_second(tally.second), tally.arm, tally.id),
        };
        let doc = serde_json::to_string(&meta).map_err(|e| corrupt(&key, "a tally with a JSON form", e))?;
        let put = item([(DOC, Attr::S(doc)), ("body", text(&tally.body)), ttl(tally.expires_at)]);
        // The queue delivers twice: the second one finds the first and adds nothing.
        self.table.write(&Write { key, action: Action::Put(put), condition: Cond::Absent }).await
    }

    async fn tallies_of(
        &self,
        model: &ModelName,
        epoch: u64,
        arm: &str,
        seconds: Seconds<i64>,
    ) -> Result<Vec<TallyItem>, StoreError> {
        if seconds.is_empty() {
            return Ok(Vec::new());
        }
        let pk = layout::tally_pk(model, epoch, arm);
        // A second's own number sorts before all its tallies (`…#arm#id`), so the end is left out and the start is in.
        let range = Range::Between(layout::tally_second(seconds.start), layout::tally_second(seconds.end));
        let found = self.table.query(&pk, &range, None).await?;
        found
            .into_iter()
            .map(|mut item| {
                let meta: TallyMeta = layout::read_at(&pk, &item)?;
                let body = match item.remove("body") {
                    Some(Attr::S(body)) => body,
                    _ => {
                        return Err(StoreError::Corrupt {
                            item: pk.clone(),
                            expected: "a body".into(),
                            source: None,
                        });
                    }
                };
                let expires_at = match item.get(TTL) {
                    Some(Attr::N(second)) => Timestamp::from_second(*second).unwrap_or(Timestamp::MAX),
                    _ => Timestamp::MAX,
                };
                let (second, arm, id) = (meta.second, meta.arm, meta.id);
                Ok(TallyItem { model: model.clone(), epoch, second, arm, id, body, expires_at })
            })
            .collect()
    }
}

#[async_trait]
impl<T: Table> Watermarks for TableRegistry<T> {
    async fn drained_at(&self, queue: &str) -> Result<Option<Timestamp>, StoreError> {
        let at = layout::watermark_key(queue);
        match self.table.get(&at).await?.as_ref().and_then(|item| item.get("drained_us")) {
            Some(Attr::N(us)) => Timestamp::from_microsecond(*us)
                .map(Some)
                .map_err(|e| corrupt(&at, "microseconds of Unix time", e)),
            _ => Ok(None),
        }
    }

    async fn set_drained_at(&self, queue: &str, at: Timestamp) -> Result<(), StoreError> {
        let us = at.as_microsecond();
        // Two consumers report 10:00:07 and 10:00:05; whichever comes last, 10:00:07 stays.
        let condition = Cond::Any(vec![Cond::Missing("drained_us"), Cond::Less("drained_us", Attr::N(us))]);
        let set = Action::Set(item([("drained_us", Attr::N(us))]));
        self.table
            .write(&Write { key: layout::watermark_key(queue), action: set, condition })
            .await
            .map(|_| ())
    }
}

#[async_trait]
impl<T: Table> Attempts for TableRegistry<T> {
    async fn mark_attempt(
        &self,
        promotion: &PromotionId,
        observation_id: &str,
        expires_at: Timestamp,
    ) -> Result<AttemptState, StoreError> {
        let key = layout::attempt_key(promotion, observation_id);
        let marked = self.table.bump(&key, "attempts", &item([ttl(expires_at)])).await?;
        let earlier = match marked.get("attempts") {
            Some(Attr::N(n)) => u32::try_from(n - 1).unwrap_or(u32::MAX),
            _ => return Err(corrupt(&key, "a number of attempts", "there is none")),
        };
        let finished = marked.get("finished") == Some(&Attr::B(true));
        Ok(if earlier == 0 { AttemptState::First } else { AttemptState::Again { earlier, finished } })
    }

    async fn attempt_finished(
        &self,
        promotion: &PromotionId,
        observation_id: &str,
    ) -> Result<bool, StoreError> {
        let found = self.table.get(&layout::attempt_key(promotion, observation_id)).await?;
        Ok(found.is_some_and(|item| item.get("finished") == Some(&Attr::B(true))))
    }

    async fn finish_attempt(&self, promotion: &PromotionId, observation_id: &str) -> Result<(), StoreError> {
        let set = Action::Set(item([("finished", Attr::B(true))]));
        // Only an attempt that was marked can end: without its mark it would count as the first and carry no expiry.
        let key = layout::attempt_key(promotion, observation_id);
        self.table.write(&Write { key, action: set, condition: Cond::Exists }).await.map(|_| ())
    }
}
