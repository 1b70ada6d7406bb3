use crate::{PolicySet, Request, Version};

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// May it?
    pub allowed: bool,
    /// Why, in one line that says what an operator can do about it.
    pub reason: String,
    /// The policies that decided, as `FILE:LINE`; empty where none matched.
    pub policies: Vec<String>,
}

impl Verdict {
    pub(crate) fn allowed(reason: String, policies: Vec<String>) -> Self {
        Verdict { allowed: true, reason, policies }
    }

    pub(crate) fn denied(reason: String, policies: Vec<String>) -> Self {
        Verdict { allowed: false, reason, policies }
    }
}

/// All policies of an agent. Each set that is present must permit; none at all denies everything.
#[derive(Clone, Debug)]
pub struct Policies {
    bundle: Option<PolicySet>,
    local: Option<PolicySet>,
    version: Version,
}

impl Policies {
    /// The policies from the authority (`bundle`, its signature verified by the caller) and those from this machine's
    /// own files (`local`).
    pub fn new(bundle: Option<PolicySet>, local: Option<PolicySet>) -> Self {
        let bytes =
            |set: &Option<PolicySet>| set.as_ref().map_or(Vec::new(), |set| set.version().to_bytes().into());
        let version = Version::of([bytes(&bundle).as_slice(), bytes(&local).as_slice()]);
        Policies { bundle, local, version }
    }

    /// The policies from the authority.
    pub fn bundle(&self) -> Option<&PolicySet> {
        self.bundle.as_ref()
    }

    /// The policies from this machine's own files.
    pub fn local(&self) -> Option<&PolicySet> {
        self.local.as_ref()
    }

    /// Changes whenever a text of either set does, or a set comes or goes.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The verdict of both sets together.
    pub fn evaluate(&self, request: &Request) -> Verdict {
        match (&self.bundle, &self.local) {
            (None, None) => Verdict::denied(
                format!(
                    "no policy is loaded; publish one with 'aire mesh policy publish', or give a file with --policy, that holds: {}",
                    request.permit_line()
                ),
                Vec::new(),
            ),
            (Some(set), None) | (None, Some(set)) => set.evaluate(request),
            (Some(bundle), Some(local)) => both(bundle.evaluate(request), local.evaluate(request)),
        }
    }
}

fn both(bundle: Verdict, local: Verdict) -> Verdict {
    let name =
        |whose: &str, verdict: Verdict| Verdict { reason: format!("{whose}: {}", verdict.reason), ..verdict };
    if !bundle.allowed {
        return name("the mesh's bundle", bundle);
    }
    if !local.allowed {
        return name("this node's own policies", local);
    }
    let reason = format!("{} and by {}", bundle.reason, local.policies.join(", "));
    Verdict::allowed(reason, [bundle.policies, local.policies].concat())
}
