//! Objects in the stack's buckets.

use super::Stack;

impl Stack {
    /// The keys under a prefix of a bucket, which is named by its output.
    pub async fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let mut pages =
            self.s3.list_objects_v2().bucket(self.out(bucket)).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap_or_else(|e| panic!("{bucket}/{prefix} cannot be listed: {e:?}"));
            keys.extend(page.contents().iter().filter_map(|o| o.key().map(str::to_owned)));
        }
        keys
    }

    /// The bytes of an object.
    pub async fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        let found = self.s3.get_object().bucket(self.out(bucket)).key(key).send().await;
        let body = found.unwrap_or_else(|e| panic!("{bucket}/{key} cannot be read: {e:?}")).body;
        body.collect().await.unwrap_or_else(|e| panic!("{bucket}/{key} broke off: {e:?}")).to_vec()
    }

    /// Uploads an object.
    pub async fn put(&self, bucket: &str, key: &str, body: Vec<u8>) {
        let put = self.s3.put_object().bucket(self.out(bucket)).key(key).body(body.into()).send().await;
        put.unwrap_or_else(|e| panic!("{bucket}/{key} cannot be written: {e:?}"));
    }
}
