use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Policies, Request, Verdict, Version};

/// Remembers verdicts, because the same few questions are asked for every stream.
///
/// Holds at most twice its capacity: two generations, the older of which is dropped whole when the younger is full,
/// so a lookup never has to search for the least used. Verdicts of other policy versions are never given.
#[derive(Clone, Debug)]
pub struct VerdictCache {
    capacity: usize,
    version: Option<Version>,
    young: BTreeMap<Request, Arc<Verdict>>,
    old: BTreeMap<Request, Arc<Verdict>>,
    hits: u64,
    misses: u64,
}

impl VerdictCache {
    /// A cache with `capacity` verdicts (at least one) in each of its two generations.
    pub fn new(capacity: usize) -> Self {
        VerdictCache {
            capacity: capacity.max(1),
            version: None,
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            hits: 0,
            misses: 0,
        }
    }

    /// The verdict of `policies` on `request`, from memory where it was asked before under the same version.
    pub fn authorize(&mut self, policies: &Policies, request: &Request) -> Arc<Verdict> {
        if self.version != Some(policies.version()) {
            self.young.clear();
            self.old.clear();
            self.version = Some(policies.version());
        }
        if let Some(verdict) = self.young.get(request) {
            self.hits += 1;
            return Arc::clone(verdict);
        }
        let verdict = match self.old.remove(request) {
            Some(verdict) => {
                self.hits += 1;
                verdict
            }
            None => {
                self.misses += 1;
                Arc::new(policies.evaluate(request))
            }
        };
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(request.clone(), Arc::clone(&verdict));
        verdict
    }

    /// How many verdicts it holds.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Holds none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Questions answered from memory and questions that had to be evaluated, since the start.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }
}
