//! Submissions, the OCI image layout and content-addressed storage on S3.
