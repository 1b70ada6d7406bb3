//! Sockets, TLS, links, carriers and relay splicing.
