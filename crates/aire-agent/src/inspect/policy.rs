use aire_admin::documents::Finding;

use crate::config::Config;
use crate::gate::Gate;

const CHECK: &str = "policy";

/// Are the policy files what an agent would load?
pub(super) fn check(config: &Config) -> Vec<Finding> {
    if config.policy.is_empty() {
        let says =
            "no file here: the authority's published policies decide, and without any nobody may do anything";
        return vec![Finding::ok(CHECK, says)];
    }
    let files: Vec<String> = config.policy.iter().map(|path| path.display().to_string()).collect();
    vec![match Gate::open(config.node.clone(), config.policy.clone()) {
        Ok(_) => Finding::ok(CHECK, format!("{} can be loaded", files.join(", "))),
        Err(error) => {
            let advice = "'aire policy check FILE' shows all that is wrong".to_owned();
            Finding::fail(CHECK, error.to_string(), Some(advice))
        }
    }]
}
