use std::path::PathBuf;

use super::*;

#[test]
fn commands_are_found_in_fences_alone() {
    let text =
        "aire outside\n```sh\n$ aire run \\\n  --node a\nls\ncargo xtask test # all\n```\naire outside";
    let found = commands(text);
    assert_eq!(found[0], (3, "aire run --node a".to_owned()));
    assert_eq!(found[1], (6, "cargo xtask test # all".to_owned()));
    assert_eq!(found.len(), 2);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What `docs/security.md` says is tested has a test of that name.
#[test]
fn tests_of_bad_input_exist() {
    let root = root();
    let text = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (_, section) = text.split_once("## Bad input\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut sources = std::fs::read_to_string(root.join("crates/aire-net/tests/links.rs")).unwrap();
    for folder in ["cli", "identity", "lifecycle"] {
        let files = std::fs::read_dir(root.join("crates/aire/tests").join(folder)).unwrap();
        files.for_each(|file| sources += &std::fs::read_to_string(file.unwrap().path()).unwrap());
    }
    let named: Vec<&str> = section.split('`').skip(1).step_by(2).filter(|name| !name.contains('/')).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(sources.contains(&format!("fn {name}()")), "there is no test {name}");
    }
}

/// One source file, by the path of its module.
struct Source {
    module: Vec<String>,
    text: String,
}

fn sources(folder: &Path, module: &[String], into: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_root = ["mod", "lib", "main"].contains(&name.as_str());
        let module = [module, if is_root { &[] } else { std::slice::from_ref(&name) }].concat();
        if path.is_dir() {
            sources(&path, &module, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(Source { module, text: std::fs::read_to_string(&path).unwrap() });
        }
    }
}

/// Every file of the crates.
fn tree() -> Vec<Source> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().replace('-', "_");
        sources(&path.join("src"), &[name], &mut all);
    }
    all
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Does `text` define this, at any depth?
fn defines(text: &str, kinds: &[&str], name: &str) -> bool {
    let all: Vec<&str> = words(text).collect();
    all.windows(2).any(|pair| kinds.contains(&pair[0]) && pair[1] == name)
}

/// Top-level items of a formatted file that begin so, as head and body.
fn items<'a>(text: &'a str, begins: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let starts = text.match_indices(begins).filter(|(at, _)| *at == 0 || text[..*at].ends_with('\n'));
    starts.filter_map(|(at, _)| text[at..].split("\n}").next()?.split_once('{'))
}

/// Is there something of this name: a function of a module or type, a variant, or a type of a crate?
fn exists(tree: &[Source], name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let is_type = |part: &&str| part.starts_with(char::is_uppercase);
    let modules = parts.iter().take_while(|part| !is_type(part)).count();
    let (item, owner) = (parts[parts.len() - 1], parts.get(modules).filter(|_| modules + 1 < parts.len()));
    let of_module = modules.min(parts.len() - 1);
    let within = |source: &&Source| {
        let whole =
            of_module == 0 || source.module.windows(of_module).any(|part| part == &parts[..of_module]);
        // a function of a module is in its file
        whole
            && (owner.is_some() || is_type(&item) || source.module.ends_with(&to_owned(&parts[..of_module])))
    };
    tree.iter().filter(within).any(|Source { text, .. }| match owner {
        Some(owner) if is_type(&item) => items(text, "pub")
            .any(|(head, body)| defines(head, &["enum"], owner) && words(body).any(|word| word == item)),
        Some(owner) => items(text, "impl").any(|(head, body)| {
            let of = head.rsplit(" for ").next().unwrap_or(head);
            words(of).any(|word| word == *owner) && defines(body, &["fn"], item)
        }),
        None => defines(text, &["fn", "struct", "enum", "trait"], item),
    })
}

fn to_owned(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// The way of a connection and of a datagram through the code names what there is.
#[test]
fn what_the_architecture_names_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, sections) = text.split_once("## One connection").unwrap();
    let (sections, _) = sections.split_once("## Threads").unwrap();
    let tree = tree();
    let named: Vec<&str> =
        sections.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(named.len() > 40, "{named:?}");
    let missing: Vec<&&str> = named.iter().filter(|name| !exists(&tree, name)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
    for wrong in
        ["Agent::no_such", "Pool::place", "local::need", "local::flow", "Report::Missing", "relay::Pool"]
    {
        assert!(!exists(&tree, wrong), "{wrong}");
    }
}

#[test]
fn verbs_have_one_to_three_words() {
    assert_eq!(verb(&["mesh", "create", "x"]), ["mesh", "create"]);
    assert_eq!(verb(&["mesh", "policy", "publish", "x"]), ["mesh", "policy", "publish"]);
    assert_eq!(verb(&["run", "--node"]), ["run"]);
}
