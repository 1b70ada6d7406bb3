//! One host of a file that stands for many.

use serde::Deserialize;

use super::expect::Expect;
use super::file::{Link, Scenario};

/// A host of which there are several, each with the same agent, workloads and ways: `c` becomes `c1`, `c2`, ….
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name in the file.
    pub host: String,
    /// How many.
    pub copies: u16,
}

impl Scenario {
    /// The scenario with every host of every group. A workload of a group bears its host's name behind its own, and what is
    /// expected of it is expected of each.
    pub(super) fn ungrouped(mut self) -> Self {
        for group in std::mem::take(&mut self.group) {
            self.unfold(&group);
        }
        self
    }

    fn unfold(&mut self, group: &Group) {
        let copies: Vec<String> = (1..=group.copies).map(|at| format!("{}{at}", group.host)).collect();
        let ours = |host: &str| host == group.host;
        let named: Vec<String> = self
            .workload
            .iter()
            .filter(|workload| ours(&workload.host))
            .map(|workload| workload.name.clone())
            .collect();
        each(&mut self.hosts, |host| ours(host), &copies, String::clone_from);
        each(&mut self.agent, |agent| ours(&agent.host), &copies, |agent, copy| agent.host.clone_from(copy));
        each(
            &mut self.workload,
            |workload| ours(&workload.host),
            &copies,
            |workload, copy| {
                workload.host.clone_from(copy);
                workload.name = format!("{} {copy}", workload.name);
            },
        );
        each(
            &mut self.link,
            |link| ends(link).any(|end| ours(end)),
            &copies,
            |link, copy| {
                let all = link.between.iter_mut().flatten().chain(&mut link.from).chain(&mut link.to);
                all.filter(|end| **end == group.host).for_each(|end| end.clone_from(copy));
            },
        );
        let expected = |expect: &Expect| {
            let asked = expect.ask.as_ref().is_some_and(|ask| ours(&ask.host));
            asked || expect.workload.as_ref().is_some_and(|name| named.contains(name))
        };
        for list in [&mut self.before, &mut self.expect] {
            each(list, expected, &copies, |expect, copy| {
                expect.that = format!("{copy}: {}", expect.that);
                expect.workload.iter_mut().for_each(|name| *name = format!("{name} {copy}"));
                expect.ask.iter_mut().for_each(|ask| ask.host.clone_from(copy));
            });
        }
    }
}

fn ends(link: &Link) -> impl Iterator<Item = &String> {
    link.between.iter().flatten().chain(&link.from).chain(&link.to)
}

/// Puts a copy for each name in the place of what is of the group.
fn each<T: Clone>(
    list: &mut Vec<T>,
    of_group: impl Fn(&T) -> bool,
    names: &[String],
    set: impl Fn(&mut T, &String),
) {
    for item in std::mem::take(list) {
        if !of_group(&item) {
            list.push(item);
            continue;
        }
        for name in names {
            let mut copy = item.clone();
            set(&mut copy, name);
            list.push(copy);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_group_is_as_many_hosts_with_all_that_they_have() {
        let text = "hosts = ['s', 'c']\n[[group]]\nhost = 'c'\ncopies = 3\n[[link]]\nbetween = ['c', 's']\nset = { loss = 0.1 }\n\
            [[workload]]\nname = 'm'\nhost = 'c'\nkind = 'messages'\nto = '10.77.0.1:7'\n\
            [[expect]]\nthat = 't'\nworkload = 'm'\nfield = 'lost'\nequals = 0\n";
        let scenario = Scenario::parse(text, Path::new("x.toml")).unwrap();
        assert_eq!(scenario.hosts, ["s", "c1", "c2", "c3"]);
        assert_eq!(scenario.link[2].between, Some(["c3".to_owned(), "s".to_owned()]));
        assert_eq!((scenario.workload[1].name.as_str(), scenario.workload[1].host.as_str()), ("m c2", "c2"));
        assert_eq!(scenario.expect[2].workload.as_deref(), Some("m c3"));
    }
}
