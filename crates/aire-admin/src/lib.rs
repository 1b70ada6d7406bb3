//! The operator's view: HTTP API, metrics and documents.
