//! Authorization: identity, action and context in, allow or deny with the reason out.
