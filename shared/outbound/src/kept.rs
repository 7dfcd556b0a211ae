//! A connection that is kept for many calls to one address.

use reqwest::{Client, Method};

use crate::address::{Allowed, Hook};
use crate::{Answer, CallError, Read, addresses, answered, client, unreachable};

/// An address that may be called, with the machines that it leads to looked at once. Whoever keeps it makes another one from time to
/// time, since a name may come to lead elsewhere.
#[derive(Debug, Clone)]
pub struct Kept {
    hook: Hook,
    client: Client,
}

impl Kept {
    /// Looks at the address and at what its name leads to.
    ///
    /// # Errors
    /// [`CallError`], by whether trying again may help.
    pub async fn open(allowed: &Allowed, url: &str) -> Result<Self, CallError> {
        let hook = allowed.url(url).map_err(CallError::NotAllowed)?;
        let client = client(&hook, &addresses(&hook).await?)?;
        Ok(Self { hook, client })
    }

    /// Gets the address itself.
    ///
    /// # Errors
    /// When nobody answered, or more than `read` allows.
    pub async fn get(&self, read: Read) -> Result<Answer, CallError> {
        self.send(Method::GET, "", String::new(), read).await
    }

    /// Posts `body` to the address with `suffix` at the end of its path.
    ///
    /// # Errors
    /// As [`Kept::get`].
    pub async fn post(&self, suffix: &str, body: String, read: Read) -> Result<Answer, CallError> {
        self.send(Method::POST, suffix, body, read).await
    }

    async fn send(
        &self,
        method: Method,
        suffix: &str,
        body: String,
        read: Read,
    ) -> Result<Answer, CallError> {
        let mut url = self.hook.url.clone();
        url.set_path(&format!("{}{suffix}", self.hook.url.path()));
        let request = self.client.request(method, url).header("accept", "application/json");
        let request = request.header("content-type", "application/json").body(body);
        let answer = request.send().await.map_err(|e| unreachable(&self.hook.host, e))?;
        answered(answer, read).await
    }
}
