//! Authorization: identity, action and context in, allow or deny with the reason out.
//!
//! Policies are [Cedar](https://docs.cedarpolicy.com) texts. This crate is pure: texts in, verdicts out; whoever uses
//! it reads the files and watches them. Nothing is allowed unless a policy permits it, a `forbid` beats every
//! `permit`, and a policy that cannot be evaluated denies.
//!
//! # What a policy can say
//!
//! | | `Action::"connect"` | `Action::"relay"` |
//! |---|---|---|
//! | asked by | the destination, for every stream and circuit | every relay, for every circuit |
//! | `principal` | the caller: `App::"client"`, or `Node::"gw"` for an agent without an app | the same: the circuit's source |
//! | `resource` | the app that is called: `App::"echo"` | the relay: `Node::"r2"` |
//! | `context.class` | `"interactive"`, `"bulk"` or `"critical"` | the same |
//! | `context.risk` | risk of the caller per mille, 0 to 1000, rounded up to a multiple of 50 ([`RiskBand`]) | the same |
//! | `context.node` | the node of the instance that is called, as text | – |
//! | `context.source` | – | the caller's app: `App::"client"`; `App::"-"` where it has none |
//! | `context.destination` | – | the app at the end of the circuit: `App::"echo"`; `App::"-"` where it has none |
//!
//! The principal has the attributes `principal.node` (its node's name) and `principal.mesh` (its trust domain), both
//! texts. Nothing else has attributes: an app has many instances, so `App::"echo"` alone does not say where it runs.
//!
//! ```cedar
//! permit(principal == App::"client", action == Action::"connect", resource == App::"echo");
//! permit(principal, action == Action::"relay", resource == Node::"r2")
//!   when { context.destination == App::"echo" && context.risk < 300 };
//! forbid(principal, action, resource) when { principal.node == "stolen-laptop" };
//! ```
//!
//! Policies are validated against that table when they are parsed, so a misspelt action, type or attribute is an
//! error with its file and line, not a rule that never applies.

mod cache;
mod finding;
mod limits;
mod lint;
mod policies;
mod request;
mod schema;
mod set;
mod version;

pub use cache::VerdictCache;
pub use finding::{Finding, PolicyErrors, Severity};
pub use policies::{Policies, Verdict};
pub use request::{Action, Request, RiskBand};
pub use set::{PolicySet, check};
pub use version::Version;

/// The policy text that a new mesh begins with: members relay for members, nobody connects, and the line to add for
/// the first pair stands in a comment.
pub const STARTER: &str = include_str!("starter.cedar");
