//! A browser at a gate: who it is, by a login or by a link, and the page that it gets.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use seatrial_domain::access::Access;
use seatrial_domain::gate::{Capability, GateRecord};
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::{Digest, GateId};
use seatrial_report::message::Message;
use seatrial_report::review::{BlockForm, DecideForm, Deciding, Reader, SignedIn, render};
use seatrial_runtime::Failure;
use seatrial_runtime::link::LinkSecret;

use crate::access::{self, Denied, Right};
use crate::denied::{self, Instead, denied};
use crate::login::{self, Destination};
use crate::review::{self, Review, Seen};
use crate::session::{self, Login};
use crate::{App, cookie};

/// What was sent and not taken: it stands in its form again, with what was wrong.
pub(crate) enum Tried {
    /// Nothing was sent.
    Nothing,
    /// A decision.
    Decision {
        /// The comment as it was typed.
        comment: String,
        /// What was wrong, as a sentence.
        problem: String,
    },
    /// A block.
    Block {
        /// The comment as it was typed.
        comment: String,
        /// What was wrong, as a sentence.
        problem: String,
    },
}

/// How a browser is known.
enum Holder {
    /// Somebody is logged in.
    Login(Login),
    /// It was given a link.
    Link { secret: LinkSecret, capability: Capability },
}

/// A browser that may see a gate.
pub(crate) struct Visit {
    holder: Holder,
    gate: GateRecord,
    live: Access,
}

impl Visit {
    /// Who this browser is at `id`: whoever is logged in, if the policy names them; else the holder of its link.
    pub(crate) async fn open(app: &App, id: &GateId, headers: &HeaderMap) -> Result<Self, Instead> {
        let login = session::logged_in(app, headers).await?;
        let Some(login) = login else { return Self::by_link(app, id, headers).await };
        let Seen { gate, live } = found(app, id).await?;
        if login.caller.may_see(&live) {
            return Ok(Self { holder: Holder::Login(login), gate, live });
        }
        let stranger = Denied::NotNamed { who: login.caller.actor().principal.clone() };
        match cookie::read(headers, id) {
            Some(_) => Self::by_link(app, id, headers).await,
            None => Err(denied(app, &stranger, Some(id))),
        }
    }

    /// Who sent a form: whoever its hidden token was made for. A login in another tab does not change who was asked.
    pub(crate) async fn of_form(
        app: &App,
        id: &GateId,
        headers: &HeaderMap,
        token: &str,
    ) -> Result<Self, Instead> {
        match session::logged_in(app, headers).await? {
            Some(login) if login.secret.accepts_form(id, token) => {
                let Seen { gate, live } = found(app, id).await?;
                if !login.caller.may_see(&live) {
                    let who = login.caller.actor().principal.clone();
                    return Err(denied(app, &Denied::NotNamed { who }, Some(id)));
                }
                Ok(Self { holder: Holder::Login(login), gate, live })
            }
            Some(_) if cookie::read(headers, id).is_none() => Err(forged()),
            _ => {
                let visit = Self::by_link(app, id, headers).await?;
                let Holder::Link { secret, .. } = &visit.holder else { return Err(forged()) };
                if secret.accepts_form(id, token) { Ok(visit) } else { Err(forged()) }
            }
        }
    }

    async fn by_link(app: &App, id: &GateId, headers: &HeaderMap) -> Result<Self, Instead> {
        let refused = |why: Denied| denied(app, &why, Some(id));
        let secret = cookie::read(headers, id).ok_or_else(|| refused(Denied::NoLink))?;
        let capability = app.registry.capability(&secret.hash()).await.map_err(Failure::from)?;
        let capability = access::opens_gate(capability, id, (app.clock)()).map_err(refused)?;
        let Seen { gate, live } = found(app, id).await?;
        access::still_given(&capability, &gate).map_err(refused)?;
        access::is_approver(&capability, &live, (app.clock)()).map_err(refused)?;
        Ok(Self { holder: Holder::Link { secret, capability }, gate, live })
    }

    /// As whom this browser decides.
    pub(crate) fn actor(&self) -> Actor {
        match &self.holder {
            Holder::Login(login) => login.caller.actor().clone(),
            Holder::Link { capability, .. } => {
                Actor { principal: capability.approver.clone(), auth: Auth::Link }
            }
        }
    }

    /// The link that a decision uses up.
    pub(crate) fn link(&self) -> Option<Digest> {
        match &self.holder {
            Holder::Login(_) => None,
            Holder::Link { secret, .. } => Some(secret.hash()),
        }
    }

    /// Whether it has a link that was used: that one decides and blocks nothing more.
    pub(crate) fn is_used(&self) -> bool {
        matches!(&self.holder, Holder::Link { capability, .. } if capability.used_at.is_some())
    }

