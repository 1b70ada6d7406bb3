//! The configuration, and the JSON bodies of the admin API.

use aire_agent::{Config, RawConfig};
use aire_types::{AppProfile, Override};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match RawConfig::parse(text, "fuzz.toml".as_ref()) {
        Ok(raw) => drop(Config::resolve(raw)),
        Err(error) => assert!(error.to_string().contains("fuzz.toml"), "{error}"),
    }
}

/// What was read can be written, and what was written can be read.
fn there_and_back<T: Serialize + DeserializeOwned>(input: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(input) {
        let text = serde_json::to_string(&value).expect("a value that was read can be written");
        let again = serde_json::from_str::<T>(&text);
        let again = again.unwrap_or_else(|error| panic!("{text}: {error}"));
        let second = serde_json::to_string(&again).expect("a value that was read can be written");
        assert_eq!(second.len(), text.len(), "{text} became {second}");
    }
}

pub(crate) fn json(input: &[u8]) {
    there_and_back::<AppProfile>(input);
    there_and_back::<Override>(input);
}

pub(crate) fn configuration_seeds() -> Vec<Vec<u8>> {
    let whole = r#"
node = "n1"
listen = "127.0.0.1:9000"
seeds = ["a.example:7117"]
policy = ["p.cedar"]
patience_s = 5
[app]
name = "echo"
target = "localhost:8080"
profile = { priority = 6, class = "bulk", destinations = { db = 1.5 } }
[[to]]
app = "db"
listen = "127.0.0.1:5432"
class = "critical"
[relay]
enabled = true
limit_mbps = 10.0
[overrides.db]
pin = ["r1"]
avoid = ["r1"]
direct-only = false
"#;
    vec![whole.into(), b"nodes = 1\n".to_vec(), b"node = \"n\"\nadmin = \"[::1]:1\"\n".to_vec()]
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    vec![
        br#"{"needs":{"bandwidth_mbps":1.5,"latency_ms":20,"cpu":0.1,"memory_mib":64},"security":"high",
            "priority":7,"class":"bulk","destinations":{"db":1e3}}"#
            .to_vec(),
        br#"{"pin":["r1","r2"],"avoid":["r3"],"prefer":[],"direct-only":false}"#.to_vec(),
    ]
}
