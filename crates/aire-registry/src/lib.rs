//! Membership and signed profile records: merge, expiry, precedence.
//!
//! Every node tells the mesh about itself in one record, signed with its SVID's key. [`Registry`] keeps the newest
//! record of every node and spreads news over the links that its agent has. It has no sockets, no clock and no
//! cryptography: who drives it verifies signatures first and hands in [`VerifiedRecord`]s.
//!
//! # Rules
//! - A record belongs to its signer. Of two records of one node the higher [`Rank`] (incarnation, sequence) stands;
//!   clocks of other machines play no part. Within one incarnation the identity cannot change.
//! - A record lives for its own time to live from the moment this registry *first* accepted it; a second copy extends
//!   nothing. An owner renews at a third of it. What expired leaves a tombstone, so that a slow peer cannot bring it
//!   back, and a copy in its last third is not handed on, so that nobody keeps a dead node alive by joining late.
//!   (What is left of that is bounded by the certificate's life, since its caller verifies it on each acceptance.)
//! - Only the owner and expiry change or remove a record. A lost link or a missed renewal is a [`Output::Suspect`].
//! - Nobody else's word about ourselves is applied. A higher rank of our own (after a loss of state) makes us count
//!   on from there.
//!
//! # How news travels
//! - What matters at once (a new node, a changed profile, a drain) is pushed to up to [`Config::fanout`] links.
//! - All else (renewals, what was asked for, links beyond the fanout) is announced in a line per record, gathered for
//!   [`Config::announce_delay`], and fetched by whoever lacks it: each node loads a renewal about once,
//!   however many links it has. Renewals get rarer in larger meshes. Load and free memory ride along with renewals; a relay whose load
//!   changed much says so sooner, the rarer the more relays there are.
//! - Anti-entropy at link-up and every [`Config::sync_interval`] with one link: hashes by bucket, then the entries of
//!   the buckets that differ, then the records that either side lacks.
//!
//! Beside the records travel the authority's [`Notices`], each kind in one version for all.

mod config;
mod member;
mod message;
mod notices;
mod output;
mod own;
mod query;
mod registry;
mod spread;
mod sync;

pub use config::Config;
pub use member::{Member, Rank, VerifiedRecord};
pub use message::encoded_len;
pub use notices::{NoticeOutput, Notices};
pub use output::{Output, Stats, Unsigned};
pub use registry::Registry;
