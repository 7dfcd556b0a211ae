//! The secrets of webhooks: parameters of the account's parameter store.

use async_trait::async_trait;
use aws_config::SdkConfig;
use seatrial_outbound::{NoSecret, Secret, parameter};

use crate::Tried;

/// Reads secrets. One that is not there, or may not be read, is [`Tried::Never`]: somebody has to put it there.
#[async_trait]
pub trait Parameters: Send + Sync {
    /// The value of `name`, which is given without the deployment's prefix.
    ///
    /// # Errors
    /// As how the delivery that needs it ends.
    async fn value(&self, name: &str) -> Result<Secret, Tried>;
}

/// AWS Systems Manager. Values are read each time: a new key counts at once.
#[derive(Debug, Clone)]
pub struct Ssm {
    aws: SdkConfig,
    prefix: String,
}

impl Ssm {
    /// Parameters whose names begin with `prefix` and a slash.
    #[must_use]
    pub fn new(aws: SdkConfig, prefix: &str) -> Self {
        Self { aws, prefix: prefix.trim_end_matches('/').to_owned() }
    }
}

#[async_trait]
impl Parameters for Ssm {
    async fn value(&self, name: &str) -> Result<Secret, Tried> {
        parameter(&self.aws, &format!("{}/{name}", self.prefix)).await.map_err(|e| match e {
            NoSecret::Missing { .. } => {
                Tried::Never { why: format!("{e}; put the webhook's secret there (docs/notify.md)") }
            }
            NoSecret::Refused(why) => Tried::Never { why },
            NoSecret::Unavailable(why) => Tried::Later { after: None, why },
        })
    }
}
