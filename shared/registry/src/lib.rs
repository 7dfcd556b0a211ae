//! The registry port, in memory and on DynamoDB.
