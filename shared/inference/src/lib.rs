//! Runs a version: ONNX in process.
