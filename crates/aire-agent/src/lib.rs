//! A running agent, assembled from its configuration.
