//! What the program itself carries.

/// Public keys (Ed25519, hexadecimal) of those who sign the project's models.
pub(super) const PROJECT_KEYS: &[&str] = &[];

/// The model that agents follow where their configuration names none, in its envelope.
pub(super) const MODEL: Option<&[u8]> = None;

/// It has to prove itself in shadow before it decides anything.
pub(super) const IN_SHADOW: bool = false;
