//! Policy texts: what is wrong with them, and where.

use aire_policy::{Finding, PolicySet, STARTER, Severity, check};

fn only(text: &str) -> Finding {
    let findings = check("p.cedar", text);
    assert_eq!(findings.len(), 1, "{text}: {findings:#?}");
    findings[0].clone()
}

fn good(text: &str) {
    assert_eq!(check("p.cedar", text), Vec::new(), "{text}");
}

#[test]
fn the_documented_examples_are_good() {
    good(r#"permit(principal == App::"client", action == Action::"connect", resource == App::"echo");"#);
    good(r#"permit(principal, action == Action::"relay", resource == Node::"r2");"#);
    good(
        r#"permit(principal, action == Action::"relay", resource == Node::"r2")
           when { context.destination == App::"echo" && context.risk < 300 };
           forbid(principal, action, resource) when { principal.node == "stolen-laptop" };
           permit(principal is App, action in [Action::"connect", Action::"relay"], resource);
           permit(principal, action == Action::"connect", resource == App::"echo")
           when { context.node == "n2" && context.class == "bulk" && principal.mesh == "prod" };"#,
    );
    good(STARTER);
    good("");
    good("// nothing but a comment\n");
}

#[test]
fn the_line_in_the_starters_comment_is_good_when_uncommented() {
    let line = STARTER.lines().find(|line| line.starts_with("// permit")).unwrap();
    good(line.trim_start_matches("// "));
}

#[test]
fn a_syntax_error_says_where() {
    let found = only("// first\npermit(principal, action, resource)\npermit(principal, action, resource);\n");
    assert_eq!((found.file.as_str(), found.line, found.column), ("p.cedar", 3, 7));
    assert_eq!(found.severity, Severity::Error);
    assert!(found.to_string().starts_with("p.cedar:3:7: error: "), "{found}");

    let found = only("permit(principal, action, resource");
    assert_eq!(found.line, 1);
    let found = only("\n\n  allow(principal, action, resource);");
    assert_eq!((found.line, found.column), (3, 3));
}

#[test]
fn a_misspelt_action_says_where_and_what_was_meant() {
    let found = only("permit(\n  principal,\n  action == Action::\"conect\",\n  resource\n);");
    assert_eq!((found.line, found.severity), (3, Severity::Error), "{found}");
    assert!(found.message.contains("conect") && found.message.contains("connect"), "{found}");
    assert!(!found.message.contains("policy0"), "{found}");
}

#[test]
fn misspelt_types_and_attributes_are_errors() {
    for (text, word) in [
        (r#"permit(principal == Ap::"x", action == Action::"connect", resource);"#, "Ap"),
        (r#"permit(principal, action == Action::"relay", resource) when { context.risc < 3 };"#, "risc"),
        (r#"permit(principal, action, resource) when { principal.nod == "n1" };"#, "nod"),
        (r#"permit(principal, action, resource) when { context.risk < "high" };"#, "type"),
        (r#"permit(principal, action == Action::"relay", resource) when { context.node == "n1" };"#, "node"),
        (r#"permit(principal, action, resource) when { context.class == "bilk" };"#, "bilk"),
        (r#"permit(principal, action, resource) unless { "bilk" != context.class };"#, "bilk"),
        (r#"permit(principal == ?principal, action, resource);"#, "?principal"),
    ] {
        let findings = check("p", text);
        let error = findings.iter().find(|f| f.severity == Severity::Error);
        assert!(error.is_some_and(|f| f.line == 1 && f.message.contains(word)), "{text}: {findings:#?}");
        assert!(PolicySet::parse(&[("p".into(), text.into())]).is_err(), "{text}");
    }
}

#[test]
fn only_the_principal_has_attributes() {
    for text in [
        r#"permit(principal, action, resource) when { resource.node == "n1" };"#,
        r#"permit(principal, action, resource) when { App::"x".node == "n1" };"#,
        r#"permit(principal, action == Action::"relay", resource) when { context.destination.node == "n1" };"#,
        r#"permit(principal, action == Action::"connect", resource == App::"x")
           when { (if context.risk > 5 then resource else resource).node == "n1" };"#,
        r#"permit(principal, action, resource) when { resource has node };"#,
    ] {
        let error = PolicySet::parse(&[("p".into(), text.into())]).unwrap_err();
        assert!(error.0.iter().any(|f| f.message.contains("attributes")), "{text}: {error}");
    }
}

#[test]
fn a_policy_that_can_never_apply_is_a_warning_and_is_used() {
    let text = "\npermit(principal == App::\"x\", action == Action::\"relay\", resource == App::\"echo\");";
    let findings = check("p", text);
    assert!(!findings.is_empty() && findings.iter().all(|f| f.line == 2), "{findings:#?}");
    let text = "permit(principal, action, resource)\nwhen { context.risk < 100 && false };";
    let found = only(text);
    assert_eq!((found.severity, found.line), (Severity::Warning, 1));
    let set = PolicySet::parse(&[("p.cedar".into(), text.into())]).unwrap();
    assert_eq!((set.warnings(), set.len()), ([found].as_slice(), 1));
}

#[test]
fn all_errors_of_all_files_are_reported_at_once() {
    let error = PolicySet::parse(&[
        ("a".into(), "permit(principal, action == Action::\"x\", resource);\npermit(;".into()),
        ("b".into(), "permit(principal, action, resource);".into()),
        ("c".into(), "\n\npermit(principal, action == Action::\"y\", resource);".into()),
    ])
    .unwrap_err();
    let places: Vec<(&str, usize)> = error.0.iter().map(|f| (f.file.as_str(), f.line)).collect();
    assert_eq!(places, [("a", 2), ("c", 3)], "{error}");
    assert_eq!(error.to_string().lines().count(), 2);
}

#[test]
fn no_text_makes_it_panic() {
    let words = [
        "permit(",
        "forbid(",
        "principal",
        "action",
        "resource",
        ")",
        ";",
        "when",
        "{",
        "}",
        "==",
        "App::\"x\"",
        "Action::\"relay\"",
        ",",
        "context.class",
        "\"bulk\"",
        ".",
        "é",
        "\u{0}",
        "\"",
        "//",
        "\n",
        "?principal",
        "@id(\"x\")",
        "!",
        "-9223372036854775808",
        "has",
        "in",
        "is",
        "[",
        "]",
        "like",
        "*",
    ];
    let mut state = 7u64;
    for _ in 0..2000 {
        let mut text = String::new();
        for _ in 0..(state % 23) {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.push_str(words[(state >> 33) as usize % words.len()]);
            if state & 4096 == 0 {
                text.push(' ');
            }
        }
        state = state.wrapping_add(1);
        for finding in check("p", &text) {
            assert!(
                finding.line >= 1 && finding.line <= text.lines().count().max(1) + 1,
                "{text:?} {finding}"
            );
        }
    }
}

#[test]
fn no_depth_overflows_the_stack() {
    let on = |condition: String| {
        check("p", &format!("permit(principal, action, resource) when {{ {condition} }};"));
    };
    for n in [10, 35, 100, 190, 350, 5000] {
        on(format!("{}true{}", "(".repeat(n), ")".repeat(n)));
        on(format!("[{}true{}]", "[".repeat(n), "]".repeat(n)));
        on(format!("{}true{}", "{a:".repeat(n), "}".repeat(n)));
        on(format!("true{}", " && true".repeat(n)));
        on(format!("true{}", " || context.risk < 3".repeat(n)));
        on(format!("1{} > 3", " + 1".repeat(n)));
        on(format!("principal{}", ".node".repeat(n)));
        on(format!("principal has a{}", ".b".repeat(n)));
        on(format!("{}true", "if true then true else ".repeat(n)));
        on(format!("{}true", "!".repeat(n)));
        on(format!("[{}1].contains(1)", "1,".repeat(n)));
    }
}