    /// What there is to see.
    pub(crate) async fn review(&self, app: &App) -> Result<Review, Instead> {
        Ok(review::collect(app, self.gate.clone(), self.live.clone()).await?)
    }

    fn token(&self) -> String {
        match &self.holder {
            Holder::Login(login) => login.secret.form_token(&self.gate.id),
            Holder::Link { secret, .. } => secret.form_token(&self.gate.id),
        }
    }

    fn right(&self, app: &App) -> Right {
        let now = (app.clock)();
        match &self.holder {
            Holder::Login(login) => access::right(login.caller.actor(), &self.gate, &self.live, now),
            Holder::Link { capability, .. } => access::right_of_link(capability, &self.gate, &self.live, now),
        }
    }

    /// Whether this browser can block the approval that would come by itself.
    fn may_block(&self, app: &App) -> bool {
        !self.is_used() && access::may_block(&self.actor().principal, &self.gate, &self.live, (app.clock)())
    }

    /// The form that blocks an automatic approval, while there is one and this person may.
    fn block_form(&self, app: &App, shown: &str, tried: &Tried) -> Option<BlockForm> {
        let (comment, problem) = match tried {
            Tried::Block { comment, problem } => (comment.clone(), Some(problem.clone())),
            _ => (String::new(), None),
        };
        self.may_block(app).then(|| BlockForm {
            action: app.base.to(&format!("/g/{}/block", self.gate.id)),
            token: self.token(),
            shown: shown.to_owned(),
            comment,
            problem,
        })
    }

    /// The review page for this person; `tried` is what they sent that was not taken.
    pub(crate) fn page(
        &self,
        app: &App,
        review: &Review,
        status: StatusCode,
        tried: Tried,
    ) -> Result<Response, Instead> {
        let id = &self.gate.id;
        let shown = self.gate.bound.fingerprint();
        let block = self.block_form(app, &shown, &tried);
        let (comment, problem) = match tried {
            Tried::Decision { comment, problem } => (comment, Some(problem)),
            Tried::Nothing | Tried::Block { .. } => (String::new(), None),
        };
        let deciding = match self.right(app) {
            Right::Decide { own, may_approve } => Deciding::Form(DecideForm {
                action: app.base.to(&format!("/g/{id}/decide")),
                token: self.token(),
                shown,
                approver: self.actor().principal,
                own,
                may_approve,
                comment,
                problem,
            }),
            Right::Login => needs_login(app, id),
            Right::Decided => {
                elsewhere("You have decided already. The gate waits for another approver.", None, Vec::new())
            }
            Right::Look => elsewhere(
                "You may look at this and not decide: the policy in force does not name you among the approvers.",
                None,
                Vec::new(),
            ),
            Right::Closed => Deciding::Closed,
        };
        let signed_in = match &self.holder {
            Holder::Login(login) => Some(SignedIn {
                who: login.caller.actor().principal.clone(),
                sign_out: app.base.to("/logout"),
            }),
            Holder::Link { .. } => None,
        };
        let reader = Reader { deciding: &deciding, block: block.as_ref(), signed_in: signed_in.as_ref() };
        let page = render(&review.facts((app.clock)()), &reader);
        let page = page.map_err(|e| Failure::internal("rendering the page", e))?;
        Ok((status, Html(page)).into_response())
    }
}

/// The gate, and who may decide at it now.
async fn found(app: &App, id: &GateId) -> Result<Seen, Instead> {
    let gate = review::approval_gate(app, id).await?.ok_or_else(|| denied::no_such_gate(app))?;
    let live = review::live(app, &gate).await?;
    Ok(Seen { gate, live })
}

fn elsewhere(why: &str, link: Option<(String, String)>, commands: Vec<String>) -> Deciding {
    Deciding::Elsewhere { why: why.to_owned(), link, commands }
}

/// What the holder of a link is told where a login is needed.
fn needs_login(app: &App, id: &GateId) -> Deciding {
    let why =
        "This model's policy asks for a login to decide: separation of duties, or more than one approver.";
    match app.logins() {
        Some(_) => {
            let address = login::address(app, &Destination::gate(id));
            let link = Some((address, "Log in to decide".to_owned()));
            elsewhere(&format!("{why} Your link shows the page."), link, Vec::new())
        }
        None => {
            let why = format!("{why} Your link shows the page; decide with your own login:");
            elsewhere(&why, None, denied::commands(Some(id)))
        }
    }
}

fn forged() -> Instead {
    let message = Message::new(
        "This form is out of date",
        "It does not belong to the link or the login that this browser has. Nothing was decided.",
    )
    .and("Open the page again and decide there.");
    Instead::new(StatusCode::FORBIDDEN, message)
}
